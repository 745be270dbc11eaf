/**
 * HalfSipHash-1-3 over a name in a directory. Keyed with a secret, so that nobody can make an image of names that all
 * fall into one place of a hash table.
 *
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", and the reference implementation `halfsiphash.c`.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import type { ByteString } from "./tree.ts";

export class NameHasher {
  readonly #key0: number;
  readonly #key1: number;
  // The state; numbers here and not in an array, as this is the innermost loop of a merge.
  #v0 = 0;
  #v1 = 0;
  #v2 = 0;
  #v3 = 0;

  constructor(key: Uint8Array = randomBytes(8)) {
    const view = new DataView(key.buffer, key.byteOffset, 8);
    this.#key0 = view.getInt32(0, true);
    this.#key1 = view.getInt32(4, true);
  }

  /** 32 bits, unsigned. `directory` is hashed as four bytes in front of the name. */
  hash(directory: number, name: ByteString): number {
    this.#v0 = this.#key0;
    this.#v1 = this.#key1;
    this.#v2 = 0x6c79_6765 ^ this.#key0;
    this.#v3 = 0x7465_6462 ^ this.#key1;
    this.#take(directory | 0);
    const wholeBytes = name.length & ~3;
    for (let at = 0; at < wholeBytes; at += 4) this.#take(wordAt(name, at, 4));
    const totalBytes = name.length + 4;
    this.#take(wordAt(name, wholeBytes, name.length - wholeBytes) | (totalBytes << 24));
    this.#v2 ^= 0xff;
    this.#round();
    this.#round();
    this.#round();
    return (this.#v1 ^ this.#v3) >>> 0;
  }

  #take(word: number): void {
    this.#v3 ^= word;
    this.#round();
    this.#v0 ^= word;
  }

  #round(): void {
    let [v0, v1, v2, v3] = [this.#v0, this.#v1, this.#v2, this.#v3];
    v0 = (v0 + v1) | 0;
    v1 = rotate(v1, 5) ^ v0;
    v0 = rotate(v0, 16);
    v2 = (v2 + v3) | 0;
    v3 = rotate(v3, 8) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = rotate(v3, 7) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = rotate(v1, 13) ^ v2;
    this.#v0 = v0;
    this.#v1 = v1;
    this.#v2 = rotate(v2, 16);
    this.#v3 = v3;
  }
}

function wordAt(name: ByteString, at: number, count: number): number {
  let word = 0;
  for (let index = 0; index < count; index++) word |= name.charCodeAt(at + index) << (8 * index);
  return word;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
