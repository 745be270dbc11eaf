import assert from "node:assert/strict";
import { NameHasher } from "../../../../src/image/tree/name_hash.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";

/** The same by the book: HalfSipHash over bytes, a word at a time. */
function halfSipHash13(key: Uint8Array, bytes: Uint8Array): number {
  const keys = new DataView(key.buffer, key.byteOffset, 8);
  const [k0, k1] = [keys.getUint32(0, true), keys.getUint32(4, true)];
  const v = new Uint32Array([k0, k1, 0x6c79_6765 ^ k0, 0x7465_6462 ^ k1]);
  const rotate = (at: number, bits: number): void => {
    v[at] = (v[at]! << bits) | (v[at]! >>> (32 - bits));
  };
  const round = (): void => {
    for (const [sum, other, bits, half] of [
      [0, 1, 5, 0],
      [2, 3, 8, undefined],
      [0, 3, 7, undefined],
      [2, 1, 13, 2],
    ] as const) {
      v[sum]! += v[other]!;
      rotate(other, bits);
      v[other]! ^= v[sum]!;
      if (half !== undefined) rotate(half, 16);
    }
  };
  const padded = new Uint8Array(bytes.length - (bytes.length % 4) + 4);
  padded.set(bytes);
  padded[padded.length - 1] = bytes.length;
  const words = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += 4) {
    v[3]! ^= words.getUint32(at, true);
    round();
    v[0]! ^= words.getUint32(at, true);
  }
  v[2]! ^= 0xff;
  for (let count = 0; count < 3; count++) round();
  return (v[1]! ^ v[3]!) >>> 0;
}

test("NameHasher.hash() is HalfSipHash-1-3 of the directory's number and the name", () => {
  const random = seededRandom("NameHasher");
  for (let turn = 0; turn < 200; turn++) {
    const key = random.bytes(8);
    const name = random.bytes(random.integer(0, 40));
    const directory = random.integer(0, 2 ** 32 - 1);
    const bytes = Buffer.concat([Buffer.alloc(4), name]);
    bytes.writeUInt32LE(directory, 0);
    const text = Buffer.from(name).toString("latin1");
    assert.equal(new NameHasher(key).hash(directory, text), halfSipHash13(key, bytes));
  }
});

test("NameHasher.hash() differs between hashers without a given key", () => {
  const hashes = Array.from({ length: 8 }, () => new NameHasher().hash(1, "name"));
  assert.ok(new Set(hashes).size > 1);
});
