/**
 * Bounds the decompressed size of an image. Compression turns a gigabyte into a terabyte of zeros, and a matching
 * digest does not rule that out.
 *
 * @module
 */
import { GiB } from "../../base/bytes.ts";
import { TarInvalidError } from "../errors.ts";

/** Most decompressed bytes of all layers of an image, or of a tar or archive. */
export const UNPACKED_BYTES_MAX = 256 * GiB;

/** Decompressed bytes that an image has left. */
export class UnpackBudget {
  readonly #bytesMax: number;
  #leftBytes: number;

  constructor(bytesMax: number = UNPACKED_BYTES_MAX) {
    this.#bytesMax = bytesMax;
    this.#leftBytes = bytesMax;
  }

  /** Whether more bytes have come than the budget allows. */
  get isExceeded(): boolean {
    return this.#leftBytes < 0;
  }

  /** Passes `source` through while it is within the budget. @throws {TarInvalidError} */
  async *spend(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of source) {
      this.#leftBytes -= chunk.length;
      if (this.#leftBytes < 0)
        throw new TarInvalidError(undefined, `it unpacks to more than ${this.#bytesMax} bytes`);
      yield chunk;
    }
  }
}
