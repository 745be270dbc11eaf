/**
 * Finds the parts of a disk that its ext4 file system uses. Neither runtime can ask the host for the holes of a file,
 * and reading gigabytes of zeros takes seconds; the file system's own maps tell.
 *
 * Source: the kernel's Documentation/filesystems/ext4 (super block, group descriptors, bitmaps, special inodes).
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { AbortedError, IoError } from "../base/errors.ts";

/** A part of a disk, in bytes. */
export interface DiskRange {
  readonly begin: number;
  readonly end: number;
}

/** Most block groups, each of which takes 20 bytes of memory. A disk with more counts as entirely in use. */
const GROUPS_MAX = 1024 * 1024;
/** Most blocks: block numbers are kept in 32 bits, which is enough for 16 TiB. */
const BLOCKS_MAX = 2 ** 32;
/** Groups to process before other work may run. */
const GROUPS_PER_TURN = 4096;
const SUPERBLOCK_OFFSET = 1024;
const MAGIC = 0xef53;
/**
 * Features that do not affect where the maps are: filetype, extents, 64bit, mmp, flex_bg, ea_inode, csum_seed,
 * largedir, inline_data, encrypt, casefold. `recover` is not among them, because the maps may then be older than the
 * journal.
 */
const INCOMPATIBLE_KNOWN =
  0x2 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000;
const INCOMPATIBLE_64BIT = 0x80;
const READ_ONLY_SPARSE_SUPER = 0x1;
const READ_ONLY_BIGALLOC = 0x200;
const COMPATIBLE_SPARSE_SUPER2 = 0x200;
const GROUP_BLOCK_UNINIT = 0x2;

interface Layout {
  readonly blockBytes: number;
  readonly blockCount: number;
  readonly blocksPerGroup: number;
  readonly inodeTableBlocks: number;
  readonly descriptorBytes: number;
  readonly reservedDescriptorBlocks: number;
  readonly isSparseSuper: boolean;
}

/**
 * Yields the parts that are in use, in ascending sequence and without overlaps. Yields the whole disk if the maps
 * cannot tell: the disk has no ext4 file system, one with a journal to replay, or one with unknown features.
 *
 * The guest controls the maps. Whatever they contain, memory grows only with the number of groups, and other work runs
 * in between.
 *
 * @throws {AbortedError}
 */
export async function* usedRanges(
  file: FileHandle,
  sizeBytes: number,
  signal?: AbortSignal,
): AsyncGenerator<DiskRange, void, undefined> {
  const superblock = await readAt(file, SUPERBLOCK_OFFSET, 1024);
  const layout = superblock === undefined ? undefined : parseSuperblock(superblock);
  const isWithin = layout !== undefined && layout.blockCount * layout.blockBytes <= sizeBytes;
  const groups = isWithin ? await readGroups(file, layout, signal) : undefined;
  if (layout === undefined || groups === undefined) {
    if (sizeBytes > 0) yield { begin: 0, end: sizeBytes };
    return;
  }
  let last: { begin: number; end: number } | undefined;
  for await (const { begin, end } of blockRanges(file, layout, groups, signal)) {
    if (begin === end) continue; // an inode table of no inodes
    if (last !== undefined && begin <= last.end) {
      last.end = Math.max(last.end, end);
      continue;
    }
    if (last !== undefined) yield inBytes(last, layout);
    last = { begin, end };
  }
  if (last !== undefined) yield inBytes(last, layout);
}

function inBytes({ begin, end }: DiskRange, { blockBytes }: Layout): DiskRange {
  return { begin: begin * blockBytes, end: end * blockBytes };
}

function parseSuperblock(bytes: Buffer): Layout | undefined {
  const incompatible = bytes.readUInt32LE(0x60);
  const readOnly = bytes.readUInt32LE(0x64);
  const is64Bit = (incompatible & INCOMPATIBLE_64BIT) !== 0;
  const logBlockSize = bytes.readUInt32LE(0x18);
  const isKnown =
    bytes.readUInt16LE(0x38) === MAGIC &&
    (incompatible & ~INCOMPATIBLE_KNOWN) === 0 &&
    (readOnly & READ_ONLY_BIGALLOC) === 0 &&
    (bytes.readUInt32LE(0x5c) & COMPATIBLE_SPARSE_SUPER2) === 0 &&
    logBlockSize === 2 && // 4 KiB: the first group begins with block 0
    bytes.readUInt32LE(0x14) === 0;
  if (!isKnown) return undefined;
  const blockBytes = 4096;
  const high = is64Bit ? bytes.readUInt32LE(0x150) : 0;
  const layout = {
    blockBytes,
    blockCount: high * 2 ** 32 + bytes.readUInt32LE(0x4),
    blocksPerGroup: bytes.readUInt32LE(0x20),
    inodeTableBlocks: Math.ceil((bytes.readUInt32LE(0x28) * bytes.readUInt16LE(0x58)) / blockBytes),
    descriptorBytes: is64Bit ? bytes.readUInt16LE(0xfe) : 32,
    reservedDescriptorBlocks: bytes.readUInt16LE(0xce),
    isSparseSuper: (readOnly & READ_ONLY_SPARSE_SUPER) !== 0,
  };
  const isPossible =
    layout.blockCount > 0 &&
    layout.blockCount <= BLOCKS_MAX &&
    layout.blocksPerGroup >= 8 &&
    layout.blocksPerGroup <= 8 * blockBytes &&
    layout.inodeTableBlocks <= layout.blockCount &&
    (layout.descriptorBytes === 32 || layout.descriptorBytes === 64) &&
    groupsOf(layout) <= GROUPS_MAX;
  return isPossible ? layout : undefined;
}

function groupsOf({ blockCount, blocksPerGroup }: Layout): number {
  return Math.ceil(blockCount / blocksPerGroup);
}

/** Block numbers from the group descriptors. */
interface Groups {
  /** Block of each group's block bitmap; 0 if the group is uninitialized and its bitmap does not count. */
  readonly bitmaps: Uint32Array;
  /** Blocks of all block and inode bitmaps, sorted. */
  readonly sortedBitmaps: Uint32Array;
  /** First blocks of all inode tables, sorted. */
  readonly sortedTables: Uint32Array;
  /** Blocks of a backup of the superblock and the descriptors. */
  readonly backupBlocks: number;
}

/**
 * Reads the group descriptors. Returns `undefined` if the file is too short, or a descriptor points outside the disk.
 */
async function readGroups(
  file: FileHandle,
  layout: Layout,
  signal: AbortSignal | undefined,
): Promise<Groups | undefined> {
  const { blockBytes, blockCount, blocksPerGroup, descriptorBytes, inodeTableBlocks } = layout;
  const count = groupsOf(layout);
  const descriptors = await readAt(file, blockBytes, count * descriptorBytes);
  if (descriptors === undefined) return undefined;
  const descriptorBlocks = Math.ceil((count * descriptorBytes) / blockBytes);
  const backupBlocks = 1 + descriptorBlocks + layout.reservedDescriptorBlocks;
  const bitmaps = new Uint32Array(count);
  const sortedBitmaps = new Uint32Array(2 * count);
  const sortedTables = new Uint32Array(count);
  for (let group = 0; group < count; group++) {
    if (group % GROUPS_PER_TURN === 0) await turn(signal);
    const at = group * descriptorBytes;
    const pointer = (low: number, high: number) =>
      descriptors.readUInt32LE(at + low) +
      (descriptorBytes > 32 ? descriptors.readUInt32LE(at + high) * 2 ** 32 : 0);
    const [bitmap, inodeBitmap, table] = [pointer(0x0, 0x20), pointer(0x4, 0x24), pointer(0x8, 0x28)];
    const backupEnd = hasBackup(group, layout) ? group * blocksPerGroup + backupBlocks : 0;
    if (Math.max(bitmap + 1, inodeBitmap + 1, table + inodeTableBlocks, backupEnd) > blockCount)
      return undefined;
    const isUninitialized = (descriptors.readUInt16LE(at + 0x12) & GROUP_BLOCK_UNINIT) !== 0;
    if (!isUninitialized && bitmap === 0) return undefined; // block 0 holds the superblock
    bitmaps[group] = isUninitialized ? 0 : bitmap;
    sortedBitmaps[2 * group] = bitmap;
    sortedBitmaps[2 * group + 1] = inodeBitmap;
    sortedTables[group] = table;
  }
  sortedBitmaps.sort();
  sortedTables.sort();
  return { bitmaps, sortedBitmaps, sortedTables, backupBlocks };
}

/** Yields ranges of blocks, sorted by their begin. They may overlap. */
async function* blockRanges(
  file: FileHandle,
  layout: Layout,
  groups: Groups,
  signal: AbortSignal | undefined,
): AsyncGenerator<DiskRange, void, undefined> {
  const { blockBytes, blockCount, blocksPerGroup, inodeTableBlocks } = layout;
  const bitmapBlocks = new SortedBlocks(groups.sortedBitmaps);
  const tableBlocks = new SortedBlocks(groups.sortedTables);
  for (let group = 0; group < groups.bitmaps.length; group++) {
    if (group % GROUPS_PER_TURN === 0) await turn(signal);
    const first = group * blocksPerGroup;
    const end = Math.min(first + blocksPerGroup, blockCount);
    const ranges: DiskRange[] = [];
    if (hasBackup(group, layout)) ranges.push({ begin: first, end: first + groups.backupBlocks });
    for (const block of bitmapBlocks.before(end)) ranges.push({ begin: block, end: block + 1 });
    for (const block of tableBlocks.before(end)) ranges.push({ begin: block, end: block + inodeTableBlocks });
    const bitmap = groups.bitmaps[group]!;
    if (bitmap !== 0) {
      const bits = await readAt(file, bitmap * blockBytes, blockBytes);
      if (bits === undefined) throw new IoError("read a disk", undefined, new Error("it has become shorter"));
      addBits(ranges, bits, first, end - first);
      if (signal?.aborted) throw new AbortedError("reading a disk", signal.reason);
    }
    yield* ranges.sort((a, b) => a.begin - b.begin);
  }
}

/** Sorted block numbers, each of which is yielded once. */
class SortedBlocks {
  readonly #blocks: Uint32Array;
  #at = 0;

  constructor(blocks: Uint32Array) {
    this.#blocks = blocks;
  }

  *before(end: number): Generator<number, void, undefined> {
    for (; this.#at < this.#blocks.length && this.#blocks[this.#at]! < end; this.#at++) {
      const block = this.#blocks[this.#at]!;
      if (this.#at === 0 || block !== this.#blocks[this.#at - 1]) yield block;
    }
  }
}

/** Lets other work run. @throws {AbortedError} */
async function turn(signal: AbortSignal | undefined): Promise<void> {
  await nextTurn();
  if (signal?.aborted) throw new AbortedError("reading a disk", signal.reason);
}

/** Returns whether a group begins with a backup of the superblock and the descriptors. */
function hasBackup(group: number, { isSparseSuper }: Layout): boolean {
  if (!isSparseSuper || group <= 1) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

function addBits(ranges: DiskRange[], bits: Uint8Array, first: number, count: number): void {
  let begin: number | undefined;
  for (let index = 0; index < count; index++) {
    const byte = bits[index >> 3] ?? 0;
    if ((index & 7) === 0 && index + 8 <= count && (byte === 0 || byte === 0xff)) {
      // Eight equal bits: the common case.
      if (byte === 0xff) begin ??= index;
      else if (begin !== undefined) {
        ranges.push({ begin: first + begin, end: first + index });
        begin = undefined;
      }
      index += 7;
    } else if (((byte >> (index & 7)) & 1) === 1) {
      begin ??= index;
    } else if (begin !== undefined) {
      ranges.push({ begin: first + begin, end: first + index });
      begin = undefined;
    }
  }
  if (begin !== undefined) ranges.push({ begin: first + begin, end: first + count });
}

/** Reads bytes, or returns `undefined` if the file ends before. */
async function readAt(file: FileHandle, offset: number, sizeBytes: number): Promise<Buffer | undefined> {
  const bytes = Buffer.alloc(sizeBytes);
  for (let done = 0; done < sizeBytes; ) {
    const { bytesRead } = await file.read(bytes, done, sizeBytes - done, offset + done);
    if (bytesRead === 0) return undefined;
    done += bytesRead;
  }
  return bytes;
}
