/**
 * Writes a disk from an entry of a tar in GNU's sparse format 1.0: a map of the runs of data, then the data. The map is
 * somebody else's, so that it is read as it comes and kept as numbers.
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

/** Most runs of a map, for each of which 16 bytes are kept. A disk with one each 128 KiB has as many in 512 GiB. */
export const RUNS_MAX = 4 * 1024 * 1024;

const TAR_BLOCK_BYTES = 512;
const RUNS_FIRST = 1024;
const DIGITS_MAX = 15;
const NEWLINE = 0x0a;
const DIGIT_ZERO = 0x30;

/** Runs of data, in order and apart from each other. */
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
  /** What errors call the archive. */
  readonly path: string;
  /** The disk, which has its size and nothing else yet. */
  readonly file: FileHandle;
  readonly sizeBytes: number;
  /** Most bytes that the runs may have together. */
  readonly dataBytesMax: number;
}

/** Takes the bytes of the entry, in order. */
export class SparseWriter {
  readonly #options: SparseWriterOptions;
  readonly #runs = new RunTable();
  #dataBytes = 0;

  // The map, as far as it is read.
  #phase: "map" | "padding" | "data" = "map";
  #mapBytes = 0;
  #number = 0;
  #digits = 0;
  /** Number of runs, once it is known. */
  #count: number | undefined;
  #numbersRead = 0;
  #begin = 0;
  #endOfLast = 0;

  // The data, as far as it is written.
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

  /** Where the disk has data now. @throws {SnapshotIntegrityError} Something is missing. */
  finish(): RunTable {
    if (this.#phase !== "data") throw this.#damaged("its map is cut short");
    if (this.#run < this.#runs.length) throw this.#damaged("its data is cut short");
    return this.#runs;
  }

  #takeMapByte(byte: number): void {
    if (byte !== NEWLINE) {
      const digit = byte - DIGIT_ZERO;
      if (digit < 0 || digit > 9 || ++this.#digits > DIGITS_MAX)
        throw this.#damaged("its map has something else than numbers");
      this.#number = this.#number * 10 + digit;
      return;
    }
    if (this.#digits === 0) throw this.#damaged("its map has something else than numbers");
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
    if (begin < this.#endOfLast || end > sizeBytes) throw this.#damaged("its map leads out of the disk");
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

  /** Zeros stay holes: they compress to nothing, so that an archive can have any number of them. */
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
