/**
 * Bytes that a peer has not taken yet.
 *
 * @module
 */
import { KiB } from "../base/bytes.ts";

/** Chunks below this size are copied together: a queue of them would cost many times the bytes that it counts. */
const COPY_BYTES_MAX = 4 * KiB;
/** Blocks that small chunks are copied into start with this size, and double up to the other. */
const BLOCK_BYTES_MIN = 512;
const BLOCK_BYTES_MAX = 32 * KiB;

/** A queue whose memory is bounded by the bytes in it, however small the chunks are that made them. */
export class SendQueue {
  readonly #blocks: Uint8Array[] = [];
  /** How much of the first block has been taken. */
  #takenBytes = 0;
  /** The last block, if it is one to copy into. */
  #open: Uint8Array | undefined;
  /** How much of the open block is in use. */
  #openBytes = 0;
  #byteLength = 0;

  get byteLength(): number {
    return this.#byteLength;
  }

  /** How many pieces it is kept in. */
  get blockCount(): number {
    return this.#blocks.length;
  }

  /** Adds bytes. They may be kept as they are, and must not be changed. */
  push(bytes: Uint8Array): void {
    this.#byteLength += bytes.length;
    if (bytes.length >= COPY_BYTES_MAX) {
      this.#seal();
      this.#blocks.push(bytes);
      return;
    }
    for (let rest = bytes; rest.length > 0; ) {
      const block = this.#openBlock();
      const count = Math.min(rest.length, block.length - this.#openBytes);
      block.set(rest.subarray(0, count), this.#openBytes);
      this.#openBytes += count;
      rest = rest.subarray(count);
    }
  }

  /** The bytes at the front; `undefined` if there are none. What is taken is not written to again. */
  first(): Uint8Array | undefined {
    const block = this.#blocks[0];
    if (block === undefined) return undefined;
    return block.subarray(this.#takenBytes, block === this.#open ? this.#openBytes : block.length);
  }

  /** Removes `count` bytes from the front; at most as many as {@linkcode first} has. */
  take(count: number): void {
    const block = this.#blocks[0];
    if (block === undefined) return;
    this.#byteLength -= count;
    this.#takenBytes += count;
    const end = block === this.#open ? this.#openBytes : block.length;
    if (this.#takenBytes < end) return;
    if (block === this.#open) this.#open = undefined;
    this.#blocks.shift();
    this.#takenBytes = 0;
  }

  clear(): void {
    this.#blocks.length = 0;
    this.#open = undefined;
    this.#takenBytes = 0;
    this.#byteLength = 0;
  }

  #openBlock(): Uint8Array {
    const open = this.#open;
    if (open !== undefined && this.#openBytes < open.length) return open;
    this.#seal();
    const size = open === undefined ? BLOCK_BYTES_MIN : Math.min(open.length * 2, BLOCK_BYTES_MAX);
    const block = new Uint8Array(size);
    this.#blocks.push(block);
    this.#open = block;
    this.#openBytes = 0;
    return block;
  }

  /** What comes next goes into another block. */
  #seal(): void {
    if (this.#open !== undefined && this.#openBytes < this.#open.length)
      this.#blocks[this.#blocks.length - 1] = this.#open.subarray(0, this.#openBytes);
    this.#open = undefined;
  }
}
