/** The public types of the logs: sources, entries, options. @module */

/**
 * The origin of an entry: a program's `stdout` or `stderr`, the merged `output` of a program with a terminal,
 * `system` (lifecycle markers, console of the guest's kernel, diagnostics of the VM host process), or `network` (decisions about the
 * guest's connections, each a line of JSON).
 */
export type LogSource = "stdout" | "stderr" | "output" | "system" | "network";

/** Every source, in a fixed order. */
export const LOG_SOURCES = [
  "stdout",
  "stderr",
  "output",
  "system",
  "network",
] as const satisfies readonly LogSource[];

/** The sources that are read by default: the output of programs. `system` and `network` have to be asked for. */
export const DEFAULT_LOG_SOURCES = ["stdout", "stderr", "output"] as const satisfies readonly LogSource[];

/**
 * A position in the logs of one sandbox, as opaque text that is safe in URLs and headers. It stays valid across restarts of
 * the reader and of the sandbox, and across rotation as long as the data is kept.
 */
export type LogCursor = string;

/** One piece of output: what a program wrote at once, up to 64 KiB, one line of a system log, or one decision of `network`. */
export interface LogEntry {
  /** When it was captured, to the millisecond. */
  readonly timestamp: Date;
  /** Where it came from. */
  readonly source: LogSource;
  /**
   * `ExecHandle.sessionId` of the program that wrote it, unique across boots of the sandbox. Of `system`, that of the job
   * which the entry is about; else `null`.
   */
  readonly sessionId: number | null;
  /** The bytes, as the program wrote them. */
  readonly data: Uint8Array;
  /** The position just after this entry: a stream with this `fromCursor` continues with the next. */
  readonly cursor: LogCursor;
  /** `data` decoded as UTF-8; invalid bytes become U+FFFD. */
  text(): string;
}

/** Options of `readLogs()` and `readLogsSnapshot()`, applied in this order: sources, since, until, tail. */
export interface LogReadOptions {
  /** How many entries to return at most: the last ones that pass the other options. @default all */
  tail?: number | undefined;
  /** Earliest time, inclusive: a `Date`, an ISO 8601 string, or milliseconds since 1970. @default the beginning */
  since?: Date | string | number | undefined;
  /** Latest time, exclusive. @default the end */
  until?: Date | string | number | undefined;
  /** Sources to read; `"all"` stands for every one. @default {["stdout", "stderr", "output"]} */
  sources?: readonly (LogSource | "all")[] | undefined;
  /** Only what the program with this `ExecHandle.sessionId` wrote. @default every program */
  sessionId?: number | undefined;
}

/** Options of `logStream()`. */
export interface LogStreamOptions {
  /** Sources to read; `"all"` stands for every one. @default {["stdout", "stderr", "output"]} */
  sources?: readonly (LogSource | "all")[] | undefined;
  /** Earliest time, inclusive. Found by a search, without reading everything before it. @default the beginning */
  since?: Date | string | number | undefined;
  /** Where to continue: the cursor of an entry or of a snapshot. Combined with `since`, both apply. */
  fromCursor?: LogCursor | undefined;
  /** Latest time, exclusive. A followed stream ends when this time has come. @default the end */
  until?: Date | string | number | undefined;
  /**
   * Only what the program with this `ExecHandle.sessionId` wrote. If it is a job, a followed stream ends when all that it
   * wrote is read. @default every program
   */
  sessionId?: number | undefined;
  /** Waits for new entries at the end, until the sandbox has stopped and everything is read. @default {false} */
  follow?: boolean | undefined;
  /** Ends the stream with `AbortedError` (`aborted`) when it fires. */
  signal?: AbortSignal | undefined;
}

/** Entries sorted by time, and the position after them. */
export interface LogSnapshot {
  /** The selected entries, sorted by time. */
  readonly entries: LogEntry[];
  /**
   * The position after everything that was there, whatever the options left out. A stream with this `fromCursor` misses
   * nothing and repeats nothing.
   */
  readonly cursor: LogCursor;
}
