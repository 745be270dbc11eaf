/** Errors of reading logs. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../base/errors.ts";
import type { LogCursor } from "./types.ts";

/**
 * Entries were removed by rotation before they were read (`missedRotation`). To read what is left, open a stream with
 * `fromCursor: error.cursor`.
 *
 * @example
 * ```ts no-run: needs a cursor whose entries are gone
 * const fromCursor = process.argv[2];
 * try {
 *   for await (const entry of await logStream("web", { fromCursor })) console.log(entry.text());
 * } catch (error) {
 *   if (!(error instanceof MissedRotationError)) throw error;
 *   for await (const entry of await logStream("web", { fromCursor: error.cursor })) console.log(entry.text());
 * }
 * ```
 */
export class MissedRotationError extends MicrosandboxError {
  /**
   * How many log files had unread content when they were removed. The file that the reader was in counts, unless it is
   * known to have been read to its end.
   */
  readonly lostGenerations: number;
  /** The position of the oldest entry that is left. */
  readonly cursor: LogCursor;

  /** @param filename The log whose files are gone, e.g. `"exec.log"`. */
  /** @internal */
  constructor(
    filename: string,
    lostGenerations: number,
    cursor: LogCursor,
    options?: MicrosandboxErrorOptions,
  ) {
    super(
      "missedRotation",
      `Cannot continue reading ${filename}: ${lostGenerations} of its files were removed unread`,
      {
        hint: "open a stream with fromCursor set to the cursor field of this error to read what is left",
        ...options,
      },
    );
    this.lostGenerations = lostGenerations;
    this.cursor = cursor;
  }
}

/** Why a cursor cannot be used. */
export type InvalidCursorReason =
  /** Longer than any cursor. */
  | "tooLong"
  /** Not base64url text. */
  | "encoding"
  /** Cut short, or with something left over. */
  | "length"
  /** Of another version of the format. */
  | "version"
  /** Its checksum does not match: it is damaged or forged. */
  | "checksum"
  /** Its fields contradict each other. */
  | "content"
  /** Of another sandbox. */
  | "sandbox"
  /** It points where no entry of this log ends. */
  | "position";

/** A cursor is damaged, or belongs to other logs (`invalidCursor`). */
export class InvalidCursorError extends MicrosandboxError {
  /** The check that failed. */
  readonly reason: InvalidCursorReason;

  /** @param detail The same for people, as it follows a colon in the message. */
  /** @internal */
  constructor(reason: InvalidCursorReason, detail: string, options?: MicrosandboxErrorOptions) {
    super("invalidCursor", `Cannot use the log cursor: ${detail}`, options);
    this.reason = reason;
  }
}

/**
 * The log directory or a file in it cannot be read (`logsUnavailable`). `cause` is the system's own error, if there is one.
 */
export class LogsUnavailableError extends MicrosandboxError {
  /** The log directory. */
  readonly path: string;

  /** @param problem The cause, as it follows a colon in the message. */
  /** @internal */
  constructor(problem: string, path: string, options?: MicrosandboxErrorOptions) {
    super("logsUnavailable", `Cannot read the logs in ${path}: ${problem}`, options);
    this.path = path;
  }
}
