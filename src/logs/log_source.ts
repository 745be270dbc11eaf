/** Where the low-level readers find the logs of one sandbox. @module */
import { messageOf } from "../base/errors.ts";
import { LogsUnavailableError } from "./errors.ts";
import { pathStatus } from "./read_file.ts";

/** The logs of one sandbox on disk. */
export interface LogDirectory {
  /** The sandbox's log directory. */
  readonly directory: string;
  /** Cursors are bound to it. */
  readonly sandboxId: string;
}

/** Whether there is a log directory. @throws {LogsUnavailableError} if that cannot be told. */
export async function hasLogDirectory(directory: string): Promise<boolean> {
  try {
    return (await pathStatus(directory)) !== undefined;
  } catch (cause) {
    throw new LogsUnavailableError(`the directory cannot be read: ${messageOf(cause)}`, directory, { cause });
  }
}

/** @throws {LogsUnavailableError} if there is no such directory, or that cannot be told. */
export async function requireDirectory(directory: string): Promise<void> {
  if (!(await hasLogDirectory(directory)))
    throw new LogsUnavailableError("there is no such directory", directory);
}
