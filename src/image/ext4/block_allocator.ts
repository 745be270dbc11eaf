/**
 * Hands out data blocks of an empty file system, lowest first and never one twice.
 *
 * As a group's fixed metadata lies at its start, and data is handed out upwards from there, the used blocks of every
 * group are always its first n: no bitmap has to be kept in memory.
 *
 * @module
 */
import { assert } from "../../base/assert.ts";
import { blocksInGroup, firstBlockOfGroup, groupOfBlock, type Layout, metadataBlocks } from "./layout.ts";

/** Blocks that follow each other on disk, all in one group. */
export interface BlockRun {
  readonly start: number;
  readonly length: number;
}

export class BlockAllocator {
  readonly #layout: Layout;
  /** Every data block below it is handed out. */
  #next: number;

  constructor(layout: Layout) {
    this.#layout = layout;
    this.#next = metadataBlocks(layout, 0);
  }

  /** The `count` lowest free blocks, as the runs that metadata of later groups cuts them into. */
  allocate(count: number): readonly BlockRun[] {
    const runs: BlockRun[] = [];
    for (let missing = count; missing > 0; ) {
      const run = this.#takeFromOneGroup(missing);
      if (run.length > 0) runs.push(run);
      missing -= run.length;
    }
    return runs;
  }

  allocateOne(): number {
    const [run] = this.allocate(1);
    assert(run !== undefined, "one block is one run");
    return run.start;
  }

  /** How many blocks at the start of `group` are in use; all others in it are free. */
  usedBlocks(group: number): number {
    const handedOut = Math.min(this.#next - firstBlockOfGroup(group), blocksInGroup(this.#layout, group));
    return Math.max(handedOut, metadataBlocks(this.#layout, group));
  }

  /** The longest run of at most `atMost` blocks at the lowest free block; empty if this group has no more. */
  #takeFromOneGroup(atMost: number): BlockRun {
    assert(
      this.#next < this.#layout.blockCount,
      "the smallest disk has room for the journal and all directories",
    );
    const group = groupOfBlock(this.#next);
    const start = Math.max(this.#next, firstBlockOfGroup(group) + metadataBlocks(this.#layout, group));
    const end = firstBlockOfGroup(group) + blocksInGroup(this.#layout, group);
    const length = Math.min(atMost, end - start);
    this.#next = start + length;
    return { start, length };
  }
}
