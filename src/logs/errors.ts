/** What can go wrong when logs are read. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../base/errors.ts";
import type { LogCursor } from "./types.ts";

/**
 * Entries between the reader and the oldest retained file were rotated away before they were read.
 * Continue with what is left by opening a stream `fromCursor: error.cursor`.
 */
export class MissedRotationError extends MicrosandboxError {
  /**
   * How many log files (generations) had unread content when they were removed. The one that the reader stood in
   * counts, unless it is known to have been read to its end.
   */
  readonly lostGenerations: number;
  /** At the oldest entry that is left. */
  readonly cursor: LogCursor;

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
        hint: "Open a stream with fromCursor set to the cursor field of this error to read what is left.",
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
  /** Made by another version of the format. */
  | "version"
  /** Its checksum does not match: damaged or made up. */
  | "checksum"
  /** Its fields contradict each other. */
  | "content"
  /** Made for another sandbox. */
  | "sandbox"
  /** It points where no entry of this log ends. */
  | "position";

/** The text given as a cursor is damaged, or belongs to something else. */
export class InvalidCursorError extends MicrosandboxError {
  readonly reason: InvalidCursorReason;

  constructor(reason: InvalidCursorReason, detail: string, options?: MicrosandboxErrorOptions) {
    super("invalidCursor", `Cannot use the log cursor: ${detail}`, options);
    this.reason = reason;
  }
}

/** The log directory or a file in it is absent or cannot be read; `cause` has the system's own error. */
export class LogsUnavailableError extends MicrosandboxError {
  readonly path: string;

  constructor(problem: string, path: string, options?: MicrosandboxErrorOptions) {
    super("logsUnavailable", `Cannot read the logs in ${path}: ${problem}`, options);
    this.path = path;
  }
}
