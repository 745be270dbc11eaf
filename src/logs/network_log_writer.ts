/**
 * Writes `network.log`: a record for each decision about a flow of the guest's, as a line of JSON. As with `exec.log`, a full
 * disk stops nothing; what the log lost is counted and written down as soon as there is room again.
 *
 * @module
 */
import { RECORD_DATA_BYTES_MAX } from "./limits.ts";
import { NETWORK_LOG } from "./log_files.ts";
import { encodeRecord, recordBytesMax } from "./record.ts";
import { type LogWriterOptions, RotatingFile } from "./rotating_file.ts";

/** Writes `network.log`. See {@linkcode openNetworkLogWriter}. */
export interface NetworkLogWriter extends Disposable {
  /** Records that could not be written, or were reported as lost, since the writer was opened. */
  readonly lostRecords: number;
  /** Adds one record. One that is larger than 64 KiB as JSON is lost. */
  append(record: object): void;
  /** Says that records were lost before they came here. */
  lose(records: number): void;
  /** Waits until the disk has everything. */
  sync(): void;
  close(): void;
}

/**
 * Opens `network.log` in `directory` for writing. Problems with the disk are not thrown: see `lostRecords`.
 *
 * @throws InvalidConfigError if a limit in `options` is out of range
 *
 * @example
 * ```ts no-vm
 * using writer = openNetworkLogWriter({ directory: "./logs", sandboxId: "0198c2f0" });
 * writer.append({ kind: "flow", address: "198.51.100.7", port: 443, verdict: "allowed" });
 * ```
 */
export function openNetworkLogWriter(options: LogWriterOptions): NetworkLogWriter {
  return new Writer(options);
}

class Writer implements NetworkLogWriter {
  lostRecords = 0;
  readonly #file: RotatingFile;
  readonly #line = Buffer.allocUnsafe(recordBytesMax(RECORD_DATA_BYTES_MAX));
  #reportedRecords = 0;

  constructor(options: LogWriterOptions) {
    this.#file = new RotatingFile(NETWORK_LOG, options);
  }

  append(record: object): void {
    const data = Buffer.from(`${JSON.stringify(record)}\n`);
    if (data.length <= RECORD_DATA_BYTES_MAX && this.#reportLoss() && this.#write(data)) return;
    this.lostRecords++;
  }

  lose(records: number): void {
    this.lostRecords += records;
    this.#reportLoss();
  }

  sync(): void {
    this.#file.sync();
  }

  close(): void {
    this.#reportLoss();
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Writes down what was lost so far. Returns whether there is nothing left to report. */
  #reportLoss(): boolean {
    const records = this.lostRecords - this.#reportedRecords;
    if (records === 0) return true;
    if (!this.#write(Buffer.from(`${JSON.stringify({ kind: "lost", records })}\n`))) return false;
    this.#reportedRecords += records;
    return true;
  }

  #write(data: Uint8Array): boolean {
    const stampMs = this.#file.stampMs();
    const length = encodeRecord(this.#line, stampMs, "network", null, data);
    return this.#file.append(this.#line.subarray(0, length), stampMs);
  }
}
