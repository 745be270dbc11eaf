/**
 * Writes `kernel.log` and `runtime.log`: lines of text, each with the time at which its end arrived. The guest decides
 * what comes here, so everything is bounded: the length of a line, what is held back, and the files.
 *
 * @module
 */
import { concatBytes } from "../base/bytes.ts";
import { TEXT_LINE_BYTES_MAX } from "./limits.ts";
import { LOG_FILES, type LogFileSpec, type TextLogFilename } from "./log_files.ts";
import { type LogWriterOptions, RotatingFile } from "./rotating_file.ts";
import { formatStamp } from "./stamp.ts";

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
const NO_BYTES = new Uint8Array(0);
/** Lines are gathered up to this size into one write. */
const BATCH_BYTES_MAX = 64 * 1024;

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
  /** The beginning of a line, below TEXT_LINE_BYTES_MAX bytes. */
  #partial: Uint8Array = NO_BYTES;
  #reportedBytes = 0;

  constructor(spec: LogFileSpec, options: LogWriterOptions) {
    this.#file = new RotatingFile(spec, options);
  }

  write(bytes: Uint8Array): void {
    const stampMs = this.#file.stampMs();
    const stamp = Buffer.from(`${formatStamp(stampMs)} `);
    let batch: Uint8Array[] = [];
    let batchBytes = 0;
    let start = 0;
    while (start < bytes.length) {
      const limit = start + TEXT_LINE_BYTES_MAX - this.#partial.length;
      const lineFeed = bytes.subarray(start, limit).indexOf(LINE_FEED);
      const end = lineFeed < 0 ? limit : start + lineFeed;
      if (lineFeed < 0 && limit > bytes.length) break;
      batch.push(stamp, this.#partial, withoutCarriageReturn(bytes.subarray(start, end)), LINE_FEED_BYTES);
      batchBytes += stamp.length + this.#partial.length + end - start + 1;
      this.#partial = NO_BYTES;
      start = lineFeed < 0 ? end : end + 1;
      if (batchBytes >= BATCH_BYTES_MAX) {
        this.#append(batch, stampMs);
        batch = [];
        batchBytes = 0;
      }
    }
    if (batchBytes > 0) this.#append(batch, stampMs);
    if (start < bytes.length) this.#partial = concatBytes([this.#partial, bytes.subarray(start)]);
  }

  sync(): void {
    this.#file.sync();
  }

  close(): void {
    if (this.#partial.length > 0) this.write(LINE_FEED_BYTES);
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #append(parts: readonly Uint8Array[], stampMs: number): void {
    const lines = concatBytes(parts);
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

function withoutCarriageReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}
