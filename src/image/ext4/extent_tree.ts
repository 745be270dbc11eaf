/**
 * The map from a file's blocks to the disk's: up to four extents in the inode itself, more in one leaf block.
 *
 * Source: Linux, Documentation/filesystems/ext4, "Extent Tree".
 *
 * @module
 */
import { assert } from "../../base/assert.ts";
import type { Bytes } from "../../base/bytes.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import type { BlockAllocator, BlockRun } from "./block_allocator.ts";
import { BLOCK_BYTES } from "./constants.ts";
import { highHalf, lowHalf, viewOf } from "./little_endian.ts";

const MAGIC = 0xf30a;
const HEADER_BYTES = 12;
const ENTRY_BYTES = 12;
const ROOT_BYTES = 60;
const ROOT_ENTRIES_MAX = (ROOT_BYTES - HEADER_BYTES) / ENTRY_BYTES;
const LEAF_ENTRIES_MAX = Math.floor((BLOCK_BYTES - HEADER_BYTES) / ENTRY_BYTES);
const LEAF_CHECKSUM_OFFSET = HEADER_BYTES + LEAF_ENTRIES_MAX * ENTRY_BYTES;

/** An inode's 60 bytes of `i_block`, and the block that they point to when the extents do not fit into them. */
export interface ExtentTree {
  readonly root: Bytes;
  readonly leaf: { readonly block: number; readonly bytes: Bytes } | undefined;
}

/** Maps a file's blocks, from the first on, to `runs`. `seed` is the inode's. */
export function buildExtentTree(
  runs: readonly BlockRun[],
  allocator: BlockAllocator,
  seed: number,
): ExtentTree {
  const root = new Uint8Array(ROOT_BYTES);
  if (runs.length <= ROOT_ENTRIES_MAX) {
    writeHeader(root, { entries: runs.length, entriesMax: ROOT_ENTRIES_MAX, depth: 0 });
    writeExtents(root, runs);
    return { root, leaf: undefined };
  }
  assert(runs.length <= LEAF_ENTRIES_MAX, "the longest journal fits into one leaf");
  const block = allocator.allocateOne();
  writeHeader(root, { entries: 1, entriesMax: ROOT_ENTRIES_MAX, depth: 1 });
  writeIndex(root, block);
  return { root, leaf: { block, bytes: encodeLeaf(runs, seed) } };
}

function encodeLeaf(runs: readonly BlockRun[], seed: number): Bytes {
  const bytes = new Uint8Array(BLOCK_BYTES);
  writeHeader(bytes, { entries: runs.length, entriesMax: LEAF_ENTRIES_MAX, depth: 0 });
  writeExtents(bytes, runs);
  const checksum = updateCrc32c(seed, bytes.subarray(0, LEAF_CHECKSUM_OFFSET));
  viewOf(bytes).setUint32(LEAF_CHECKSUM_OFFSET, checksum, true);
  return bytes;
}

interface Header {
  readonly entries: number;
  readonly entriesMax: number;
  /** 0 where the entries are extents. */
  readonly depth: number;
}

function writeHeader(node: Uint8Array, { entries, entriesMax, depth }: Header): void {
  const view = viewOf(node);
  view.setUint16(0x0, MAGIC, true);
  view.setUint16(0x2, entries, true);
  view.setUint16(0x4, entriesMax, true);
  view.setUint16(0x6, depth, true);
}

/** A run never exceeds a group, and a group is exactly the longest extent: 32,768 blocks. */
function writeExtents(node: Uint8Array, runs: readonly BlockRun[]): void {
  const view = viewOf(node);
  let fileBlock = 0;
  runs.forEach(({ start, length }, index) => {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    view.setUint32(at, fileBlock, true);
    view.setUint16(at + 0x4, length, true);
    view.setUint16(at + 0x6, highHalf(start), true);
    view.setUint32(at + 0x8, lowHalf(start), true);
    fileBlock += length;
  });
}

/** The first entry of an inner node: its leaf maps the file from its first block on. */
function writeIndex(node: Uint8Array, leafBlock: number): void {
  const view = viewOf(node);
  view.setUint32(HEADER_BYTES + 0x4, lowHalf(leafBlock), true);
  view.setUint16(HEADER_BYTES + 0x8, highHalf(leafBlock), true);
}
