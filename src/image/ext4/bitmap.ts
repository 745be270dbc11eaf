/**
 * Block and inode bitmaps of an empty file system, where what is used comes first.
 *
 * Source: Linux, Documentation/filesystems/ext4, "Block and inode Bitmaps".
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { BLOCK_BYTES } from "./constants.ts";

/** One block with bits 0 to `used` set, and those from `count` on, which stand for nothing and must never be taken. */
export function encodeBitmap(used: number, count: number): Bytes {
  const bytes = new Uint8Array(BLOCK_BYTES);
  setBits(bytes, 0, used);
  setBits(bytes, count, 8 * BLOCK_BYTES);
  return bytes;
}

/** Sets the bits from `start` up to and without `end`. */
function setBits(bytes: Uint8Array, start: number, end: number): void {
  let bit = start;
  for (; bit < end && bit % 8 !== 0; bit++) bytes[bit >> 3]! |= 1 << (bit % 8);
  bytes.fill(0xff, bit >> 3, end >> 3);
  for (bit = Math.max(bit, end - (end % 8)); bit < end; bit++) bytes[bit >> 3]! |= 1 << (bit % 8);
}
