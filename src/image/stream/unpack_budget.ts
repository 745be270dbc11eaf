/**
 * A bound on what an image unpacks to: compression makes a terabyte of zeros of a gigabyte, and a digest vouches for
 * that as for anything else.
 *
 * @module
 */
import { GiB } from "../../base/bytes.ts";
import { TarInvalidError } from "../errors.ts";

/** Most bytes that all layers of one image, or one tar or archive, may have when they are decompressed. */
export const UNPACKED_BYTES_MAX = 256 * GiB;

/** What one image may still unpack to. */
export class UnpackBudget {
  readonly #bytesMax: number;
  #leftBytes: number;

  constructor(bytesMax: number = UNPACKED_BYTES_MAX) {
    this.#bytesMax = bytesMax;
    this.#leftBytes = bytesMax;
  }

  /** Whether more has come than it allows. */
  get isExceeded(): boolean {
    return this.#leftBytes < 0;
  }

  /** Passes `source` on while it is within the budget. @throws {TarInvalidError} */
  async *spend(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of source) {
      this.#leftBytes -= chunk.length;
      if (this.#leftBytes < 0)
        throw new TarInvalidError(undefined, `it unpacks to more than ${this.#bytesMax} bytes`);
      yield chunk;
    }
  }
}
