/** What users of the logs see: sources, entries, options. @module */

/**
 * Where an entry came from: a program's `stdout` or `stderr`, the merged `output` of a program with a terminal, or
 * `system` (lifecycle markers, the guest kernel's console, diagnostics of the VM host process).
 */
export type LogSource = "stdout" | "stderr" | "output" | "system";

/** Every source, in a fixed order. */
export const LOG_SOURCES = ["stdout", "stderr", "output", "system"] as const satisfies readonly LogSource[];

/** What is read unless the caller asks: program output. `system` is on request. */
export const DEFAULT_LOG_SOURCES = ["stdout", "stderr", "output"] as const satisfies readonly LogSource[];

/**
 * A position in the logs of one sandbox, as opaque text that is safe in URLs and headers. It stays good across
 * restarts of the reader, of the sandbox, and over rotation for as long as the data is retained.
 */
export type LogCursor = string;

/** One captured piece of output: what a program wrote at once (up to 64 KiB), or one line of a system log. */
export interface LogEntry {
  /** When it was captured: UTC, to the millisecond. */
  readonly timestamp: Date;
  readonly source: LogSource;
  /** The run of a program that wrote it (`ExecHandle.sessionId`), unique across boots of the sandbox; `null` for `system`. */
  readonly sessionId: number | null;
  /** The bytes as the program wrote them. */
  readonly data: Uint8Array;
  /** Just after this entry: a stream opened `fromCursor` continues with the next one. */
  readonly cursor: LogCursor;
  /** `data` as UTF-8; invalid sequences become U+FFFD. */
  text(): string;
}

/** Options of `readLogs` and `readLogsSnapshot`. Applied in this order: sources, since, until, tail. */
export interface LogReadOptions {
  /** Only the last this many entries that pass the other options. @default {undefined} all */
  tail?: number | undefined;
  /** Leave out what is older than this: a `Date`, an ISO 8601 text or milliseconds since 1970. Inclusive. */
  since?: Date | string | number | undefined;
  /** Leave out what is at this time or newer. Exclusive. */
  until?: Date | string | number | undefined;
  /** `"all"` stands for every source. @default {["stdout", "stderr", "output"]} */
  sources?: readonly (LogSource | "all")[] | undefined;
}

/** Options of `logStream`. */
export interface LogStreamOptions {
  /** `"all"` stands for every source. @default {["stdout", "stderr", "output"]} */
  sources?: readonly (LogSource | "all")[] | undefined;
  /** Leave out what is older than this. Inclusive. Found by searching, not by reading everything. */
  since?: Date | string | number | undefined;
  /** Continue just after this entry or snapshot. Together with `since`, both hold. */
  fromCursor?: LogCursor | undefined;
  /** Leave out what is at this time or newer; a followed stream ends when this time has come. Exclusive. */
  until?: Date | string | number | undefined;
  /** Wait for more at the end, until the sandbox is stopped and everything is read. @default {false} */
  follow?: boolean | undefined;
  /** Ends the stream with `AbortedError`. */
  signal?: AbortSignal | undefined;
}

/** A sorted reading of the logs, and where it ended. */
export interface LogSnapshot {
  readonly entries: LogEntry[];
  /**
   * After everything that was there, entries left out by the options included: `logStream({ fromCursor })` from here
   * misses nothing and repeats nothing.
   */
  readonly cursor: LogCursor;
}
