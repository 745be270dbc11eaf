/**
 * The superblock of a new file system: its features, its shape and its counts.
 *
 * Source: Linux, Documentation/filesystems/ext4, "Super Block".
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Bytes } from "../../base/bytes.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import { CHECKSUM_START } from "./checksum.ts";
import {
  BLOCK_BYTES,
  BLOCKS_PER_GROUP,
  COMPATIBLE,
  DESCRIPTOR_BYTES,
  FIRST_ORDINARY_INODE,
  GROUPS_PER_FLEX_LOG2,
  INCOMPATIBLE,
  INODE_BYTES,
  JOURNAL_INODE,
  READ_ONLY_COMPATIBLE,
  SUPERBLOCK_BYTES,
} from "./constants.ts";
import { EXTRA_INODE_BYTES } from "./inode.ts";
import type { Layout } from "./layout.ts";
import { highHalf, lowHalf, viewOf } from "./little_endian.ts";

export const SUPERBLOCK_MAGIC = 0xef53;
export const SUPERBLOCK_CHECKSUM_OFFSET = 0x3fc;
export const STATE_CLEAN = 0x1;
export const STATE_ERRORS = 0x2;
export const LABEL_BYTES_MAX = 16;
export const UUID_BYTES = 16;

const ON_ERROR_REMOUNT_READ_ONLY = 2;
const REVISION_DYNAMIC = 1;
const MOUNTS_UNTIL_CHECK_NEVER = 0xffff;
const HASH_HALF_MD4 = 1;
const FLAG_SIGNED_DIRECTORY_HASH = 0x1;
const JOURNAL_BACKUP_OF_INODE = 1;
const CHECKSUM_TYPE_CRC32C = 1;
const DEFAULT_MOUNT_USER_XATTR = 0x4;
const DEFAULT_MOUNT_ACL = 0x8;
/** Block size as a power of two above 1 KiB. */
const BLOCK_SIZE_LOG2 = Math.log2(BLOCK_BYTES / 1024);

/** What a superblock contains besides its layout. */
export interface Superblock {
  readonly layout: Layout;
  readonly uuid: Uint8Array;
  /** UTF-8, at most {@linkcode LABEL_BYTES_MAX}. */
  readonly label: Uint8Array;
  readonly timestampSeconds: number;
  readonly freeBlocks: number;
  readonly freeInodes: number;
  /** The journal inode's block map and size, kept here as a backup in case its inode table is lost. */
  readonly journalBlockMap: Uint8Array;
  readonly journalSizeBytes: number;
}

/** The copy that lies in `group`; each names its own group. */
export function encodeSuperblock(superblock: Superblock, group: number): Bytes {
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  const view = viewOf(bytes);
  writeCounts(view, superblock);
  writeShape(view, superblock.layout, group);
  writeIdentity(bytes, superblock);
  writePolicy(view);
  writeFeatures(view);
  writeTimestamps(view, superblock.timestampSeconds);
  writeJournalBackup(bytes, superblock);
  view.setUint32(SUPERBLOCK_CHECKSUM_OFFSET, superblockChecksum(bytes), true);
  return bytes;
}

export function superblockChecksum(bytes: Uint8Array): number {
  return updateCrc32c(CHECKSUM_START, bytes.subarray(0, SUPERBLOCK_CHECKSUM_OFFSET));
}

function writeCounts(view: DataView, { layout, freeBlocks, freeInodes }: Superblock): void {
  view.setUint32(0x0, layout.groupCount * layout.inodesPerGroup, true);
  view.setUint32(0x4, lowHalf(layout.blockCount), true);
  view.setUint32(0xc, lowHalf(freeBlocks), true);
  view.setUint32(0x10, freeInodes, true);
  view.setUint32(0x150, highHalf(layout.blockCount), true);
  view.setUint32(0x158, highHalf(freeBlocks), true);
}

function writeShape(view: DataView, layout: Layout, group: number): void {
  view.setUint32(0x18, BLOCK_SIZE_LOG2, true);
  view.setUint32(0x1c, BLOCK_SIZE_LOG2, true); // cluster size
  view.setUint32(0x20, BLOCKS_PER_GROUP, true);
  view.setUint32(0x24, BLOCKS_PER_GROUP, true); // clusters per group
  view.setUint32(0x28, layout.inodesPerGroup, true);
  view.setUint32(0x4c, REVISION_DYNAMIC, true);
  view.setUint32(0x54, FIRST_ORDINARY_INODE, true);
  view.setUint16(0x58, INODE_BYTES, true);
  view.setUint16(0x5a, group % 2 ** 16, true);
  view.setUint16(0xfe, DESCRIPTOR_BYTES, true);
  view.setUint16(0x15c, EXTRA_INODE_BYTES, true); // at least
  view.setUint16(0x15e, EXTRA_INODE_BYTES, true); // wanted
  view.setUint8(0x174, GROUPS_PER_FLEX_LOG2);
}

function writeIdentity(bytes: Uint8Array, { uuid, label }: Superblock): void {
  viewOf(bytes).setUint16(0x38, SUPERBLOCK_MAGIC, true);
  bytes.set(uuid, 0x68);
  bytes.set(label, 0x78);
  // Prevents file names in the guest that all fall into one hash bucket; derived, so that a disk is reproducible.
  const hashSeed = createHash("sha256").update("ext4 directory hash seed").update(uuid).digest();
  bytes.set(hashSeed.subarray(0, 16), 0xec);
  viewOf(bytes).setUint8(0xfc, HASH_HALF_MD4);
}

function writePolicy(view: DataView): void {
  view.setUint16(0x36, MOUNTS_UNTIL_CHECK_NEVER, true);
  view.setUint16(0x3a, STATE_CLEAN, true);
  view.setUint16(0x3c, ON_ERROR_REMOUNT_READ_ONLY, true);
  view.setUint32(0x100, DEFAULT_MOUNT_USER_XATTR | DEFAULT_MOUNT_ACL, true);
}

function writeFeatures(view: DataView): void {
  view.setUint32(0x5c, allOf(COMPATIBLE), true);
  view.setUint32(0x60, allOf(INCOMPATIBLE) & ~INCOMPATIBLE.recover, true);
  view.setUint32(0x64, allOf(READ_ONLY_COMPATIBLE), true);
  view.setUint32(0x160, FLAG_SIGNED_DIRECTORY_HASH, true);
  view.setUint8(0x175, CHECKSUM_TYPE_CRC32C);
}

function allOf(features: Readonly<Record<string, number>>): number {
  return Object.values(features).reduce((all, feature) => all | feature, 0);
}

function writeTimestamps(view: DataView, seconds: number): void {
  for (const [offset, highOffset] of [
    [0x30, 0x274], // last write
    [0x40, 0x277], // last check
    [0x108, 0x276], // creation
  ] as const) {
    view.setUint32(offset, lowHalf(seconds), true);
    view.setUint8(highOffset, highHalf(seconds));
  }
}

function writeJournalBackup(bytes: Uint8Array, { journalBlockMap, journalSizeBytes }: Superblock): void {
  const view = viewOf(bytes);
  view.setUint32(0xe0, JOURNAL_INODE, true);
  view.setUint8(0xfd, JOURNAL_BACKUP_OF_INODE);
  bytes.set(journalBlockMap, 0x10c);
  view.setUint32(0x148, highHalf(journalSizeBytes), true);
  view.setUint32(0x14c, lowHalf(journalSizeBytes), true);
}
