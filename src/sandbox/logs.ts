/**
 * The logs of sandboxes by name: of running, stopped and crashed ones, from any process.
 *
 * @module
 */

import { LocalSandbox } from "../backend/local/local_sandbox.ts";
import { logDirectory } from "../backend/local/sandbox_directories.ts";
import {
  type LogDirectory,
  type LogEntry,
  type LogReadOptions,
  type LogSnapshot,
  type LogStream,
  type LogStreamOptions,
  openLogStream,
  readLogDirectorySnapshot,
} from "../logs/mod.ts";
import { checkSandboxName } from "../options/sandbox_options.ts";
import { isLive } from "../state/status.ts";

/**
 * All entries that `options` ask for, in the order of time.
 *
 * @throws {SandboxNotFoundError}
 * @throws {InvalidConfigError} if an option cannot be used.
 * @throws {LogsUnavailableError} if the files cannot be read.
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
 * Like {@linkcode readLogs}, with a cursor of the end: hand it to {@linkcode logStream} as `fromCursor`, and nothing is
 * lost and nothing comes twice.
 */
export async function readLogsSnapshot(name: string, options: LogReadOptions = {}): Promise<LogSnapshot> {
  checkSandboxName(name);
  return await readCoreLogs((await LocalSandbox.get(name)).core, options);
}

/**
 * Entries as they come, in order within each source.
 *
 * @throws {SandboxNotFoundError}
 * @throws {InvalidCursorError} if `fromCursor` is damaged or another sandbox's.
 * @throws {MissedRotationError} if entries after `fromCursor` are gone.
 *
 * @example
 * ```ts with stopped web
 * for await (const entry of await logStream("web", { follow: true })) console.log(entry.source, entry.text());
 * ```
 */
export async function logStream(name: string, options: LogStreamOptions = {}): Promise<LogStream> {
  checkSandboxName(name);
  return await streamCoreLogs((await LocalSandbox.get(name)).core, options);
}

/** {@linkcode readLogsSnapshot} of one sandbox by identity. */
export async function readCoreLogs(core: LocalSandbox, options: LogReadOptions): Promise<LogSnapshot> {
  await core.record();
  return await readLogDirectorySnapshot(placeOf(core), options);
}

/** {@linkcode logStream} of one sandbox by identity. */
export async function streamCoreLogs(core: LocalSandbox, options: LogStreamOptions): Promise<LogStream> {
  await core.record();
  const isTerminal = async () => {
    const record = await core.find();
    return record === undefined || !isLive(record.status);
  };
  return await openLogStream({ ...placeOf(core), isTerminal }, options);
}

function placeOf(core: LocalSandbox): LogDirectory {
  return { directory: logDirectory(core.state.home, core.name), sandboxId: core.id };
}
