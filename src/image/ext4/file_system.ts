/**
 * All that has to be written to a disk of zeros to make it a file system: a few blocks, whatever its size.
 *
 * @module
 */
import { type Bytes, encodeUtf8 } from "../../base/bytes.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import { encodeBitmap } from "./bitmap.ts";
import { BlockAllocator, type BlockRun } from "./block_allocator.ts";
import { fileSystemSeed, inodeSeed } from "./checksum.ts";
import {
  BLOCK_BYTES,
  DESCRIPTOR_BYTES,
  INODES_PER_BLOCK,
  JOURNAL_INODE,
  LOST_AND_FOUND_INODE,
  ROOT_INODE,
  SUPERBLOCK_OFFSET_BYTES,
} from "./constants.ts";
import { type DirectoryEntry, dotEntries, encodeDirectoryBlock } from "./directory_block.ts";
import { buildExtentTree } from "./extent_tree.ts";
import { type GroupDescriptor, writeGroupDescriptor } from "./group_descriptor.ts";
import { encodeInode, type Inode, MODE_DIRECTORY, MODE_REGULAR } from "./inode.ts";
import { encodeJournalSuperblock } from "./journal.ts";
import {
  baseBlocks,
  blocksInGroup,
  firstBlockOfGroup,
  groupPlaces,
  hasSuperblock,
  type Layout,
} from "./layout.ts";
import { encodeSuperblock, type Superblock } from "./superblock.ts";

/** By custom: room for `e2fsck` to put what it finds while it dares not allocate. */
const LOST_AND_FOUND_BLOCKS = 4;

/** A file system to be made; its parts are known to be good. */
export interface FileSystemPlan {
  readonly layout: Layout;
  readonly uuid: Bytes;
  readonly label: Bytes;
  readonly timestampSeconds: number;
  readonly directories: readonly PlannedDirectory[];
}

/** An empty directory in the root. */
export interface PlannedDirectory {
  readonly name: Bytes;
  /** Permission bits. */
  readonly mode: number;
}

/** Bytes to put at an offset of the disk. */
export interface DiskWrite {
  readonly offsetBytes: number;
  readonly bytes: Bytes;
}

/** The writes that turn a disk of zeros into the planned file system; the superblock that makes it one comes last. */
export function* fileSystemWrites(plan: FileSystemPlan): Generator<DiskWrite, void> {
  const seed = fileSystemSeed(plan.uuid);
  const allocator = new BlockAllocator(plan.layout);
  const { inodes, blocks, journal } = buildFiles(plan, allocator, seed);
  for (const { block, bytes } of blocks) yield { offsetBytes: block * BLOCK_BYTES, bytes };
  yield encodeInodeTable(plan, inodes, seed);

  const usedInodes = LOST_AND_FOUND_INODE + plan.directories.length; // numbers are given without gaps
  const usedDirectories = 2 + plan.directories.length;
  const descriptors = new Uint8Array(plan.layout.descriptorBlocks * BLOCK_BYTES);
  let freeBlocks = 0;
  for (let group = 0; group < plan.layout.groupCount; group++) {
    const contents = group === 0 ? { usedInodes, usedDirectories } : { usedInodes: 0, usedDirectories: 0 };
    const { descriptor, writes } = encodeGroup(
      plan.layout,
      group,
      allocator.usedBlocks(group),
      contents,
      seed,
    );
    yield* writes;
    freeBlocks += descriptor.freeBlocks;
    const at = group * DESCRIPTOR_BYTES;
    writeGroupDescriptor(descriptors.subarray(at, at + DESCRIPTOR_BYTES), group, descriptor, seed);
  }

  yield* superblockWrites(descriptors, {
    ...plan,
    freeBlocks,
    freeInodes: plan.layout.groupCount * plan.layout.inodesPerGroup - usedInodes,
    journalBlockMap: journal.extents.root,
    journalSizeBytes: journal.contentBlocks * BLOCK_BYTES,
  });
}

interface DiskBlock {
  readonly block: number;
  readonly bytes: Bytes;
}

interface Files {
  readonly inodes: readonly Inode[];
  /** Their content, and what maps it. */
  readonly blocks: readonly DiskBlock[];
  readonly journal: Inode;
}

/** Allocates the root, lost+found, the planned directories and the journal, in this order. */
function buildFiles(plan: FileSystemPlan, allocator: BlockAllocator, seed: number): Files {
  const subdirectories = [
    { name: encodeUtf8("lost+found"), mode: 0o700, blockCount: LOST_AND_FOUND_BLOCKS },
    ...plan.directories.map((directory) => ({ ...directory, blockCount: 1 })),
  ].map((directory, index) => ({ ...directory, inode: LOST_AND_FOUND_INODE + index }));

  const root = buildDirectory(
    { inode: ROOT_INODE, mode: 0o755, links: 2 + subdirectories.length, blockCount: 1 },
    [...dotEntries(ROOT_INODE, ROOT_INODE), ...subdirectories],
    allocator,
    seed,
  );
  const others = subdirectories.map(({ inode, mode, blockCount }) =>
    buildDirectory({ inode, mode, links: 2, blockCount }, dotEntries(inode, ROOT_INODE), allocator, seed),
  );
  const journal = buildJournal(plan, allocator, seed);
  const files = [root, ...others, journal];
  return {
    inodes: files.map(({ inode }) => inode),
    blocks: files.flatMap(({ blocks }) => blocks),
    journal: journal.inode,
  };
}

interface BuiltFile {
  readonly inode: Inode;
  readonly blocks: readonly DiskBlock[];
}

interface DirectoryShape {
  readonly inode: number;
  readonly mode: number;
  readonly links: number;
  readonly blockCount: number;
}

/** All entries go into the first block; the others are spare. */
function buildDirectory(
  { inode: number, mode, links, blockCount }: DirectoryShape,
  entries: readonly DirectoryEntry[],
  allocator: BlockAllocator,
  seed: number,
): BuiltFile {
  const ownSeed = inodeSeed(seed, number);
  const runs = allocator.allocate(blockCount);
  const extents = buildExtentTree(runs, allocator, ownSeed);
  const blocks = blocksOf(runs).map((block, index) => ({
    block,
    bytes: encodeDirectoryBlock(index === 0 ? entries : [], ownSeed),
  }));
  return {
    inode: { number, mode: MODE_DIRECTORY | mode, links, contentBlocks: blockCount, extents },
    blocks,
  };
}

function blocksOf(runs: readonly BlockRun[]): number[] {
  return runs.flatMap(({ start, length }) => Array.from({ length }, (_, index) => start + index));
}

function buildJournal(plan: FileSystemPlan, allocator: BlockAllocator, seed: number): BuiltFile {
  const contentBlocks = plan.layout.journalBlocks;
  const runs = allocator.allocate(contentBlocks);
  const extents = buildExtentTree(runs, allocator, inodeSeed(seed, JOURNAL_INODE));
  const superblock = encodeJournalSuperblock(contentBlocks, plan.uuid);
  const blocks = runs.slice(0, 1).map(({ start }) => ({ block: start, bytes: superblock }));
  if (extents.leaf !== undefined) blocks.push(extents.leaf);
  const inode = { number: JOURNAL_INODE, mode: MODE_REGULAR | 0o600, links: 1, contentBlocks, extents };
  return { inode, blocks };
}

/** The blocks of the first inode table that have an inode in them. */
function encodeInodeTable(plan: FileSystemPlan, inodes: readonly Inode[], seed: number): DiskWrite {
  const highest = Math.max(...inodes.map(({ number }) => number));
  const bytes = new Uint8Array(Math.ceil(highest / INODES_PER_BLOCK) * BLOCK_BYTES);
  for (const inode of inodes) {
    const encoded = encodeInode(inode, plan.timestampSeconds, seed);
    bytes.set(encoded, (inode.number - 1) * encoded.length);
  }
  return { offsetBytes: groupPlaces(plan.layout, 0).inodeTable * BLOCK_BYTES, bytes };
}

/** A group's descriptor, and those of its bitmaps that the kernel could not work out by itself. */
function encodeGroup(
  layout: Layout,
  group: number,
  usedBlocks: number,
  { usedInodes, usedDirectories }: { usedInodes: number; usedDirectories: number },
  seed: number,
): { descriptor: GroupDescriptor; writes: readonly DiskWrite[] } {
  const places = groupPlaces(layout, group);
  const blockCount = blocksInGroup(layout, group);
  const writes: DiskWrite[] = [];
  let blockBitmapChecksum: number | undefined;
  let inodeBitmapChecksum: number | undefined;
  // The kernel knows of superblock backups; not of other groups' tables, and it wants the last group's bitmap.
  if (usedBlocks > baseBlocks(layout, group) || group === layout.groupCount - 1) {
    const bytes = encodeBitmap(usedBlocks, blockCount);
    blockBitmapChecksum = updateCrc32c(seed, bytes);
    writes.push({ offsetBytes: places.blockBitmap * BLOCK_BYTES, bytes });
  }
  if (usedInodes > 0) {
    const bytes = encodeBitmap(usedInodes, layout.inodesPerGroup);
    inodeBitmapChecksum = updateCrc32c(seed, bytes.subarray(0, layout.inodesPerGroup / 8));
    writes.push({ offsetBytes: places.inodeBitmap * BLOCK_BYTES, bytes });
  }
  const freeBlocks = blockCount - usedBlocks;
  const freeInodes = layout.inodesPerGroup - usedInodes;
  return {
    descriptor: { places, freeBlocks, freeInodes, usedDirectories, blockBitmapChecksum, inodeBitmapChecksum },
    writes,
  };
}

/** The superblock and descriptors: backups first, the primary last, which lies 1 KiB into the disk. */
function* superblockWrites(descriptors: Bytes, superblock: Superblock): Generator<DiskWrite, void> {
  for (let group = superblock.layout.groupCount - 1; group >= 0; group--) {
    if (!hasSuperblock(group)) continue;
    const block = firstBlockOfGroup(group);
    yield { offsetBytes: (block + 1) * BLOCK_BYTES, bytes: descriptors };
    const offsetInBlock = group === 0 ? SUPERBLOCK_OFFSET_BYTES : 0;
    const bytes = encodeSuperblock(superblock, group);
    yield { offsetBytes: block * BLOCK_BYTES + offsetInBlock, bytes };
  }
}
