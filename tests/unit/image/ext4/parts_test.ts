/** Parts of the ext4 formatter that the oracles do not cover fully. @module */
import assert from "node:assert/strict";
import { GiB, KiB, MiB } from "../../../../src/base/bytes.ts";
import { encodeBitmap } from "../../../../src/image/ext4/bitmap.ts";
import { BlockAllocator } from "../../../../src/image/ext4/block_allocator.ts";
import { buildExtentTree } from "../../../../src/image/ext4/extent_tree.ts";
import { encodeJournalSuperblock } from "../../../../src/image/ext4/journal.ts";
import {
  blocksInGroup,
  groupPlaces,
  hasSuperblock,
  type Layout,
  metadataBlocks,
  planLayout,
} from "../../../../src/image/ext4/layout.ts";
import { EXT4_SIZE_BYTES_MAX, EXT4_SIZE_BYTES_MIN } from "../../../../src/image/ext4.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";

test("encodeBitmap() sets what is used and what does not exist, and nothing else", () => {
  const random = seededRandom("encodeBitmap()");
  for (let round = 0; round < 50; round++) {
    const count = random.integer(0, 32_768);
    const used = random.integer(0, count);
    const bytes = encodeBitmap(used, count);
    for (let bit = 0; bit < 32_768; bit++) {
      const isSet = (bytes[bit >> 3]! & (1 << (bit % 8))) !== 0;
      assert.equal(isSet, bit < used || bit >= count, `bit ${bit} of ${used} used in ${count}`);
    }
  }
});

test("hasSuperblock() names 0, 1 and the powers of 3, 5 and 7", () => {
  const groups = Array.from({ length: 400 }, (_, group) => group).filter(hasSuperblock);
  assert.deepEqual(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343]);
});

test("planLayout() gives the journal what mke2fs gives it", () => {
  for (const [diskBytes, journalBytes] of [
    [EXT4_SIZE_BYTES_MIN, 4 * MiB],
    [128 * MiB - 4 * KiB, 4 * MiB],
    [128 * MiB, 16 * MiB],
    [1 * GiB, 32 * MiB],
    [2 * GiB, 64 * MiB],
    [4 * GiB, 64 * MiB],
    [16 * GiB, 128 * MiB],
    [32 * GiB, 256 * MiB],
    [64 * GiB, 512 * MiB],
    [128 * GiB, 1 * GiB],
    [EXT4_SIZE_BYTES_MAX, 1 * GiB],
  ] as const) {
    assert.equal(planLayout(diskBytes).journalBlocks * 4 * KiB, journalBytes, `${diskBytes} bytes`);
  }
});

/** Every group's metadata lies inside its flex group's first group, and no two parts of it overlap. */
function assertMetadataFits(layout: Layout): void {
  for (let group = 0; group < layout.groupCount; group++) {
    const first = group - (group % 16);
    const places = groupPlaces(layout, group);
    const metadataEnd = first * 32_768 + metadataBlocks(layout, first);
    assert.ok(places.blockBitmap < places.inodeBitmap && places.inodeBitmap < places.inodeTable);
    assert.ok(places.inodeTable + layout.inodeTableBlocksPerGroup <= metadataEnd);
    assert.ok(metadataBlocks(layout, group) <= blocksInGroup(layout, group), `group ${group}`);
    if (group === first) continue;
    const before = groupPlaces(layout, group - 1);
    assert.equal(places.blockBitmap, before.blockBitmap + 1);
    assert.equal(places.inodeBitmap, before.inodeBitmap + 1);
    assert.equal(places.inodeTable, before.inodeTable + layout.inodeTableBlocksPerGroup);
  }
}

test("planLayout() gives each group room for its metadata, at the limits and at any size between", () => {
  const random = seededRandom("planLayout()");
  const sizes = [EXT4_SIZE_BYTES_MIN, EXT4_SIZE_BYTES_MAX - 1, EXT4_SIZE_BYTES_MAX];
  for (let round = 0; round < 200; round++) {
    sizes.push(random.integer(EXT4_SIZE_BYTES_MIN, random.pick([GiB, 64 * GiB, 512 * GiB])));
  }
  for (const diskBytes of sizes) {
    const layout = planLayout(diskBytes);
    assert.ok(layout.blockCount * 4 * KiB <= diskBytes, `${diskBytes} bytes`);
    assert.ok(layout.groupCount * layout.inodesPerGroup < 2 ** 32, "inode numbers have 32 bits");
    assertMetadataFits(layout);
  }
});

test("BlockAllocator hands out every data block once, and counts those in use by group", () => {
  const layout = planLayout(300 * MiB);
  const allocator = new BlockAllocator(layout);
  const random = seededRandom("BlockAllocator");
  const groups = Array.from({ length: layout.groupCount }, (_, group) => group);
  let free = groups.reduce(
    (sum, group) => sum + blocksInGroup(layout, group) - metadataBlocks(layout, group),
    0,
  );
  let lowestAllowed = 0;
  while (free > 0) {
    const count = Math.min(free, random.integer(1, 9000));
    for (const { start, length } of allocator.allocate(count)) {
      const group = Math.floor(start / 32_768);
      assert.ok(length > 0 && start >= lowestAllowed);
      assert.ok(start >= group * 32_768 + metadataBlocks(layout, group), "metadata is not handed out");
      lowestAllowed = start + length;
      assert.ok(lowestAllowed <= group * 32_768 + blocksInGroup(layout, group), "a run stays in its group");
      free -= length;
    }
    const counted = groups.reduce(
      (sum, group) => sum + blocksInGroup(layout, group) - allocator.usedBlocks(group),
      0,
    );
    assert.equal(counted, free);
  }
  assert.throws(() => allocator.allocateOne(), { name: "InternalError" });
});

test("buildExtentTree() keeps four runs in the inode, and moves five to a leaf", () => {
  const runs = Array.from({ length: 5 }, (_, index) => ({ start: 2 ** 32 + 100 * index, length: 10 }));
  const allocator = new BlockAllocator(planLayout(EXT4_SIZE_BYTES_MIN));
  const inline = buildExtentTree(runs.slice(0, 4), allocator, 1);
  assert.equal(inline.leaf, undefined);
  const tree = buildExtentTree(runs, allocator, 1);
  assert.ok(tree.leaf !== undefined);
  const root = new DataView(tree.root.buffer);
  assert.deepEqual([root.getUint16(2, true), root.getUint16(6, true)], [1, 1], "one entry, depth 1");
  assert.equal(root.getUint32(16, true), tree.leaf.block);
  const leaf = new DataView(tree.leaf.bytes.buffer);
  assert.deepEqual([leaf.getUint16(2, true), leaf.getUint16(6, true)], [5, 0], "five entries, depth 0");
  const last = 12 + 4 * 12;
  assert.deepEqual(
    [leaf.getUint32(last, true), leaf.getUint16(last + 4, true)],
    [40, 10],
    "file block and length",
  );
  assert.deepEqual(
    [leaf.getUint16(last + 6, true), leaf.getUint32(last + 8, true)],
    [1, 400],
    "48-bit disk block",
  );
});

test("encodeJournalSuperblock() names the file system that the journal belongs to", () => {
  const uuid = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
  assert.deepEqual(encodeJournalSuperblock(1024, uuid).subarray(0x30, 0x40), uuid);
});
