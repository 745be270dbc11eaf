/**
 * The file that an image is written to: a stream of blocks behind a buffer, under a temporary name until {@linkcode
 * ImageFile.commit} has made it durable. Writes are synchronous, since each is a copy into the page cache; callers
 * pause between them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { closeSync, ftruncateSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { assert } from "../../base/assert.ts";
import { MiB, roundUp } from "../../base/bytes.ts";
import { IoError } from "../../base/errors.ts";
import { TreeInvalidError } from "../errors.ts";
import { BLOCK_BYTES, BLOCKS_MAX } from "./format.ts";

/** Size of the write buffer. */
const GATHER_BYTES = 1 * MiB;
/** Runs of zeros of at least this size become holes in the file. */
const HOLE_BYTES_MIN = 64 * 1024;
const MODE = 0o600;

export class ImageFile {
  readonly path: string;
  readonly #temporaryPath: string;
  #descriptor: number | undefined;
  readonly #gathered = Buffer.allocUnsafeSlow(GATHER_BYTES);
  #gatheredBytes = 0;
  /** Where the gathered bytes belong. */
  #flushedBytes = 0;

  /** @throws {IoError} The file cannot be created. */
  constructor(path: string) {
    this.path = resolve(path);
    const suffix = randomBytes(6).toString("hex");
    this.#temporaryPath = join(dirname(this.path), `.${basename(this.path)}.${suffix}.tmp`);
    this.#descriptor = this.#attempt("create", () => openSync(this.#temporaryPath, "wx+", MODE));
  }

  /** Where the next byte goes. */
  get positionBytes(): number {
    return this.#flushedBytes + this.#gatheredBytes;
  }

  /** Appends `bytes`, which the caller may reuse afterwards. */
  append(bytes: Uint8Array): void {
    let from = 0;
    while (from < bytes.length) {
      const count = Math.min(bytes.length - from, GATHER_BYTES - this.#gatheredBytes);
      this.#gathered.set(
        from === 0 && count === bytes.length ? bytes : bytes.subarray(from, from + count),
        this.#gatheredBytes,
      );
      this.#gatheredBytes += count;
      from += count;
      if (this.#gatheredBytes === GATHER_BYTES) this.#flush();
    }
  }

  /** Appends `count` bytes of `source` without creating a view, which would be garbage for every file of an image. */
  appendPart(source: Buffer, offset: number, count: number): void {
    if (this.#gatheredBytes + count > GATHER_BYTES) this.#flush();
    if (count > GATHER_BYTES) {
      this.append(source.subarray(offset, offset + count));
      return;
    }
    this.#gatheredBytes += source.copy(this.#gathered, this.#gatheredBytes, offset, offset + count);
  }

  /** Appends `count` zeros. */
  appendZeros(count: number): void {
    if (count >= HOLE_BYTES_MIN) {
      this.#flush();
      this.#flushedBytes += count;
      return;
    }
    if (this.#gatheredBytes + count > GATHER_BYTES) this.#flush();
    this.#gathered.fill(0, this.#gatheredBytes, this.#gatheredBytes + count);
    this.#gatheredBytes += count;
  }

  /** Fills the current block with zeros. Returns the number of the next one. */
  startBlock(): number {
    this.appendZeros(roundUp(this.positionBytes, BLOCK_BYTES) - this.positionBytes);
    const block = this.positionBytes / BLOCK_BYTES;
    if (block >= BLOCKS_MAX) throw new TreeInvalidError("/", "the image would exceed 16 TiB");
    return block;
  }

  /** Fills `target` from data that was appended before. */
  readAt(target: Uint8Array, offsetBytes: number): void {
    this.#flush();
    let done = 0;
    while (done < target.length) {
      const count = this.#attempt("read", () =>
        readSync(this.#open, target, done, target.length - done, offsetBytes + done),
      );
      if (count === 0) break; // the file's end lies in a hole that is not written yet
      done += count;
    }
    target.fill(0, done);
  }

  /** Writes the first block, makes everything durable and gives the file its name. Returns its size. */
  async commit(firstBlock: Uint8Array): Promise<number> {
    const sizeBytes = this.startBlock() * BLOCK_BYTES;
    this.#flush();
    this.#writeAt(firstBlock, 0);
    this.#attempt("extend", () => ftruncateSync(this.#open, sizeBytes));
    this.#close();
    await this.#attemptAsync("write", () => syncPath(this.#temporaryPath, "r+"));
    this.#attempt("rename", () => renameSync(this.#temporaryPath, this.path));
    await this.#attemptAsync("write", () => syncPath(dirname(this.path), "r"));
    return sizeBytes;
  }

  /** Removes the file unless it was committed. May be called at any time and repeatedly. */
  discard(): void {
    this.#close();
    rmSync(this.#temporaryPath, { force: true });
  }

  get #open(): number {
    assert(this.#descriptor !== undefined, "the image file is open");
    return this.#descriptor;
  }

  #close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #flush(): void {
    if (this.#gatheredBytes === 0) return;
    this.#writeAt(this.#gathered.subarray(0, this.#gatheredBytes), this.#flushedBytes);
    this.#flushedBytes += this.#gatheredBytes;
    this.#gatheredBytes = 0;
  }

  #writeAt(bytes: Uint8Array, offsetBytes: number): number {
    let done = 0;
    while (done < bytes.length) {
      done += this.#attempt("write", () =>
        writeSync(this.#open, bytes, done, bytes.length - done, offsetBytes + done),
      );
    }
    return done;
  }

  #attempt<T>(verb: string, operation: () => T): T {
    try {
      return operation();
    } catch (error) {
      throw new IoError(`${verb} the image ${this.path}`, this.path, error);
    }
  }

  async #attemptAsync<T>(verb: string, operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      throw new IoError(`${verb} the image ${this.path}`, this.path, error);
    }
  }
}

/** Syncs off the main thread, because waiting for a disk can take seconds. */
async function syncPath(path: string, flags: "r" | "r+"): Promise<void> {
  const handle = await open(path, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
