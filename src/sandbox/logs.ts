/**
 * The logs of sandboxes by name, from any process, whether the sandbox runs or not.
 *
 * The log directory decides whether there are logs, not the state database: logs outlive a database that was lost.
 *
 * @module
 */
import { defaultBackend } from "../backend/default_backend.ts";
import type { LogEntry, LogReadOptions, LogSnapshot, LogStream, LogStreamOptions } from "../logs/mod.ts";
import { checkSandboxName } from "../options/sandbox_options.ts";

/**
 * Reads the entries that `options` select, sorted by time.
 *
 * @throws {SandboxNotFoundError} `sandboxNotFound`, if the sandbox has no log directory.
 * @throws {InvalidConfigError} `invalidConfig`, naming the options that are wrong.
 * @throws {LogsUnavailableError} `logsUnavailable`, if the files cannot be read.
 * @throws {MissedRotationError} `missedRotation`, if files were removed while they were being read.
 *
 * @example
 * ```ts with web
 * for (const entry of await readLogs("web", { tail: 50, sources: ["stderr"] })) console.log(entry.text());
 * ```
 */
export async function readLogs(name: string, options: LogReadOptions = {}): Promise<LogEntry[]> {
  return (await readLogsSnapshot(name, options)).entries;
}

/**
 * Like {@linkcode readLogs}, and returns a cursor of the end. {@linkcode logStream} with that cursor as `fromCursor`
 * continues exactly there: no entry is lost, and none comes twice.
 *
 * @example
 * ```ts with stopped web
 * const { entries, cursor } = await readLogsSnapshot("web");
 * for (const entry of entries) console.log(entry.text());
 * for await (const entry of await logStream("web", { fromCursor: cursor, follow: true })) console.log(entry.text());
 * ```
 */
export async function readLogsSnapshot(name: string, options: LogReadOptions = {}): Promise<LogSnapshot> {
  checkSandboxName(name);
  return await (await defaultBackend().findLogs(name)).readLogs(options);
}

/**
 * Opens a stream of entries, in order within each source. With `follow` it waits for more, and ends when the sandbox has
 * stopped and everything is read.
 *
 * @throws {SandboxNotFoundError} `sandboxNotFound`, if the sandbox has no log directory.
 * @throws {InvalidConfigError} `invalidConfig`, naming the options that are wrong.
 * @throws {InvalidCursorError} `invalidCursor`, if `fromCursor` is damaged or another sandbox's.
 * @throws {MissedRotationError} `missedRotation`, if entries after `fromCursor` are gone.
 * @throws {LogsUnavailableError} `logsUnavailable`, if the files cannot be read.
 * @throws {AbortedError} `aborted`, if the signal fires.
 *
 * @example
 * ```ts with stopped web
 * for await (const entry of await logStream("web", { follow: true })) console.log(entry.source, entry.text());
 * ```
 */
export async function logStream(name: string, options: LogStreamOptions = {}): Promise<LogStream> {
  checkSandboxName(name);
  return await (await defaultBackend().findLogs(name)).openLogStream(options);
}
