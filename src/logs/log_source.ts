/** Where the low-level readers find the logs of one sandbox. @module */
import { LogsUnavailableError } from "./errors.ts";
import { pathStatus } from "./read_file.ts";

/** The logs of one sandbox on disk. */
export interface LogDirectory {
  /** The sandbox's log directory. */
  readonly directory: string;
  /** Cursors are bound to it. */
  readonly sandboxId: string;
}

/** @throws LogsUnavailableError if there is no such directory, or it cannot be looked at */
export async function requireDirectory(directory: string): Promise<void> {
  const status = await pathStatus(directory).catch((cause: unknown) => {
    throw new LogsUnavailableError("the directory cannot be read", directory, { cause });
  });
  if (status === undefined) throw new LogsUnavailableError("there is no such directory", directory);
}
