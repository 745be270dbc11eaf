/**
 * Writes `exec.log`: everything that programs in a sandbox print, and the lifecycle markers. It sits in the VM host
 * process where output leaves the agent, so it is synchronous, cheap, and never fails: when the disk is full the
 * program continues, and what the log lost is counted and written down as soon as there is room again.
 *
 * @module
 */
import { concatBytes } from "../base/bytes.ts";
import type { LogPosition } from "./cursor.ts";
import { PENDING_SESSIONS_MAX, RECORD_DATA_BYTES_MAX } from "./limits.ts";
import { EXEC_LOG } from "./log_files.ts";
import { encodeRecord, recordBytesMax } from "./record.ts";
import { type LogWriterOptions, RotatingFile } from "./rotating_file.ts";
import type { LogSource } from "./types.ts";
import { incompleteUtf8Tail } from "./utf8_tail.ts";

/** What a program's output can be tagged with. */
export type OutputSource = Exclude<LogSource, "system" | "network">;

const OUTPUT_SOURCES = ["stdout", "stderr", "output"] as const satisfies readonly OutputSource[];

export { SANDBOX_STARTED_TEXT, SANDBOX_STOPPED_TEXT } from "./markers.ts";

/** Writes `exec.log`. See {@linkcode openExecLogWriter}. */
export interface ExecLogWriter extends Disposable {
  /** Bytes of output that could not be written, since the writer was opened. */
  readonly lostBytes: number;
  /** Records that could not be written, since the writer was opened. */
  readonly lostRecords: number;
  /** Captures what `sessionId` wrote. A character cut off at the end of `bytes` waits for the next call. */
  append(source: OutputSource, sessionId: number, bytes: Uint8Array): void;
  /** No more comes from this source: a character that is still cut off is written as it is. */
  endOfStream(source: OutputSource, sessionId: number): void;
  /** The same for all sources. */
  endOfStreams(): void;
  /** A line about the sandbox itself, or about one of its sessions, up to 64 KiB. */
  system(text: string, sessionId?: number): void;
  /** Writes what is held back of a session: all that was captured of it is in the log then. */
  flush(sessionId: number): void;
  /** Where the next record begins; `undefined` while no file can be opened. */
  readonly position: LogPosition | undefined;
  /** Waits until the disk has everything. */
  sync(): void;
  /** Writes what is held back and closes the file. */
  close(): void;
}

/** A full record with the beginning of a character that was held back. */
const LINE_BYTES_MAX = recordBytesMax(RECORD_DATA_BYTES_MAX + 3);

/**
 * Opens `exec.log` in `directory` for writing, closing the torn tail of a crash. Problems with the disk are not thrown:
 * see `lostRecords`.
 *
 * @throws InvalidConfigError if a limit in `options` is out of range
 *
 * @example
 * ```ts no-vm
 * using writer = openExecLogWriter({ directory: "./logs", sandboxId: "0198c2f0" });
 * writer.system("--- sandbox started ---");
 * writer.append("stdout", 1, new TextEncoder().encode("hello\n"));
 * writer.endOfStream("stdout", 1);
 * ```
 */
export function openExecLogWriter(options: LogWriterOptions): ExecLogWriter {
  return new Writer(options);
}

class Writer implements ExecLogWriter {
  lostBytes = 0;
  lostRecords = 0;
  readonly #file: RotatingFile;
  readonly #line = Buffer.allocUnsafe(LINE_BYTES_MAX);
  /** The beginning of a character, by source and session. At most 3 bytes each. */
  readonly #pending = new Map<string, { source: OutputSource; sessionId: number; bytes: Uint8Array }>();
  #reportedBytes = 0;
  #reportedRecords = 0;

  constructor(options: LogWriterOptions) {
    this.#file = new RotatingFile(EXEC_LOG, options);
  }

  append(source: OutputSource, sessionId: number, bytes: Uint8Array): void {
    for (let start = 0; start < bytes.length; start += RECORD_DATA_BYTES_MAX) {
      this.#appendPiece(source, sessionId, bytes.subarray(start, start + RECORD_DATA_BYTES_MAX));
    }
  }

  endOfStream(source: OutputSource, sessionId: number): void {
    const bytes = this.#takePending(source, sessionId);
    if (bytes !== undefined) this.#record(source, sessionId, bytes);
  }

  endOfStreams(): void {
    for (const { source, sessionId } of [...this.#pending.values()]) this.endOfStream(source, sessionId);
  }

  system(text: string, sessionId?: number): void {
    const line = Buffer.from(text.endsWith("\n") ? text : `${text}\n`);
    this.#record("system", sessionId ?? null, line.subarray(0, RECORD_DATA_BYTES_MAX));
  }

  flush(sessionId: number): void {
    for (const source of OUTPUT_SOURCES) this.endOfStream(source, sessionId);
  }

  get position(): LogPosition | undefined {
    return this.#file.position;
  }

  sync(): void {
    this.#file.sync();
  }

  close(): void {
    this.endOfStreams();
    this.#reportLoss();
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #appendPiece(source: OutputSource, sessionId: number, bytes: Uint8Array): void {
    const pending = this.#pending.size === 0 ? undefined : this.#takePending(source, sessionId);
    const all = pending === undefined ? bytes : concatBytes([pending, bytes]);
    const tail = incompleteUtf8Tail(all);
    if (tail > 0) this.#hold(source, sessionId, all.slice(all.length - tail));
    if (tail < all.length)
      this.#record(source, sessionId, tail === 0 ? all : all.subarray(0, all.length - tail));
  }

  #hold(source: OutputSource, sessionId: number, bytes: Uint8Array): void {
    if (this.#pending.size >= PENDING_SESSIONS_MAX) {
      const [oldest] = this.#pending.values();
      if (oldest !== undefined) this.endOfStream(oldest.source, oldest.sessionId);
    }
    this.#pending.set(`${source}:${sessionId}`, { source, sessionId, bytes });
  }

  #takePending(source: OutputSource, sessionId: number): Uint8Array | undefined {
    const key = `${source}:${sessionId}`;
    const pending = this.#pending.get(key);
    if (pending !== undefined) this.#pending.delete(key);
    return pending?.bytes;
  }

  #record(source: LogSource, sessionId: number | null, data: Uint8Array): void {
    if (this.#reportLoss() && this.#write(source, sessionId, data)) return;
    this.lostRecords++;
    this.lostBytes += data.length;
  }

  /** Writes down what was lost so far. Returns whether there is nothing left to report. */
  #reportLoss(): boolean {
    const records = this.lostRecords - this.#reportedRecords;
    if (records === 0) return true;
    const bytes = this.lostBytes - this.#reportedBytes;
    const cause = this.#file.lastErrno ?? "unknown";
    const text = `--- ${records} records with ${bytes} bytes could not be logged: ${cause} ---\n`;
    if (!this.#write("system", null, Buffer.from(text))) return false;
    this.#reportedRecords += records;
    this.#reportedBytes += bytes;
    return true;
  }

  #write(source: LogSource, sessionId: number | null, data: Uint8Array): boolean {
    const stampMs = this.#file.stampMs();
    const length = encodeRecord(this.#line, stampMs, source, sessionId, data);
    return this.#file.append(this.#line.subarray(0, length), stampMs);
  }
}
