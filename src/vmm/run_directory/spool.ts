/**
 * Reads a file that an engine writes while it grows: the kernel's console, the engine's own messages.
 *
 * It is a plain file rather than a pipe because libkrun ends the whole process with `_exit`: what it wrote last, often the
 * reason of a crash, must still be there afterwards.
 *
 * The guest decides how much is written, so both what a look costs and what the file holds are bounded. The file is
 * emptied as it is read. A guest that writes faster than it may be read loses the middle of its output, and the log says
 * how much.
 *
 * @module
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeFileSync } from "node:fs";
import { type Bytes, decodeUtf8, KiB, MiB } from "../../base/bytes.ts";
import { IoError, messageOf } from "../../base/errors.ts";
import { isAbsence, textIfPresent } from "../../platform/if_present.ts";

/** How often the file is read. Its readers are people. */
const POLL_MS = 200;
/** What one look may cost: clients, pings and a stop wait until it is over. */
const LOOK: Budget = { bytes: 1 * MiB, ms: 20 };
/** What the last look may cost. */
const LAST_LOOK: Budget = { bytes: 16 * MiB, ms: 500 };
/** The file is emptied when everything has been read and it holds this much … */
const EMPTY_BYTES = 1 * MiB;
/** … and when it holds this much after a look, whatever is still unread: that is dropped … */
const HELD_BYTES_MAX = 16 * MiB;
/** … except for the end. */
const KEPT_BYTES = 64 * KiB;
/** How often one look follows a writer that keeps writing. */
const PASSES_MAX = 4;
const READ_BYTES = 64 * KiB;
/** What {@linkcode spoolTail} shows. */
const TAIL_BYTES = 4 * KiB;
/** The most that {@linkcode spoolRest} gives, from the end. */
const REST_BYTES_MAX = 16 * MiB;
/** How much is read to tell a hole from text. */
const PROBE_BYTES = 4 * KiB;
const LINE_FEED = 0x0a;

interface Budget {
  readonly bytes: number;
  readonly ms: number;
}

export class Spool {
  readonly #path: string;
  readonly #file: number;
  readonly #take: (chunk: Uint8Array) => void;
  readonly #now: () => number;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #buffer = new Uint8Array(READ_BYTES);
  /** Where the next byte is read. */
  #offset = 0;
  /** Where the file's content begins: before it there may be a hole. */
  #begin = 0;
  /** The file was emptied, and nothing has been seen in it since. */
  #isEmptied = false;
  /** What is read next may begin with a hole. */
  #mayBeHole = false;
  #isInLine = false;
  #isFailing = false;

  /**
   * Follows the file at `path`, which it makes. Calls `take` with each chunk once, in order.
   *
   * @param now Monotonic time in milliseconds.
   */
  constructor(path: string, take: (chunk: Uint8Array) => void, now: () => number = () => performance.now()) {
    this.#path = path;
    this.#file = openSync(path, "a+", 0o600);
    this.#take = take;
    this.#now = now;
    this.#timer = setInterval(() => this.read(), POLL_MS);
  }

  /** Takes what has been written, within the budget of one look. Never throws. */
  read(): void {
    this.#attempt(() => {
      const size = this.#look(LOOK);
      const heldBytes = size - this.#begin;
      if (heldBytes >= HELD_BYTES_MAX) this.#dropTo(size);
      if (heldBytes >= EMPTY_BYTES && this.#offset === size) this.#empty(size);
    });
  }

  /** Takes the rest and stops following. Never throws. */
  close(): void {
    clearInterval(this.#timer);
    this.#attempt(() => this.#dropTo(this.#look(LAST_LOOK)));
    this.#attempt(() => closeSync(this.#file));
  }

  /** A disk that fails is no reason to end a sandbox. Reported once, as the next look is likely to fail as well. */
  #attempt(action: () => void): void {
    try {
      action();
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) console.error(`cannot read ${this.#path}: ${messageOf(error)}`);
      this.#isFailing = true;
    }
  }

  /** Reads as far as the budget goes; returns the size of the file. */
  #look(budget: Budget): number {
    const before = this.#offset;
    const endsAtMs = this.#now() + budget.ms;
    let size = fstatSync(this.#file).size;
    if (this.#isEmptied && size > 0) this.#findBegin(size);
    const limit = this.#offset + budget.bytes;
    for (let pass = 0; pass < PASSES_MAX && this.#offset < Math.min(size, limit); pass++) {
      if (!this.#readTo(Math.min(size, limit), endsAtMs)) break;
      size = fstatSync(this.#file).size;
    }
    if (this.#offset !== before) this.#note();
    return size;
  }

  /** Returns whether it read all of that in time. */
  #readTo(end: number, endsAtMs: number): boolean {
    while (this.#offset < end) {
      const wanted = Math.min(READ_BYTES, end - this.#offset);
      const count = readSync(this.#file, this.#buffer, 0, wanted, this.#offset);
      if (count === 0) return false;
      this.#offset += count;
      this.#pass(this.#buffer.subarray(0, count));
      if (this.#now() >= endsAtMs) return this.#offset >= end;
    }
    return true;
  }

  #pass(chunk: Uint8Array): void {
    let text = chunk;
    if (this.#mayBeHole) {
      const first = chunk.findIndex((byte) => byte !== 0);
      text = first < 0 ? chunk.subarray(chunk.length) : chunk.subarray(first);
    }
    if (text.length === 0) return;
    this.#mayBeHole = false;
    this.#isInLine = text.at(-1) !== LINE_FEED;
    this.#take(text);
  }

  /** Goes to `size`, which is the end. Of what is unread, only the last part is taken. */
  #dropTo(size: number): void {
    const droppedBytes = size - KEPT_BYTES - this.#offset;
    if (droppedBytes > 0) {
      const text = `${this.#isInLine ? "\n" : ""}--- ${droppedBytes} bytes were dropped: they came too fast ---\n`;
      this.#pass(new TextEncoder().encode(text));
      this.#offset += droppedBytes;
    }
    this.#readTo(size, Number.POSITIVE_INFINITY);
    this.#note();
  }

  #empty(size: number): void {
    keepLast(this.#path, readRange(this.#file, Math.max(this.#begin, size - TAIL_BYTES), size));
    ftruncateSync(this.#file, 0);
    this.#isEmptied = true;
    this.#note();
  }

  #findBegin(size: number): void {
    this.#offset = beginAfterEmptying(this.#file, size, this.#offset);
    this.#begin = this.#offset;
    this.#isEmptied = false;
    this.#mayBeHole = this.#begin > 0;
  }

  /** Writes down how far the file has been read, for the process that finds it after a crash. */
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

/** Returns what a spool's reader had not taken when it was killed. @throws {IoError} if that cannot be read. */
export function spoolRest(path: string): Bytes {
  const [offset, isEmptied] = readNote(`${path}.read`);
  return withFile(path, (file, size) => {
    const begin = isEmptied ? beginAfterEmptying(file, size, offset) : offset;
    return readRange(file, Math.max(begin, size - REST_BYTES_MAX), size);
  });
}

/**
 * Returns the last lines of a spool as text, including those that were read before the file was emptied; `""` if they
 * cannot be read, since they only help to explain another failure.
 */
export function spoolTail(path: string): string {
  try {
    const text = withoutHoles(endOfFile(path));
    const before = text.length >= TAIL_BYTES / 2 ? "" : withoutHoles(endOfFile(lastPath(path)));
    return `${before}${text}`.slice(-TAIL_BYTES).trim();
  } catch {
    return "";
  }
}

function endOfFile(path: string): Bytes {
  return withFile(path, (file, size) => readRange(file, Math.max(0, size - TAIL_BYTES), size));
}

function withoutHoles(bytes: Bytes): string {
  return decodeUtf8(bytes).replaceAll("\0", "");
}

/** Where the end of what a spool held is kept when it is emptied. */
function lastPath(path: string): string {
  return `${path}.last`;
}

function keepLast(path: string, bytes: Bytes): void {
  try {
    writeFileSync(lastPath(path), bytes, { mode: 0o600 });
  } catch {
    // The disk is full. A crash report may then lack these lines; the log has them.
  }
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

/** What `read` gives of the file; nothing if there is no file. */
function withFile(path: string, read: (file: number, size: number) => Bytes): Bytes {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    return read(file, fstatSync(file).size);
  } catch (error) {
    if (isAbsence(error)) return new Uint8Array(0); // never written
    throw new IoError(`read ${path}`, path, error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function readNote(path: string): readonly [offset: number, isEmptied: boolean] {
  const text = textIfPresent(path) ?? ""; // not read yet
  return [Number.parseInt(text, 10) || 0, text.endsWith(EMPTIED)];
}
