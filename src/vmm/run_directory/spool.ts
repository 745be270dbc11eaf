/**
 * Follows a file that an engine writes: the kernel's console, or the engine's own messages.
 *
 * It is a plain file rather than a pipe because libkrun ends the whole process with `_exit`: the last messages, often the
 * reason for a crash, must survive that. The file is emptied as it is read, so that a guest that floods its console does
 * not fill the host's disk.
 *
 * @module
 */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
} from "node:fs";
import { type Bytes, decodeUtf8, KiB, MiB } from "../../base/bytes.ts";
import { errnoOf, IoError, messageOf } from "../../base/errors.ts";

/** How often the file is read. The logs are for people, who do not notice such a delay. */
const POLL_MS = 200;
/** The file is emptied once this much of it has been read … */
const EMPTY_BYTES = 1 * MiB;
/** … and nothing is left to read. Past this size it is emptied in any case: a guest may flood its console without end. */
const EMPTY_BYTES_MAX = 16 * MiB;
/** How often one read starts over because the file has grown in between. */
const PASSES_MAX = 4;
const READ_BYTES = 64 * KiB;
/** The most that {@linkcode spoolTail} gives. */
const TAIL_BYTES = 4 * KiB;
/** The most that {@linkcode spoolRest} gives, from the end. */
const REST_BYTES_MAX = 16 * MiB;
/** What is read to tell a hole from text. */
const PROBE_BYTES = 4 * KiB;

export class Spool {
  readonly #path: string;
  readonly #file: number;
  readonly #take: (chunk: Uint8Array) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #buffer = new Uint8Array(READ_BYTES);
  /** Offset of the next byte to read. */
  #offset = 0;
  /** Offset of the first byte in the file. Before it there may be a hole. */
  #begin = 0;
  /** Whether the file was emptied and has been empty since. */
  #isEmptied = false;
  #hasFailed = false;

  /** Creates the file at `path` and follows it. `take` gets each chunk once, in order. */
  constructor(path: string, take: (chunk: Uint8Array) => void) {
    this.#path = path;
    this.#file = openSync(path, "a+", 0o600);
    this.#take = take;
    this.#timer = setInterval(() => this.#poll(), POLL_MS);
  }

  /** A log that cannot be read, or written, is no reason to end a sandbox. The next poll tries again. */
  #poll(): void {
    try {
      this.read();
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed) console.error(`cannot follow ${this.#path}: ${messageOf(error)}`);
      this.#hasFailed = true; // said once, until it works again
    }
  }

  /** Takes what has been written so far. @throws {Error} of the file system, or of `take`. */
  read(): void {
    const before = this.#offset;
    let size = fstatSync(this.#file).size;
    if (this.#isEmptied && size > 0) this.#findBegin(size);
    for (let pass = 0; pass < PASSES_MAX && this.#offset < size; pass++) {
      this.#readTo(size);
      size = fstatSync(this.#file).size;
    }
    if (this.#offset !== before) this.#note();
    const readBytes = this.#offset - this.#begin;
    if (readBytes < EMPTY_BYTES || this.#isEmptied) return;
    if (this.#offset === size || readBytes >= EMPTY_BYTES_MAX) this.#empty();
  }

  /** Takes the rest and stops following. */
  close(): void {
    clearInterval(this.#timer);
    try {
      this.read();
    } finally {
      closeSync(this.#file);
    }
  }

  #readTo(size: number): void {
    while (this.#offset < size) {
      const wanted = Math.min(READ_BYTES, size - this.#offset);
      const count = readSync(this.#file, this.#buffer, 0, wanted, this.#offset);
      if (count === 0) return;
      this.#take(this.#buffer.subarray(0, count));
      this.#offset += count;
    }
  }

  #empty(): void {
    ftruncateSync(this.#file, 0);
    this.#isEmptied = true;
    this.#note();
  }

  #findBegin(size: number): void {
    this.#offset = beginAfterEmptying(this.#file, size, this.#offset);
    this.#begin = this.#offset;
    this.#isEmptied = false;
  }

  /** Notes how far the file has been read, for the process that finds it after a crash. */
  #note(): void {
    try {
      writeFileSync(`${this.#path}.read`, `${this.#offset}${this.#isEmptied ? EMPTIED : ""}`);
    } catch {
      // The disk is full: no reason to end a sandbox. At worst lines come twice in the log after a crash.
    }
  }
}

/** Follows the offset in a note if the file was emptied there. */
const EMPTIED = " emptied";

/** What the reader of a spool had not taken when it was killed. @throws {IoError} if that cannot be read. */
export function spoolRest(path: string): Bytes {
  const [offset, isEmptied] = readNote(`${path}.read`);
  return withFile(path, (file, size) => {
    const begin = isEmptied ? beginAfterEmptying(file, size, offset) : offset;
    return readRange(file, Math.max(begin, size - REST_BYTES_MAX), size);
  });
}

/** The last lines of a spool, as text; `""` if they cannot be read, as they only explain some other failure. */
export function spoolTail(path: string): string {
  try {
    const bytes = withFile(path, (file, size) => readRange(file, Math.max(0, size - TAIL_BYTES), size));
    return decodeUtf8(bytes).replaceAll("\0", "").trim();
  } catch {
    return "";
  }
}

/**
 * Offset of the first byte in a file of `size` bytes that was emptied at `offset`. A writer that appends starts again at 0;
 * any other continues at its own offset, and leaves a hole that reads as NULs.
 */
function beginAfterEmptying(file: number, size: number, offset: number): number {
  if (size <= offset) return 0;
  const probe = readRange(file, 0, Math.min(PROBE_BYTES, offset));
  return probe.every((byte) => byte === 0) ? offset : 0;
}

function readRange(file: number, begin: number, end: number): Bytes {
  const bytes = new Uint8Array(Math.max(0, end - begin));
  let filled = 0;
  while (filled < bytes.length) {
    const count = readSync(file, bytes, filled, bytes.length - filled, begin + filled);
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

/** What `read` gives of the file; nothing if there is no file. */
function withFile(path: string, read: (file: number, size: number) => Bytes): Bytes {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    return read(file, fstatSync(file).size);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return new Uint8Array(0); // never written
    throw new IoError(`read ${path}`, path, error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function readNote(path: string): readonly [offset: number, isEmptied: boolean] {
  try {
    const text = readFileSync(path, "utf8");
    return [Number.parseInt(text, 10) || 0, text.endsWith(EMPTIED)];
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [0, false]; // not read yet
    throw new IoError(`read ${path}`, path, error);
  }
}
