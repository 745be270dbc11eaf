/**
 * The logs of sandboxes by name, from any process, whether the sandbox runs or not.
 *
 * The log directory decides whether there are logs, not the state database: logs outlive a database that was lost.
 *
 * @module
 */
import { LocalSandbox } from "../backend/local/local_sandbox.ts";
import { logDirectory } from "../backend/local/sandbox_directories.ts";
import {
  findLogOwner,
  hasLogDirectory,
  type LogEntry,
  type LogReadOptions,
  type LogSnapshot,
  type LogStream,
  type LogStreamOptions,
  type LogStreamSource,
  openLogStream,
  readLogDirectorySnapshot,
} from "../logs/mod.ts";
import { checkSandboxName } from "../options/sandbox_options.ts";
import { homeDirectory } from "../platform/home.ts";
import { SandboxNotFoundError } from "../state/errors.ts";
import { isLive } from "../state/status.ts";

/**
 * Reads the entries that `options` select, sorted by time.
 *
 * @throws {SandboxNotFoundError} `sandboxNotFound`, if the sandbox has no log directory.
 * @throws {InvalidConfigError} `invalidConfig`, naming the options that are wrong.
 * @throws {LogsUnavailableError} `logsUnavailable`, if the files cannot be read.
 * @throws {MissedRotationError} `missedRotation`, if files were removed while they were being read.
 *
 * @example
 * ```ts
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
 * ```ts
 * const { entries, cursor } = await readLogsSnapshot("web");
 * for (const entry of entries) console.log(entry.text());
 * for await (const entry of await logStream("web", { fromCursor: cursor, follow: true })) console.log(entry.text());
 * ```
 */
export async function readLogsSnapshot(name: string, options: LogReadOptions = {}): Promise<LogSnapshot> {
  return await readLogDirectorySnapshot(await findLogs(name), options);
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
 * ```ts
 * for await (const entry of await logStream("web", { follow: true })) console.log(entry.source, entry.text());
 * ```
 */
export async function logStream(name: string, options: LogStreamOptions = {}): Promise<LogStream> {
  return await openLogStream(await findLogs(name), options);
}

/** {@linkcode readLogsSnapshot} of one sandbox by identity. */
export async function readCoreLogs(core: LocalSandbox, options: LogReadOptions): Promise<LogSnapshot> {
  await core.record();
  return await readLogDirectorySnapshot(await logsOf(core), options);
}

/** {@linkcode logStream} of one sandbox by identity. */
export async function streamCoreLogs(core: LocalSandbox, options: LogStreamOptions): Promise<LogStream> {
  await core.record();
  return await openLogStream(await logsOf(core), options);
}

async function findLogs(name: string): Promise<LogStreamSource> {
  checkSandboxName(name);
  const found = await LocalSandbox.find(name);
  if (found !== undefined) return await logsOf(found.core);
  const directory = logDirectory(homeDirectory(), name);
  await requireLogs(directory, name);
  // Without a record of the sandbox nothing writes any more; cursors are bound to whoever wrote.
  return {
    directory,
    sandboxId: (await findLogOwner(directory)) ?? name,
    isTerminal: () => Promise.resolve(true),
  };
}

async function logsOf(core: LocalSandbox): Promise<LogStreamSource> {
  const directory = logDirectory(core.state.home, core.name);
  await requireLogs(directory, core.name);
  const isTerminal = async () => {
    const record = await core.find();
    return record === undefined || !isLive(record.status);
  };
  return { directory, sandboxId: core.id, isTerminal };
}

async function requireLogs(directory: string, name: string): Promise<void> {
  if (!(await hasLogDirectory(directory))) throw new SandboxNotFoundError(name);
}
