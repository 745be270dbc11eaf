/**
 * The writer's end of one log: appends whole lines to the live file and rotates it. Used by one process at a time (the
 * VM host process); any number of readers may look on, so
 *
 * - each call of `append` is one write, with O_APPEND, and nothing that was written is ever changed or cut off;
 * - a new live file appears under its name only with its header in it;
 * - a torn tail that a crash or a full disk left is closed with a line feed, so that it swallows no other line.
 *
 * No method throws because of the disk: what could not be written is the caller's to count.
 *
 * @module
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { errnoOf, InvalidConfigError, messageOf } from "../base/errors.ts";
import { ifPresent, renameIfPresent } from "../platform/if_present.ts";
import { NotRegularError, openRegularSync } from "../platform/regular_file.ts";
import type { LogPosition } from "./cursor.ts";
import { foreignGeneration, formatHeader, lastLineTime, parseHeader } from "./header.ts";
import {
  CLOCK_BACK_HOLD_MS,
  FILE_BYTES_DEFAULT,
  FILE_BYTES_MIN,
  HEADER_BYTES_MAX,
  READ_BACK_BYTES,
  ROTATED_FILES_DEFAULT,
  ROTATED_FILES_MAX,
  WRITER_RETRY_MS,
} from "./limits.ts";
import type { LogFileSpec } from "./log_files.ts";

/** Options that all log writers share. */
export interface LogWriterOptions {
  /** The sandbox's log directory; made if it is absent. */
  directory: string;
  /** Goes into each file's header; cursors are bound to it. */
  sandboxId: string;
  /** A file is rotated before it would grow beyond this, in bytes. @default {10_485_760} */
  maxFileBytes?: number | undefined;
  /** Rotated files that are kept, 1 to 9. @default {4} */
  rotatedFilesMax?: number | undefined;
  /** Milliseconds since 1970. @default {Date.now} */
  clock?: (() => number) | undefined;
}

const LINE_FEED = 0x0a;
const LINE_FEED_BYTES = new Uint8Array([LINE_FEED]);
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

export class RotatingFile {
  /** Error name of the last failed operation, e.g. `"ENOSPC"`; `undefined` before the first. */
  lastErrno: string | undefined;

  readonly #directory: string;
  readonly #sandboxId: string;
  readonly #spec: LogFileSpec;
  readonly #maxFileBytes: number;
  readonly #rotatedFilesMax: number;
  readonly #clock: () => number;
  #descriptor: number | undefined;
  #generation = 0;
  #sizeBytes = 0;
  /** The file ends in the middle of a line. */
  #torn = false;
  /** Stamp of the newest line: stamps do not run backwards within a generation. */
  #lastStampMs = 0;
  /** The clock was set back by so much that a new generation has to begin. */
  #clockSetBack = false;
  #retryAtMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(spec: LogFileSpec, options: LogWriterOptions) {
    this.#maxFileBytes = options.maxFileBytes ?? FILE_BYTES_DEFAULT;
    this.#rotatedFilesMax = options.rotatedFilesMax ?? ROTATED_FILES_DEFAULT;
    checkRange("maxFileBytes", this.#maxFileBytes, FILE_BYTES_MIN, Number.MAX_SAFE_INTEGER);
    checkRange("rotatedFilesMax", this.#rotatedFilesMax, 1, ROTATED_FILES_MAX);
    this.#spec = spec;
    this.#directory = options.directory;
    this.#sandboxId = options.sandboxId;
    this.#clock = options.clock ?? Date.now;
    this.#ready();
  }

  /** Where the next line begins, if the file is not rotated before it; `undefined` if there is none to write to. */
  get position(): LogPosition | undefined {
    if (!this.#ready()) return undefined;
    return { generation: this.#generation, offsetBytes: this.#sizeBytes };
  }

  /** The time for the next line: the clock's, but never before that of the line before. */
  stampMs(): number {
    const nowMs = this.#clock();
    if (nowMs >= this.#lastStampMs) return nowMs;
    if (this.#lastStampMs - nowMs <= CLOCK_BACK_HOLD_MS) return this.#lastStampMs;
    this.#clockSetBack = true;
    return nowMs;
  }

  /**
   * Writes `lines`, which end in a line feed and carry `stampMs`. Returns whether all of it is in the file. If not,
   * part of it may be; readers do not take that for a line.
   */
  append(lines: Uint8Array, stampMs: number): boolean {
    const due = this.#clockSetBack || this.#sizeBytes + lines.length > this.#maxFileBytes;
    if (!this.#ready() || (due && !this.#makeRoom(lines.length))) return false;
    if (this.#torn) {
      if (!this.#write(LINE_FEED_BYTES)) return false;
      this.#torn = false;
    }
    const sizeBefore = this.#sizeBytes;
    const complete = this.#write(lines);
    this.#torn = !complete && this.#sizeBytes > sizeBefore;
    if (complete && stampMs > this.#lastStampMs) this.#lastStampMs = stampMs;
    return complete;
  }

  /** Waits until the disk has everything. */
  sync(): void {
    if (this.#descriptor !== undefined) this.#attempt(fsyncSync, this.#descriptor);
  }

  close(): void {
    if (this.#descriptor !== undefined) this.#attempt(closeSync, this.#descriptor);
    this.#descriptor = undefined;
    this.#closed = true;
  }

  /** Whether there is a live file to write to; opens it if it is time to try. */
  #ready(): boolean {
    if (this.#descriptor !== undefined) return true;
    if (this.#closed || !this.#isTimeToTry()) return false;
    return this.#try(() => this.#open());
  }

  /** Rotates. If that fails, the live file may grow to twice its limit before lines are refused. */
  #makeRoom(lineBytes: number): boolean {
    const mayWait = !this.#clockSetBack && this.#sizeBytes + lineBytes <= 2 * this.#maxFileBytes;
    return (this.#isTimeToTry() && this.#try(() => this.#rotate())) || mayWait;
  }

  /** Not right after a failure; a clock that was set back does not make the wait longer. */
  #isTimeToTry(): boolean {
    const nowMs = this.#clock();
    return nowMs >= this.#retryAtMs || nowMs < this.#retryAtMs - WRITER_RETRY_MS;
  }

  #try(action: () => void): boolean {
    try {
      action();
      this.#retryAtMs = Number.NEGATIVE_INFINITY;
      return true;
    } catch (error) {
      this.lastErrno = errnoOf(error) ?? messageOf(error);
      this.#retryAtMs = this.#clock() + WRITER_RETRY_MS;
      return false;
    }
  }

  #attempt<T>(action: (argument: T) => void, argument: T): void {
    try {
      action(argument);
    } catch (error) {
      this.lastErrno = errnoOf(error) ?? messageOf(error);
    }
  }

  #write(bytes: Uint8Array): boolean {
    const descriptor = this.#descriptor!;
    try {
      writeAll(descriptor, bytes);
      this.#sizeBytes += bytes.length;
      return true;
    } catch (error) {
      this.lastErrno = errnoOf(error) ?? messageOf(error);
      // Part of it may be in the file, and Deno's writeSync, which repeats short writes itself, does not say how much.
      this.#attempt((file) => {
        this.#sizeBytes = fstatSync(file).size;
      }, descriptor);
      return false;
    }
  }

  /** Continues the live file of an earlier boot, or begins a new one. */
  #open(): void {
    mkdirSync(this.#directory, { recursive: true, mode: DIRECTORY_MODE });
    const live = openIfPresent(this.#path(0), constants.O_RDWR | constants.O_APPEND);
    if (live === undefined || !this.#adopt(live)) {
      // Empty, foreign, another sandbox's, or not a regular file: kept under the next name.
      if (live !== undefined) closeSync(live);
      this.#rotate();
    }
  }

  /** Whether the open file `live` is one of ours, to be continued. */
  #adopt(live: number): boolean {
    const header = parseHeader(this.#spec.format, readAt(live, 0, HEADER_BYTES_MAX));
    if (header?.sandboxId !== this.#sandboxId) return false;
    const { size, mtimeMs } = fstatSync(live);
    const tail = readAt(live, Math.max(0, size - READ_BACK_BYTES), READ_BACK_BYTES);
    this.#descriptor = live;
    this.#generation = header.generation;
    this.#sizeBytes = size;
    this.#torn = tail.at(-1) !== LINE_FEED;
    this.#lastStampMs = lastLineTime(this.#spec.format, tail) ?? Math.floor(mtimeMs);
    return true;
  }

  /**
   * The new file is complete before the first rename, so that a full disk changes nothing; and a crash between any two
   * steps leaves only a gap in the suffixes, which readers pass over.
   */
  #rotate(): void {
    const generation = this.#newestGeneration() + 1;
    const nowMs = this.#clock();
    const fresh = join(this.#directory, `${this.#spec.filename}.new`);
    rmSync(fresh, { force: true });
    const descriptor = openSync(fresh, "ax", FILE_MODE);
    const previousSizeBytes = this.#previousSize();
    const header = formatHeader(this.#spec.format, nowMs, {
      generation,
      sandboxId: this.#sandboxId,
      previousSizeBytes,
    });
    const headerBytes = Buffer.from(header);
    try {
      writeAll(descriptor, headerBytes);
      for (let index = this.#rotatedFilesMax - 1; index >= 0; index--) {
        renameIfPresent(this.#path(index), this.#path(index + 1));
      }
      renameSync(fresh, this.#path(0));
    } catch (error) {
      closeSync(descriptor);
      rmSync(fresh, { force: true });
      throw error;
    }
    if (this.#descriptor !== undefined) this.#attempt(closeSync, this.#descriptor);
    this.#descriptor = descriptor;
    this.#generation = generation;
    this.#sizeBytes = headerBytes.length;
    this.#lastStampMs = nowMs;
    this.#torn = false;
    this.#clockSetBack = false;
  }

  /** Size of the newest file so far. A crash in the middle of a rotation leaves it under its next name. */
  #previousSize(): number | undefined {
    if (this.#descriptor !== undefined) return fstatSync(this.#descriptor).size;
    return sizeIfPresent(this.#path(0)) ?? sizeIfPresent(this.#path(1));
  }

  /** 0 if there is no file yet. */
  #newestGeneration(): number {
    if (this.#generation > 0) return this.#generation;
    let newest = 0;
    for (let index = ROTATED_FILES_MAX; index >= 0; index--) {
      const descriptor = openIfPresent(this.#path(index), constants.O_RDONLY);
      if (descriptor === undefined) continue;
      const head = readAt(descriptor, 0, HEADER_BYTES_MAX);
      closeSync(descriptor);
      const { format } = this.#spec;
      // A file that tells nothing still gets a place before ours.
      newest = Math.max(
        newest + 1,
        parseHeader(format, head)?.generation ?? foreignGeneration(format, head) ?? 0,
      );
    }
    return newest;
  }

  #path(index: number): string {
    return logPath(this.#directory, this.#spec, index);
  }
}

/** The path of the live file (index 0) or of a rotated one. */
export function logPath(directory: string, spec: LogFileSpec, index: number): string {
  return join(directory, index === 0 ? spec.filename : `${spec.filename}.${index}`);
}

function checkRange(field: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw new InvalidConfigError([
    { field, problem: `must be an integer from ${min} to ${max}: current value is ${value}` },
  ]);
}

function readAt(descriptor: number, offset: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  for (;;) {
    const count = readSync(descriptor, buffer, filled, length - filled, offset + filled);
    filled += count;
    if (count === 0 || filled === length) return buffer.subarray(0, filled);
  }
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; )
    written += writeSync(descriptor, bytes, written, bytes.length - written);
}

/** `undefined` if there is no file, or something else in its place: a link or a FIFO holds no log of ours. */
function openIfPresent(path: string, flags: number): number | undefined {
  try {
    return ifPresent(() => openRegularSync(path, flags));
  } catch (error) {
    if (error instanceof NotRegularError || errnoOf(error) === "ELOOP") return undefined;
    throw error;
  }
}

function sizeIfPresent(path: string): number | undefined {
  const status = ifPresent(() => lstatSync(path));
  return status?.isFile() ? status.size : undefined;
}
