/**
 * The logs of sandboxes by name: of running, stopped and crashed ones, from any process.
 *
 * @module
 */

import { getSandbox } from "../backend/backend.ts";
import { defaultBackend } from "../backend/default_backend.ts";
import type { LogEntry, LogReadOptions, LogSnapshot, LogStream, LogStreamOptions } from "../logs/mod.ts";
import { checkSandboxName } from "../options/sandbox_options.ts";

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
  const { sandbox } = await getSandbox(defaultBackend(), name);
  return await sandbox.readLogs(options);
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
  const { sandbox } = await getSandbox(defaultBackend(), name);
  return await sandbox.openLogStream(options);
}
