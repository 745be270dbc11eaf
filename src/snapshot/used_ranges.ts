/**
 * Which parts of a disk its ext4 file system uses. Neither runtime can ask the host's file system for the holes of a
 * file, and reading gigabytes of them takes seconds; the disk itself knows.
 *
 * Source: the kernel's Documentation/filesystems/ext4 (super block, group descriptors, bitmaps, special inodes).
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";

/** A part of a disk, in bytes. */
export interface DiskRange {
  readonly begin: number;
  readonly end: number;
}

/** More than a disk in use has; past it the whole disk is taken. */
const RANGES_MAX = 4 * 1024 * 1024;
const GROUPS_MAX = 1024 * 1024;
const SUPERBLOCK_OFFSET = 1024;
const MAGIC = 0xef53;
/**
 * Features that change nothing about where the maps are: filetype, extents, 64bit, mmp, flex_bg, ea_inode, csum_seed,
 * largedir, inline_data, encrypt, casefold. Not `recover`: then the maps may be older than the journal.
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
 * The parts that are in use, in order and apart from each other; the whole disk if that cannot be told: it has no such
 * file system, one with a journal to replay, or one that is not understood.
 */
export async function usedRanges(file: FileHandle, sizeBytes: number): Promise<DiskRange[]> {
  const whole = [{ begin: 0, end: sizeBytes }];
  const superblock = await readAt(file, SUPERBLOCK_OFFSET, 1024);
  const layout = superblock === undefined ? undefined : parseSuperblock(superblock);
  if (layout === undefined || layout.blockCount * layout.blockBytes > sizeBytes) return whole;
  const ranges = await readRanges(file, layout);
  return ranges === undefined ? whole : merge(ranges, layout.blockBytes);
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

/** Ranges in blocks, in any order; `undefined` if a descriptor points out of the disk or they are too many. */
async function readRanges(file: FileHandle, layout: Layout): Promise<DiskRange[] | undefined> {
  const { blockBytes, blockCount, blocksPerGroup, descriptorBytes } = layout;
  const groups = groupsOf(layout);
  const descriptors = await readAt(file, blockBytes, groups * descriptorBytes);
  if (descriptors === undefined) return undefined;
  const descriptorBlocks = Math.ceil((groups * descriptorBytes) / blockBytes);
  const ranges: DiskRange[] = [];
  for (let group = 0; group < groups; group++) {
    const descriptor = descriptors.subarray(group * descriptorBytes, (group + 1) * descriptorBytes);
    const pointer = (low: number, high: number) =>
      descriptor.readUInt32LE(low) + (descriptorBytes > 32 ? descriptor.readUInt32LE(high) * 2 ** 32 : 0);
    const bitmap = pointer(0x0, 0x20);
    const first = group * blocksPerGroup;
    const count = Math.min(blocksPerGroup, blockCount - first);
    ranges.push(
      { begin: bitmap, end: bitmap + 1 },
      { begin: pointer(0x4, 0x24), end: pointer(0x4, 0x24) + 1 },
      { begin: pointer(0x8, 0x28), end: pointer(0x8, 0x28) + layout.inodeTableBlocks },
    );
    if (hasBackup(group, layout))
      ranges.push({ begin: first, end: first + 1 + descriptorBlocks + layout.reservedDescriptorBlocks });
    if (ranges.some(({ end }, index) => index >= ranges.length - 4 && end > blockCount)) return undefined;
    if ((descriptor.readUInt16LE(0x12) & GROUP_BLOCK_UNINIT) !== 0) continue; // nothing but the above
    const bits = await readAt(file, bitmap * blockBytes, blockBytes);
    if (bits === undefined) return undefined;
    addBits(ranges, bits, first, count);
    if (ranges.length > RANGES_MAX) return undefined;
  }
  return ranges;
}

/** Which groups begin with a copy of the super block and the descriptors. */
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
      // Eight alike: the common case.
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

/** Sorted, joined, and in bytes. */
function merge(ranges: DiskRange[], blockBytes: number): DiskRange[] {
  const merged: { begin: number; end: number }[] = [];
  for (const { begin, end } of ranges.sort((a, b) => a.begin - b.begin)) {
    const last = merged.at(-1);
    if (last !== undefined && begin * blockBytes <= last.end) last.end = Math.max(last.end, end * blockBytes);
    else merged.push({ begin: begin * blockBytes, end: end * blockBytes });
  }
  return merged;
}

/** `undefined` if the file ends before. */
async function readAt(file: FileHandle, offset: number, sizeBytes: number): Promise<Buffer | undefined> {
  const bytes = Buffer.alloc(sizeBytes);
  for (let done = 0; done < sizeBytes; ) {
    const { bytesRead } = await file.read(bytes, done, sizeBytes - done, offset + done);
    if (bytesRead === 0) return undefined;
    done += bytesRead;
  }
  return bytes;
}
