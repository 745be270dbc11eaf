/**
 * Writes `kernel.log` and `runtime.log`: lines of text, each with the time at which its end arrived. The guest decides
 * what comes here, so everything is bounded: the length of a line, what is held back, and the files.
 *
 * @module
 */
import { KiB } from "../base/bytes.ts";
import { TEXT_LINE_BYTES_MAX } from "./limits.ts";
import { LOG_FILES, type LogFileSpec, type TextLogFilename } from "./log_files.ts";
import { type LogWriterOptions, RotatingFile } from "./rotating_file.ts";
import { formatStamp, STAMP_CHARS } from "./stamp.ts";

/** Options of {@linkcode openTextLogWriter}. */
export interface TextLogWriterOptions extends LogWriterOptions {
  filename: TextLogFilename;
}

/** Writes a text log. See {@linkcode openTextLogWriter}. */
export interface TextLogWriter extends Disposable {
  /** Bytes that could not be written, since the writer was opened. */
  readonly lostBytes: number;
  /** Captures bytes as they come; a line without its end waits for the next call. */
  write(bytes: Uint8Array): void;
  /** Waits until the disk has everything. */
  sync(): void;
  /** Writes the line that is held back and closes the file. */
  close(): void;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED_BYTES = new Uint8Array([LINE_FEED]);
/** Lines are gathered up to this size into one write. */
const BATCH_BYTES_MAX = 64 * KiB;
/** A stamp and a space in front of a line, a line feed behind it. */
const LINE_OVERHEAD_BYTES = STAMP_CHARS + 2;
/** A shorter line is cheaper to copy byte by byte than by a call. */
const SHORT_LINE_BYTES = 64;

/**
 * Opens a text log in `directory` for writing. Problems with the disk are not thrown: see `lostBytes`.
 *
 * @throws InvalidConfigError if a limit in `options` is out of range
 */
export function openTextLogWriter(options: TextLogWriterOptions): TextLogWriter {
  const spec = LOG_FILES.find(({ filename }) => filename === options.filename);
  return new Writer(spec!, options);
}

class Writer implements TextLogWriter {
  lostBytes = 0;
  readonly #file: RotatingFile;
  /** The beginning of a line whose end has not come. */
  readonly #partial = new Uint8Array(TEXT_LINE_BYTES_MAX);
  #partialBytes = 0;
  /** Whole lines on their way to the file: one buffer, since an allocation a line is what a flood of short lines costs. */
  readonly #batch = new Uint8Array(BATCH_BYTES_MAX + TEXT_LINE_BYTES_MAX + LINE_OVERHEAD_BYTES);
  #batchBytes = 0;
  #reportedBytes = 0;

  constructor(spec: LogFileSpec, options: LogWriterOptions) {
    this.#file = new RotatingFile(spec, options);
  }

  write(bytes: Uint8Array): void {
    const stampMs = this.#file.stampMs();
    const stamp = Buffer.from(`${formatStamp(stampMs)} `);
    let start = 0;
    while (start < bytes.length) {
      const limit = start + TEXT_LINE_BYTES_MAX - this.#partialBytes;
      const end = endOfLine(bytes, start, limit);
      if (end === bytes.length && end < limit) break; // the line continues in the next call
      this.#addLine(stamp, bytes, start, end);
      start = bytes[end] === LINE_FEED && end < limit ? end + 1 : end;
      if (this.#batchBytes >= BATCH_BYTES_MAX) this.#append(stampMs);
    }
    this.#append(stampMs);
    this.#partial.set(bytes.subarray(start), this.#partialBytes);
    this.#partialBytes += bytes.length - start;
  }

  sync(): void {
    this.#file.sync();
  }

  close(): void {
    if (this.#partialBytes > 0) this.write(LINE_FEED_BYTES);
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Adds one line to the batch: what was held back of it, and `bytes` from `start` to `end`. */
  #addLine(stamp: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    const batch = this.#batch;
    let at = this.#batchBytes;
    for (let index = 0; index < stamp.length; index++) batch[at++] = stamp[index]!;
    if (this.#partialBytes > 0) batch.set(this.#partial.subarray(0, this.#partialBytes), at);
    at += this.#partialBytes;
    if (end - start > SHORT_LINE_BYTES) {
      batch.set(bytes.subarray(start, end), at);
      at += end - start;
    } else {
      for (let index = start; index < end; index++) batch[at++] = bytes[index]!;
    }
    const isEmpty = end === start && this.#partialBytes === 0;
    if (!isEmpty && batch[at - 1] === CARRIAGE_RETURN) at--;
    batch[at++] = LINE_FEED;
    this.#partialBytes = 0;
    this.#batchBytes = at;
  }

  #append(stampMs: number): void {
    if (this.#batchBytes === 0) return;
    const lines = this.#batch.subarray(0, this.#batchBytes);
    this.#batchBytes = 0;
    if (this.#reportLoss(stampMs) && this.#file.append(lines, stampMs)) return;
    this.lostBytes += lines.length;
  }

  /** Writes down what was lost so far. Returns whether there is nothing left to report. */
  #reportLoss(stampMs: number): boolean {
    const bytes = this.lostBytes - this.#reportedBytes;
    if (bytes === 0) return true;
    const cause = this.#file.lastErrno ?? "unknown";
    const text = `${formatStamp(stampMs)} --- ${bytes} bytes could not be logged: ${cause} ---\n`;
    if (!this.#file.append(Buffer.from(text), stampMs)) return false;
    this.#reportedBytes += bytes;
    return true;
  }
}

/** Where the line that begins at `start` ends: at its line feed, at `limit`, or where `bytes` do. */
function endOfLine(bytes: Uint8Array, start: number, limit: number): number {
  const last = Math.min(limit, bytes.length);
  const nearby = Math.min(last, start + SHORT_LINE_BYTES);
  for (let index = start; index < nearby; index++) if (bytes[index] === LINE_FEED) return index;
  if (nearby === last) return last;
  const found = bytes.indexOf(LINE_FEED, nearby);
  return found < 0 || found > last ? last : found;
}
