/** Opens a log for an answer over HTTP, where reading goes on with what is left after a loss by rotation. @module */
import { MissedRotationError } from "./errors.ts";
import type { LogStream } from "./log_stream.ts";
import type { LogCursor } from "./types.ts";

/** Opens a log after a cursor; from its beginning, if there is none. */
export type OpenLog = (fromCursor: LogCursor | undefined) => Promise<LogStream>;

/** A stream, and what was lost before it. */
export interface OpenedLog {
  readonly stream: LogStream;
  readonly missed: MissedRotationError | undefined;
}

/** How often in a row a reader that fell behind starts again, before the error goes to the client. */
export const REOPEN_MAX = 8;

/** Opens after `cursor`, or at the oldest entry that is left. */
export async function openOrMiss(open: OpenLog, cursor: LogCursor | undefined): Promise<OpenedLog> {
  let missed: MissedRotationError | undefined;
  for (let attempt = 0; ; attempt++) {
    try {
      return { stream: await open(missed?.cursor ?? cursor), missed };
    } catch (error) {
      if (!(error instanceof MissedRotationError) || attempt >= REOPEN_MAX) throw error;
      missed = error;
    }
  }
}
