/**
 * Writes a disk from a tar entry in GNU's sparse format 1.0: a map of the runs of data, then the data. The map is not
 * trusted, so it is parsed as it arrives and kept as numbers.
 *
 * Source: the GNU tar manual, "Storing Sparse Files".
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import { UPPER_NAME } from "./descriptor.ts";
import { dataRuns } from "./disk_copy.ts";
import { SnapshotIntegrityError } from "./errors.ts";
import type { DiskRange } from "./used_ranges.ts";

/**
 * Most runs of a map, each of which takes 16 bytes of memory. A disk of 512 GiB with a run every 128 KiB has as many.
 */
export const RUNS_MAX = 4 * 1024 * 1024;

const TAR_BLOCK_BYTES = 512;
const RUNS_FIRST = 1024;
const DIGITS_MAX = 15;
const NEWLINE = 0x0a;
const DIGIT_ZERO = 0x30;

/** Runs of data in ascending sequence, without overlaps. */
export class RunTable implements Iterable<DiskRange> {
  #bounds = new Float64Array(2 * RUNS_FIRST);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(begin: number, end: number): void {
    if (2 * this.#length === this.#bounds.length) {
      const wider = new Float64Array(2 * this.#bounds.length);
      wider.set(this.#bounds);
      this.#bounds = wider;
    }
    this.#bounds[2 * this.#length] = begin;
    this.#bounds[2 * this.#length + 1] = end;
    this.#length++;
  }

  at(index: number): DiskRange {
    return { begin: this.#bounds[2 * index]!, end: this.#bounds[2 * index + 1]! };
  }

  *[Symbol.iterator](): Generator<DiskRange, void, undefined> {
    for (let index = 0; index < this.#length; index++) yield this.at(index);
  }
}

export interface SparseWriterOptions {
  /** Name of the archive in errors. */
  readonly path: string;
  /** The disk: a file that has its size but no data yet. */
  readonly file: FileHandle;
  readonly sizeBytes: number;
  /** Most bytes of data in all runs together. */
  readonly dataBytesMax: number;
}

/** Writes the bytes of an entry as they arrive. */
export class SparseWriter {
  readonly #options: SparseWriterOptions;
  readonly #runs = new RunTable();
  #dataBytes = 0;

  // State of reading the map.
  #phase: "map" | "padding" | "data" = "map";
  #mapBytes = 0;
  #number = 0;
  #digits = 0;
  /** Number of runs, once known. */
  #count: number | undefined;
  #numbersRead = 0;
  #begin = 0;
  #endOfLast = 0;

  // State of writing the data.
  #run = 0;
  #position = 0;

  constructor(options: SparseWriterOptions) {
    this.#options = options;
  }

  /** @throws {SnapshotIntegrityError} The map is damaged or over a limit, or there is more data than it says. */
  async write(bytes: Uint8Array): Promise<void> {
    let at = 0;
    while (this.#phase !== "data" && at < bytes.length) {
      if (this.#phase === "map") this.#takeMapByte(bytes[at]!);
      at++;
      this.#mapBytes++;
      if (this.#phase === "padding" && this.#mapBytes % TAR_BLOCK_BYTES === 0) this.#phase = "data";
    }
    if (at < bytes.length) await this.#writeData(bytes.subarray(at));
  }

  /** Returns the parts of the disk that have data. @throws {SnapshotIntegrityError} Something is missing. */
  finish(): RunTable {
    if (this.#phase !== "data") throw this.#damaged("its map is cut short");
    if (this.#run < this.#runs.length) throw this.#damaged("its data is cut short");
    return this.#runs;
  }

  #takeMapByte(byte: number): void {
    if (byte !== NEWLINE) {
      const digit = byte - DIGIT_ZERO;
      if (digit < 0 || digit > 9 || ++this.#digits > DIGITS_MAX)
        throw this.#damaged("its map contains something other than numbers");
      this.#number = this.#number * 10 + digit;
      return;
    }
    if (this.#digits === 0) throw this.#damaged("its map contains something other than numbers");
    this.#takeNumber(this.#number);
    [this.#number, this.#digits] = [0, 0];
  }

  #takeNumber(value: number): void {
    if (this.#count === undefined) {
      if (value > RUNS_MAX) throw this.#damaged(`its map has more than ${RUNS_MAX} runs`);
      this.#count = value;
    } else if (this.#numbersRead++ % 2 === 0) {
      this.#begin = value;
    } else {
      this.#addRun(this.#begin, this.#begin + value);
    }
    if (this.#numbersRead === 2 * this.#count) this.#phase = "padding";
  }

  #addRun(begin: number, end: number): void {
    const { sizeBytes, dataBytesMax } = this.#options;
    if (begin < this.#endOfLast || end > sizeBytes) throw this.#damaged("its map leads outside the disk");
    this.#endOfLast = end;
    this.#dataBytes += end - begin;
    if (this.#dataBytes > dataBytesMax) throw this.#damaged(`it has more than ${dataBytesMax} bytes of data`);
    if (end > begin) this.#runs.push(begin, end);
  }

  async #writeData(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      if (this.#run === this.#runs.length) throw this.#damaged("it has more data than its map says");
      const { begin, end } = this.#runs.at(this.#run);
      const offset = Math.max(begin, this.#position);
      const size = Math.min(end - offset, bytes.length - done);
      await this.#writeAt(bytes.subarray(done, done + size), offset);
      done += size;
      this.#position = offset + size;
      if (this.#position === end) this.#run++;
    }
  }

  /**
   * Writes data, but leaves zeros as holes: they compress to almost nothing, so an archive can contain any number of
   * them.
   */
  async #writeAt(bytes: Uint8Array, offset: number): Promise<void> {
    for (const { begin, end } of dataRuns(bytes)) {
      for (let done = begin; done < end; ) {
        const { bytesWritten } = await this.#options.file.write(bytes, done, end - done, offset + done);
        done += bytesWritten;
      }
    }
  }

  #damaged(problem: string): SnapshotIntegrityError {
    return new SnapshotIntegrityError(this.#options.path, `${UPPER_NAME}: ${problem}`);
  }
}
