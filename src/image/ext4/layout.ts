/**
 * Where everything of a new file system lies: block groups, inode tables, bitmaps and superblock backups.
 *
 * In each group the fixed metadata is at the group's start: first a superblock backup with the group descriptors, in
 * the few groups that have one; then, in the first group of each flex group, the block bitmaps, inode bitmaps and
 * inode tables of all its groups. The rest of the group is data.
 *
 * Source: Linux, Documentation/filesystems/ext4: "Layout", "Flexible Block Groups", "Sparse Super". The sizes of the
 * journal and of the smallest last group follow mke2fs.
 *
 * @module
 */
import { assert } from "../../base/assert.ts";
import { GiB, MiB, roundUp } from "../../base/bytes.ts";
import {
  BLOCK_BYTES,
  BLOCKS_PER_GROUP,
  DESCRIPTOR_BYTES,
  GROUPS_PER_FLEX,
  INODE_BYTES,
  INODES_PER_BLOCK,
} from "./constants.ts";

/**
 * One inode for each so many bytes of disk. Twice as many as mke2fs gives: sandboxes unpack package trees of many
 * small files, and the tables of a sparse disk cost nothing until they are used.
 */
const BYTES_PER_INODE = 8192;

/** Data blocks that a short last group must have beside its own metadata; a smaller one is left out. */
const LAST_GROUP_DATA_BLOCKS_MIN = 50;

/** The journal's blocks, by the blocks of the file system: the first row whose limit is not reached. */
const JOURNAL_SIZES: readonly { belowBytes: number; journalBytes: number }[] = [
  { belowBytes: 128 * MiB, journalBytes: 4 * MiB },
  { belowBytes: 1 * GiB, journalBytes: 16 * MiB },
  { belowBytes: 2 * GiB, journalBytes: 32 * MiB },
  { belowBytes: 16 * GiB, journalBytes: 64 * MiB },
  { belowBytes: 32 * GiB, journalBytes: 128 * MiB },
  { belowBytes: 64 * GiB, journalBytes: 256 * MiB },
  { belowBytes: 128 * GiB, journalBytes: 512 * MiB },
  { belowBytes: Number.POSITIVE_INFINITY, journalBytes: 1 * GiB },
];

/** The shape of a file system; all else about it is computed from these. */
export interface Layout {
  readonly blockCount: number;
  readonly groupCount: number;
  /** Blocks of the whole group descriptor table, in the primary and in each backup. */
  readonly descriptorBlocks: number;
  readonly inodesPerGroup: number;
  readonly inodeTableBlocksPerGroup: number;
  readonly journalBlocks: number;
}

/** The largest layout that fits into `diskBytes`. It may end a few MiB early, for want of a useful last group. */
export function planLayout(diskBytes: number): Layout {
  const diskBlocks = Math.floor(diskBytes / BLOCK_BYTES);
  const layout = layoutOf(diskBlocks);
  const lastGroup = layout.groupCount - 1;
  const lastGroupBlocks = blocksInGroup(layout, lastGroup);
  const metadataBlocks = baseBlocks(layout, lastGroup) + 2 + layout.inodeTableBlocksPerGroup;
  if (lastGroupBlocks >= metadataBlocks + LAST_GROUP_DATA_BLOCKS_MIN) return layout;
  assert(lastGroup > 0, `a disk of ${diskBytes} bytes has room for one group`);
  return layoutOf(diskBlocks - lastGroupBlocks);
}

function layoutOf(blockCount: number): Layout {
  const groupCount = Math.ceil(blockCount / BLOCKS_PER_GROUP);
  const inodesWanted = Math.floor((blockCount * BLOCK_BYTES) / BYTES_PER_INODE);
  const inodesPerGroup = roundUp(Math.ceil(inodesWanted / groupCount), INODES_PER_BLOCK);
  return {
    blockCount,
    groupCount,
    descriptorBlocks: Math.ceil((groupCount * DESCRIPTOR_BYTES) / BLOCK_BYTES),
    inodesPerGroup,
    inodeTableBlocksPerGroup: (inodesPerGroup * INODE_BYTES) / BLOCK_BYTES,
    journalBlocks: journalBlocksFor(blockCount),
  };
}

function journalBlocksFor(blockCount: number): number {
  const row = JOURNAL_SIZES.find(({ belowBytes }) => blockCount * BLOCK_BYTES < belowBytes);
  assert(row !== undefined, "the last row has no limit");
  return row.journalBytes / BLOCK_BYTES;
}

export function firstBlockOfGroup(group: number): number {
  return group * BLOCKS_PER_GROUP;
}

export function groupOfBlock(block: number): number {
  return Math.floor(block / BLOCKS_PER_GROUP);
}

/** {@linkcode BLOCKS_PER_GROUP}, or fewer in the last group. */
export function blocksInGroup(layout: Layout, group: number): number {
  return Math.min(BLOCKS_PER_GROUP, layout.blockCount - firstBlockOfGroup(group));
}

/** Whether the group starts with a superblock and the group descriptors: 0, 1, and the powers of 3, 5 and 7. */
export function hasSuperblock(group: number): boolean {
  return group <= 1 || isPowerOf(3, group) || isPowerOf(5, group) || isPowerOf(7, group);
}

function isPowerOf(base: number, value: number): boolean {
  let power = base;
  while (power < value) power *= base;
  return power === value;
}

/** Blocks at the group's start that hold a superblock and the group descriptors. */
export function baseBlocks(layout: Layout, group: number): number {
  return hasSuperblock(group) ? 1 + layout.descriptorBlocks : 0;
}

/** Whether the group holds the bitmaps and inode tables of its flex group. */
export function isFirstOfFlex(group: number): boolean {
  return group % GROUPS_PER_FLEX === 0;
}

/** Blocks at the group's start that hold fixed metadata of any kind. */
export function metadataBlocks(layout: Layout, group: number): number {
  const base = baseBlocks(layout, group);
  if (!isFirstOfFlex(group)) return base;
  return base + groupsInFlex(layout, group) * (2 + layout.inodeTableBlocksPerGroup);
}

/** Where one group's bitmaps and inode table begin. */
export interface GroupPlaces {
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
}

export function groupPlaces(layout: Layout, group: number): GroupPlaces {
  const index = group % GROUPS_PER_FLEX;
  const first = group - index;
  const groups = groupsInFlex(layout, first);
  const blockBitmaps = firstBlockOfGroup(first) + baseBlocks(layout, first);
  return {
    blockBitmap: blockBitmaps + index,
    inodeBitmap: blockBitmaps + groups + index,
    inodeTable: blockBitmaps + 2 * groups + index * layout.inodeTableBlocksPerGroup,
  };
}

/** Groups of the flex group that starts at `firstGroup`; the last one may be incomplete. */
function groupsInFlex(layout: Layout, firstGroup: number): number {
  return Math.min(GROUPS_PER_FLEX, layout.groupCount - firstGroup);
}
