/** Logs of this machine's sandboxes. Their directory decides whether there are any, not the state database. @module */
import { bootNumberOf } from "../../agent/log_session.ts";
import {
  findLogOwner,
  hasLogDirectory,
  type LogStreamSource,
  openLogStream,
  readLogDirectorySnapshot,
  type SessionEnd,
} from "../../logs/mod.ts";
import { SandboxNotFoundError } from "../../state/errors.ts";
import type { StateStore } from "../../state/state_store.ts";
import { isLive } from "../../state/status.ts";
import type { SandboxLogs, SandboxRecord } from "../backend.ts";
import { logDirectory } from "./sandbox_directories.ts";

/** What of a sandbox its logs depend on. */
interface LoggedSandbox {
  readonly state: StateStore;
  readonly id: string;
  readonly name: string;
  find(): Promise<Pick<SandboxRecord, "status"> | undefined>;
}

/** The logs of a sandbox that has a record. @throws {SandboxNotFoundError} if it has no log directory. */
export async function logsOf(home: string, sandbox: LoggedSandbox): Promise<SandboxLogs> {
  const isTerminal = async () => {
    const record = await sandbox.find();
    return record === undefined || !isLive(record.status);
  };
  const directory = logDirectory(home, sandbox.name);
  const sessionEnd = (sessionId: number) => sessionEndOf(sandbox, sessionId);
  return await logsIn({ directory, sandboxId: sandbox.id, isTerminal, sessionEnd }, sandbox.name);
}

/** A job's record says how far its output goes. That of any program ends with its boot. */
function sessionEndOf({ state, id }: LoggedSandbox, sessionId: number): SessionEnd {
  const record = state.findById(id);
  const job = state.jobs.findBySession(id, sessionId);
  const isOfThisBoot = record !== undefined && bootNumberOf(sessionId) === record.bootNumber;
  const isOver = job?.isOutputOver === true || job?.status === "lost" || !isOfThisBoot;
  return { isOver, position: job?.logEnd };
}

/** The logs of a name without a record: complete, as nothing writes them. @throws {SandboxNotFoundError} */
export async function orphanedLogs(home: string, name: string): Promise<SandboxLogs> {
  const directory = logDirectory(home, name);
  const sandboxId = (await findLogOwner(directory)) ?? name; // cursors are bound to the sandbox that wrote
  return await logsIn({ directory, sandboxId, isTerminal: () => Promise.resolve(true) }, name);
}

async function logsIn(source: LogStreamSource, name: string): Promise<SandboxLogs> {
  if (!(await hasLogDirectory(source.directory))) throw new SandboxNotFoundError(name);
  return {
    readLogs: (options) => readLogDirectorySnapshot(source, options),
    openLogStream: (options) => openLogStream(source, options),
  };
}
