/**
 * The ends of files that are to stand behind their inodes: kept in memory, in a few large pieces, until the inodes
 * are written.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { MiB } from "../../base/bytes.ts";

/** All kept ends together. What comes after it is exhausted gets a block of its own. */
export const TAIL_BYTES_BUDGET = 32 * MiB;
const PIECE_BYTES = 1 * MiB;

/** Bytes in the arena. */
export interface TailSlot {
  readonly piece: number;
  readonly offset: number;
}

export class TailArena {
  readonly #pieces: Buffer[] = [];
  #used = PIECE_BYTES;

  /** Room for `count` bytes (at most a block); `undefined` when the budget is spent. */
  reserve(count: number): TailSlot | undefined {
    if (this.#used + count > PIECE_BYTES) {
      if ((this.#pieces.length + 1) * PIECE_BYTES > TAIL_BYTES_BUDGET) return undefined;
      this.#pieces.push(Buffer.allocUnsafeSlow(PIECE_BYTES));
      this.#used = 0;
    }
    const slot = { piece: this.#pieces.length - 1, offset: this.#used };
    this.#used += count;
    return slot;
  }

  /** The `count` bytes of `slot`, to be read or filled. */
  view(slot: TailSlot, count: number): Uint8Array {
    return this.#pieces[slot.piece]!.subarray(slot.offset, slot.offset + count);
  }
}
