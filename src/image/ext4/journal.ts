/**
 * The journal's first block. All others are zeros, which a sparse file has anyway: with a start of 0 the journal is
 * empty, and nothing in it is read.
 *
 * Source: Linux, Documentation/filesystems/ext4, "Journal (jbd2)", section "Super Block". Big-endian, unlike the rest.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import { CHECKSUM_START } from "./checksum.ts";
import { BLOCK_BYTES } from "./constants.ts";
import { viewOf } from "./little_endian.ts";

const MAGIC = 0xc03b3998;
const BLOCK_TYPE_SUPERBLOCK_V2 = 4;
const SUPERBLOCK_BYTES = 1024;
const CHECKSUM_OFFSET = 0xfc;
const CHECKSUM_TYPE_CRC32C = 4;
/** What the kernel turns on at the first mount of such a file system; set here, the superblock's checksum counts. */
const INCOMPATIBLE_64BIT = 0x2;
const INCOMPATIBLE_CHECKSUM_V3 = 0x10;

/** The superblock of an empty journal of `blockCount` blocks, itself included, in the file system `uuid`. */
export function encodeJournalSuperblock(blockCount: number, uuid: Uint8Array): Bytes {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0x0, MAGIC);
  view.setUint32(0x4, BLOCK_TYPE_SUPERBLOCK_V2);
  view.setUint32(0xc, BLOCK_BYTES);
  view.setUint32(0x10, blockCount);
  view.setUint32(0x14, 1); // first block of the log
  view.setUint32(0x18, 1); // first transaction to expect
  view.setUint32(0x28, INCOMPATIBLE_64BIT | INCOMPATIBLE_CHECKSUM_V3);
  bytes.set(uuid, 0x30);
  view.setUint32(0x40, 1); // users
  view.setUint8(0x50, CHECKSUM_TYPE_CRC32C);
  view.setUint32(CHECKSUM_OFFSET, updateCrc32c(CHECKSUM_START, bytes.subarray(0, SUPERBLOCK_BYTES)));
  return bytes;
}
