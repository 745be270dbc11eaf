/**
 * HalfSipHash-1-3 over a name in a directory. A secret key prevents images whose names all fall into one bucket of a
 * hash table.
 *
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", and the reference implementation `halfsiphash.c`.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import type { ByteString } from "./tree.ts";

const FINAL_ROUNDS = 3;

export class NameHasher {
  readonly #key0: number;
  readonly #key1: number;

  /** @param key Eight bytes. @default {random ones} */
  constructor(key: Uint8Array = randomBytes(8)) {
    const view = new DataView(key.buffer, key.byteOffset, 8);
    this.#key0 = view.getInt32(0, true);
    this.#key1 = view.getInt32(4, true);
  }

  /** Returns an unsigned 32-bit hash. `directory` counts as four bytes in front of the name. */
  hash(directory: number, name: ByteString): number {
    let v0 = this.#key0;
    let v1 = this.#key1;
    let v2 = 0x6c79_6765 ^ v0;
    let v3 = 0x7465_6462 ^ v1;
    const words = 1 + (name.length >> 2); // the directory, and the name's whole words
    const last = wordAt(name, (words - 1) * 4) | ((name.length + 4) << 24);
    // One loop without allocations: it runs for every component of every name of an image.
    for (let round = 0; round <= words + FINAL_ROUNDS; round++) {
      const word = roundWord(round, words, directory, name, last);
      if (round === words + 1) v2 ^= 0xff;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = rotate(v1, 5) ^ v0;
      v0 = rotate(v0, 16);
      v2 = (v2 + v3) | 0;
      v3 = rotate(v3, 8) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = rotate(v3, 7) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = rotate(v1, 13) ^ v2;
      v2 = rotate(v2, 16);
      v0 ^= word;
    }
    return (v1 ^ v3) >>> 0;
  }
}

/** Returns the input of a round: the directory, then the words of the name, the last one with the length, then zero. */
function roundWord(round: number, words: number, directory: number, name: ByteString, last: number): number {
  if (round === 0) return directory | 0;
  if (round < words) return wordAt(name, (round - 1) * 4);
  return round === words ? last : 0;
}

/** Returns up to four bytes of the name, little-endian. */
function wordAt(name: ByteString, at: number): number {
  const end = Math.min(at + 4, name.length);
  let word = 0;
  for (let index = at; index < end; index++) word |= name.charCodeAt(index) << (8 * (index - at));
  return word;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
