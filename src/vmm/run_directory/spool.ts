/**
 * A file that an engine writes and we read as it grows: the kernel's console, the engine's own messages.
 *
 * A plain file rather than a pipe, since libkrun ends the whole process with `_exit`: what it wrote last, often the
 * reason of a crash, must still be there afterwards. The file is emptied as it is read, so that a guest that floods its
 * console does not fill the host's disk.
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

/** How often the file is looked at. Its readers are people. */
const POLL_MS = 200;
/** The file is emptied once this much of it has been read … */
const EMPTY_BYTES = 1 * MiB;
/** … at a moment when nothing waits to be read; past this size at any, as a guest may flood its console without end. */
const EMPTY_BYTES_MAX = 16 * MiB;
/** How often one look follows a writer that goes on meanwhile. */
const PASSES_MAX = 4;
const READ_BYTES = 64 * KiB;
/** What {@linkcode spoolTail} shows. */
const TAIL_BYTES = 4 * KiB;
/** The most that {@linkcode spoolRest} gives, from the end. */
const REST_BYTES_MAX = 16 * MiB;
/** What is looked at to tell a hole from text. */
const PROBE_BYTES = 4 * KiB;

export class Spool {
  readonly #path: string;
  readonly #file: number;
  readonly #take: (chunk: Uint8Array) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #buffer = new Uint8Array(READ_BYTES);
  /** Where the next byte is read. */
  #offset = 0;
  /** Where what is in the file begins: before it there may be a hole. */
  #begin = 0;
  /** The file was emptied, and nothing has been seen in it since. */
  #isEmptied = false;

  /** Follows the file at `path`, which it makes. `take` gets each chunk once, in order. */
  constructor(path: string, take: (chunk: Uint8Array) => void) {
    this.#path = path;
    this.#file = openSync(path, "a+", 0o600);
    this.#take = take;
    this.#timer = setInterval(() => this.read(), POLL_MS);
  }

  /** Takes what has been written by now. */
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
    this.read();
    closeSync(this.#file);
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

  /** Says how far the file has been read, to whoever finds it after a crash. */
  #note(): void {
    try {
      writeFileSync(`${this.#path}.read`, `${this.#offset}${this.#isEmptied ? EMPTIED : ""}`);
    } catch {
      // The disk is full: no reason to end a sandbox. At worst lines come twice in the log after a crash.
    }
  }
}

/** Stands behind the offset in a note if the file was emptied there. */
const EMPTIED = " emptied";

/** What a spool's reader had not taken when it was killed. */
export function spoolRest(path: string): Bytes {
  const [offset, isEmptied] = readNote(`${path}.read`);
  return withFile(path, (file, size) => {
    const begin = isEmptied ? beginAfterEmptying(file, size, offset) : offset;
    return readRange(file, Math.max(begin, size - REST_BYTES_MAX), size);
  });
}

/** The last lines of a spool, as text. */
export function spoolTail(path: string): string {
  const bytes = withFile(path, (file, size) => readRange(file, Math.max(0, size - TAIL_BYTES), size));
  return decodeUtf8(bytes).replaceAll("\0", "").trim();
}

/**
 * Where a file of `size` bytes that was emptied at `offset` has its first byte. A writer that appends begins again at 0;
 * one that does not goes on where it was, and leaves a hole that reads as NULs.
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

function withFile(path: string, read: (file: number, size: number) => Bytes): Bytes {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return new Uint8Array(0); // never written
  }
  try {
    return read(file, fstatSync(file).size);
  } finally {
    closeSync(file);
  }
}

function readNote(path: string): readonly [offset: number, isEmptied: boolean] {
  try {
    const text = readFileSync(path, "utf8");
    return [Number.parseInt(text, 10) || 0, text.endsWith(EMPTIED)];
  } catch {
    return [0, false]; // nobody has read yet
  }
}
