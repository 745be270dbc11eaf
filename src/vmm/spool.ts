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
import { decodeUtf8, KiB, MiB } from "../base/bytes.ts";

/** How often the file is looked at. Its readers are people. */
const POLL_MS = 200;
/** The file is emptied once this much of it has been read. */
const TRUNCATE_BYTES = 1 * MiB;
const READ_BYTES = 64 * KiB;
/** What {@linkcode spoolTail} shows. */
const TAIL_BYTES = 4 * KiB;

export class Spool {
  readonly #path: string;
  readonly #file: number;
  readonly #take: (chunk: Uint8Array) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #buffer = new Uint8Array(READ_BYTES);
  #offset = 0;

  /** Follows the file at `path`, which it makes. `take` gets each chunk once, in order. */
  constructor(path: string, take: (chunk: Uint8Array) => void) {
    this.#path = path;
    this.#file = openSync(path, "a+", 0o600);
    this.#take = take;
    this.#timer = setInterval(() => this.read(), POLL_MS);
  }

  /** Takes what has been written by now. */
  read(): void {
    // A writer that appends starts again at 0 after the file was emptied; one that does not leaves a hole before its
    // next byte, and the file is longer than before.
    const size = fstatSync(this.#file).size;
    if (size < this.#offset) this.#offset = 0;
    const before = this.#offset;
    for (let count = -1; count !== 0; ) {
      count = readSync(this.#file, this.#buffer, 0, READ_BYTES, this.#offset);
      if (count > 0) this.#take(this.#buffer.subarray(0, count));
      this.#offset += count;
    }
    if (this.#offset !== before) this.#noteOffset();
    if (this.#offset >= TRUNCATE_BYTES) ftruncateSync(this.#file, 0);
  }

  /** Takes the rest and stops following. */
  close(): void {
    clearInterval(this.#timer);
    this.read();
    closeSync(this.#file);
  }

  /** Says how far the file has been read, to whoever finds it after a crash. */
  #noteOffset(): void {
    writeFileSync(`${this.#path}.read`, String(this.#offset));
  }
}

/** What a spool's reader had not taken when it was killed. */
export function spoolRest(path: string): Uint8Array {
  try {
    const bytes = readFileSync(path);
    const offset = Number(readTextOr(`${path}.read`, "0"));
    return bytes.subarray(offset <= bytes.length ? offset : 0);
  } catch {
    return new Uint8Array(0); // never written
  }
}

/** The last lines of a spool, as text. */
export function spoolTail(path: string): string {
  try {
    const bytes = readFileSync(path);
    return decodeUtf8(bytes.subarray(Math.max(0, bytes.length - TAIL_BYTES)))
      .replaceAll("\0", "")
      .trim();
  } catch {
    return "";
  }
}

function readTextOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}
