/** usedRanges() over hostile maps. @module */
import assert from "node:assert/strict";
import { ftruncateSync, openSync, writeFileSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { AbortedError } from "../../../src/base/errors.ts";
import { ContentDigest } from "../../../src/snapshot/content_digest.ts";
import { digestDisk } from "../../../src/snapshot/disk_content.ts";
import { copyDisk } from "../../../src/snapshot/disk_copy.ts";
import { type DiskRange, usedRanges } from "../../../src/snapshot/used_ranges.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

const BLOCK_BYTES = 4096;
const DESCRIPTOR_BYTES = 32;
const UNINITIALIZED = 2;

interface Group {
  readonly bitmap: number;
  readonly inodeBitmap: number;
  readonly table: number;
  readonly isUninitialized: boolean;
  /** The bitmap's bytes; `undefined` for a block of zeros. */
  readonly bits?: Uint8Array;
}

interface Maps {
  readonly blocksPerGroup: number;
  readonly inodeTableBlocks: number;
  readonly groups: readonly Group[];
}

/** Writes a disk that has nothing but a super block, descriptors and bitmaps. Returns its size. */
function writeMaps(path: string, { blocksPerGroup, inodeTableBlocks, groups }: Maps): number {
  const blockCount = groups.length * blocksPerGroup;
  const superblock = Buffer.alloc(1024);
  superblock.writeUInt32LE(blockCount, 0x4);
  superblock.writeUInt32LE(2, 0x18); // 4 KiB
  superblock.writeUInt32LE(blocksPerGroup, 0x20);
  superblock.writeUInt32LE(inodeTableBlocks * 16, 0x28);
  superblock.writeUInt16LE(0xef53, 0x38);
  superblock.writeUInt16LE(256, 0x58);
  superblock.writeUInt32LE(0x40, 0x60); // extents
  superblock.writeUInt32LE(0x1, 0x64); // sparse_super
  const descriptors = Buffer.alloc(groups.length * DESCRIPTOR_BYTES);
  for (const [index, group] of groups.entries()) {
    const at = index * DESCRIPTOR_BYTES;
    descriptors.writeUInt32LE(group.bitmap, at);
    descriptors.writeUInt32LE(group.inodeBitmap, at + 0x4);
    descriptors.writeUInt32LE(group.table, at + 0x8);
    descriptors.writeUInt16LE(group.isUninitialized ? UNINITIALIZED : 0, at + 0x12);
  }
  const fd = openSync(path, "w");
  ftruncateSync(fd, blockCount * BLOCK_BYTES);
  for (const { bits, bitmap } of groups) {
    if (bits !== undefined) writeSync(fd, bits, 0, bits.length, bitmap * BLOCK_BYTES);
  }
  writeSync(fd, superblock, 0, superblock.length, 1024);
  writeSync(fd, descriptors, 0, descriptors.length, BLOCK_BYTES);
  return blockCount * BLOCK_BYTES;
}

/** The blocks in use, one by one, as the format's documentation has them. */
function usedBlocks({ blocksPerGroup, inodeTableBlocks, groups }: Maps): Set<number> {
  const used = new Set<number>();
  const add = (first: number, count: number) => {
    for (let block = first; block < first + count; block++) used.add(block);
  };
  const backupBlocks = 1 + Math.ceil((groups.length * DESCRIPTOR_BYTES) / BLOCK_BYTES);
  for (const [index, { bitmap, inodeBitmap, table, isUninitialized, bits }] of groups.entries()) {
    const first = index * blocksPerGroup;
    const isPowerOf = (base: number) =>
      Number.isInteger(Math.round((Math.log(index) / Math.log(base)) * 1e9) / 1e9);
    if (index <= 1 || [3, 5, 7].some(isPowerOf)) add(first, backupBlocks);
    add(bitmap, 1);
    add(inodeBitmap, 1);
    add(table, inodeTableBlocks);
    if (isUninitialized) continue;
    for (let at = 0; at < blocksPerGroup; at++)
      if (((bits?.[at >> 3] ?? 0) >> (at & 7)) & 1) add(first + at, 1);
  }
  return used;
}

function blocksOf(ranges: readonly DiskRange[]): Set<number> {
  const blocks = new Set<number>();
  let end = -1;
  for (const range of ranges) {
    assert.ok(range.begin > end && range.end > range.begin, "in order and apart from each other");
    end = range.end;
    for (let at = range.begin; at < range.end; at += BLOCK_BYTES) blocks.add(at / BLOCK_BYTES);
  }
  return blocks;
}

test("usedRanges() are the blocks of the maps, wherever those are and whatever they say", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  const random = seededRandom("ext4 maps");
  for (let round = 0; round < 30; round++) {
    const blocksPerGroup = 8 * random.integer(1, 20);
    const count = random.integer(3, 40);
    const inodeTableBlocks = random.integer(0, 5);
    const last = count * blocksPerGroup - 6;
    // Bitmaps have places of their own, so that what one says is not overwritten by another.
    const firstBitmap = random.integer(2, last - count);
    const groups = Array.from({ length: count }, (_, index) => ({
      bitmap: firstBitmap + index,
      inodeBitmap: random.integer(0, last),
      table: random.integer(0, last),
      isUninitialized: random.integer(0, 3) === 0,
      bits: random.bytes(blocksPerGroup / 8),
    }));
    const maps = { blocksPerGroup, inodeTableBlocks, groups };
    const sizeBytes = writeMaps(path, maps);
    await using file = await open(path, "r");
    const ranges = await Array.fromAsync(usedRanges(file, sizeBytes));
    assert.deepEqual([...blocksOf(ranges)].sort(), [...usedBlocks(maps)].sort(), `round ${round}`);
  }
});

/** As many groups as make the work long, each as small as the format allows. */
function tinyGroups(count: number): Maps {
  const group = { bitmap: 500, inodeBitmap: 501, table: 502, isUninitialized: true };
  return { blocksPerGroup: 8, inodeTableBlocks: 1, groups: Array.from({ length: count }, () => group) };
}

test("usedRanges() and copyDisk() see their signal among any number of tiny groups", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  const sizeBytes = writeMaps(path, tinyGroups(20_000));
  await using file = await open(path, "r");
  const abort = new AbortController();
  setImmediate(() => abort.abort());
  await assert.rejects(Array.fromAsync(usedRanges(file, sizeBytes, abort.signal)), AbortedError);

  const late = new AbortController();
  const copying = copyDisk({ from: path, to: join(directory.path, "copy"), signal: late.signal });
  setImmediate(() => late.abort());
  await assert.rejects(copying, AbortedError);
});

test("usedRanges() works through a million tiny groups", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  const sizeBytes = writeMaps(path, tinyGroups(1024 * 1024));
  await using file = await open(path, "r");
  const ranges = await Array.fromAsync(usedRanges(file, sizeBytes));
  assert.ok(ranges.length > 1);
});

test("usedRanges() is the whole disk where a bitmap is said to be in the super block's place", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  const group = { bitmap: 0, inodeBitmap: 9, table: 10, isUninitialized: false };
  const maps = { blocksPerGroup: 64, inodeTableBlocks: 1, groups: [group] };
  const sizeBytes = writeMaps(path, maps);
  await using file = await open(path, "r");
  assert.deepEqual(await Array.fromAsync(usedRanges(file, sizeBytes)), [{ begin: 0, end: sizeBytes }]);
});

test("digestDisk() ends for an empty file", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "empty");
  writeFileSync(path, "");
  assert.equal(await digestDisk(path), new ContentDigest(0).finish());
});
