/** @module */
import assert from "node:assert/strict";
import { encodeUtf8 } from "../../../src/base/bytes.ts";
import { crc32c, updateCrc32c } from "../../../src/base/crc32c.ts";
import { test } from "../../support/harness.ts";

// RFC 3720, appendix B.4; the last one is the "check" value of the CRC catalogue.
const VECTORS: readonly (readonly [name: string, bytes: Uint8Array, checksum: number])[] = [
  ["no bytes", new Uint8Array(0), 0],
  ["32 zeros", new Uint8Array(32), 0x8a9136aa],
  ["32 ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ["0 to 31", Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
  ["31 to 0", Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
  ["123456789", encodeUtf8("123456789"), 0xe3069283],
];

for (const [name, bytes, checksum] of VECTORS) {
  test(`crc32c() of ${name} is the published value`, () => {
    assert.equal(crc32c(bytes), checksum);
  });
}

test("updateCrc32c() gives the same register however the bytes are cut, and wherever the view starts", () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, index) => (index * 167 + 13) & 0xff);
  const whole = updateCrc32c(0xffff_ffff, bytes);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const first = updateCrc32c(0xffff_ffff, bytes.subarray(0, cut));
    assert.equal(updateCrc32c(first, bytes.subarray(cut)), whole, `cut at ${cut}`);
  }
});

test("updateCrc32c() of long input equals the bit-by-bit definition", () => {
  const bytes = Uint8Array.from({ length: 4099 }, (_, index) => (index * index + 7 * index) & 0xff);
  let expected = 0xffff_ffff;
  for (const byte of bytes) {
    expected ^= byte;
    for (let bit = 0; bit < 8; bit++)
      expected = expected & 1 ? (expected >>> 1) ^ 0x82f63b78 : expected >>> 1;
  }
  assert.equal(updateCrc32c(0xffff_ffff, bytes), expected >>> 0);
});
