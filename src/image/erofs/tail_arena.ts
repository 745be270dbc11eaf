/**
 * Keeps in memory, in a few large pieces, the ends of files that will follow their inodes, until the inodes are
 * written.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { MiB } from "../../base/bytes.ts";
import type { ImageFile } from "./image_file.ts";

/** All kept ends together. What comes after it is exhausted gets a block of its own. */
export const TAIL_BYTES_BUDGET = 4 * MiB;
const PIECE_BYTES = 1 * MiB;

/** Where bytes are in the arena: a number, as there is one for nearly every file. */
export type TailSlot = number;

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
    const slot = (this.#pieces.length - 1) * PIECE_BYTES + this.#used;
    this.#used += count;
    return slot;
  }

  /** Appends the `count` bytes of `slot` to the image. */
  appendTo(file: ImageFile, slot: TailSlot, count: number): void {
    const offset = slot % PIECE_BYTES;
    file.appendPart(this.#pieces[(slot - offset) / PIECE_BYTES]!, offset, count);
  }

  /** The `count` bytes of `slot`, to be read or filled. */
  view(slot: TailSlot, count: number): Uint8Array {
    const offset = slot % PIECE_BYTES;
    return this.#pieces[(slot - offset) / PIECE_BYTES]!.subarray(offset, offset + count);
  }
}
