/**
 * Inodes of 256 bytes, with creation time, extents and a checksum.
 *
 * Source: Linux, Documentation/filesystems/ext4: "Index Nodes", "Inode Timestamps".
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import { inodeSeed } from "./checksum.ts";
import { BLOCK_BYTES, INODE_BYTES } from "./constants.ts";
import type { ExtentTree } from "./extent_tree.ts";
import { highHalf, lowHalf, viewOf } from "./little_endian.ts";

export const MODE_DIRECTORY = 0o040000;
export const MODE_REGULAR = 0o100000;

/** Bytes in use beyond the 128 of the first ext2. */
export const EXTRA_INODE_BYTES = 32;

/** The last second that 32 signed bits and two epoch bits can tell, in the year 2446. */
export const TIMESTAMP_SECONDS_MAX = 2 ** 34 - 2 ** 31 - 1;

const FLAG_EXTENTS = 0x8_0000;
const SECTOR_BYTES = 512;

/** What the inodes of a new file system differ in; owner is root. */
export interface Inode {
  readonly number: number;
  /** File type and permission bits. */
  readonly mode: number;
  readonly links: number;
  /** Blocks of content; the size is their sum. */
  readonly contentBlocks: number;
  readonly extents: ExtentTree;
}

/** All four times are `timestampSeconds`. `seed` is the file system's. */
export function encodeInode(inode: Inode, timestampSeconds: number, seed: number): Bytes {
  const bytes = new Uint8Array(INODE_BYTES);
  const view = viewOf(bytes);
  const sizeBytes = inode.contentBlocks * BLOCK_BYTES;
  const blocks = inode.contentBlocks + (inode.extents.leaf === undefined ? 0 : 1);
  const sectors = (blocks * BLOCK_BYTES) / SECTOR_BYTES;
  view.setUint16(0x0, inode.mode, true);
  view.setUint32(0x4, lowHalf(sizeBytes), true);
  view.setUint16(0x1a, inode.links, true);
  view.setUint32(0x1c, lowHalf(sectors), true);
  view.setUint32(0x20, FLAG_EXTENTS, true);
  bytes.set(inode.extents.root, 0x28);
  view.setUint32(0x6c, highHalf(sizeBytes), true);
  view.setUint16(0x74, highHalf(sectors), true);
  view.setUint16(0x80, EXTRA_INODE_BYTES, true);
  writeTimestamps(view, timestampSeconds);
  writeChecksum(bytes, inode.number, seed);
  return bytes;
}

function writeTimestamps(view: DataView, seconds: number): void {
  const signed = seconds | 0; // the field is signed, and the epoch bits count what that leaves out
  const epoch = (seconds - signed) / 2 ** 32;
  for (const [offset, extraOffset] of [
    [0x08, 0x8c], // access
    [0x0c, 0x84], // change
    [0x10, 0x88], // modification
    [0x90, 0x94], // creation
  ] as const) {
    view.setInt32(offset, signed, true);
    view.setUint32(extraOffset, epoch, true);
  }
}

/** Computed while its own two fields are zero. */
function writeChecksum(bytes: Uint8Array, number: number, seed: number): void {
  const checksum = updateCrc32c(inodeSeed(seed, number), bytes);
  const view = viewOf(bytes);
  view.setUint16(0x7c, checksum & 0xffff, true);
  view.setUint16(0x82, checksum >>> 16, true);
}
