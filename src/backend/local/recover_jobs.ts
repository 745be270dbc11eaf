/**
 * Finds in the log how jobs ended, where the boot did not live to record it: its VM host process was killed, or its disk was
 * full. The log has a job's exit from the moment when its process is gone.
 *
 * @module
 */

import {
  execLogCursor,
  hasLogDirectory,
  type LogDirectory,
  type LogEntry,
  MissedRotationError,
  openLogStream,
  parseJobExit,
} from "../../logs/mod.ts";
import { DatabaseError } from "../../state/errors.ts";
import type { JobExit, JobRecord } from "../../state/job_record.ts";
import type { SandboxRecord, StateStore } from "../../state/state_store.ts";
import { logDirectory } from "./sandbox_directories.ts";

/** Gives the jobs that the last boot has lost the exit that its log knows. To be called once it has ended. */
export async function recoverJobs(state: StateStore, { id, name, bootNumber }: SandboxRecord): Promise<void> {
  const lost = state.jobs.list(id).filter((job) => job.status === "lost" && job.bootNumber === bootNumber);
  const logs = { directory: logDirectory(state.home, name), sandboxId: id };
  if (lost.length === 0 || !(await hasLogDirectory(logs.directory))) return;
  const exits = await readExits(logs, lost);
  for (const { id: job, sessionId } of lost) {
    const exit = exits.get(sessionId);
    try {
      if (exit !== undefined)
        state.jobs.recover(id, { id: job, exit, isOutputOver: true, logEnd: undefined });
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      return; // the sandbox has ended all the same; the job stays lost
    }
  }
}

/** The exits that the log has of these jobs, by session. */
async function readExits(
  logs: LogDirectory,
  jobs: readonly JobRecord[],
): Promise<ReadonlyMap<number, JobExit>> {
  const wanted = new Set(jobs.map(({ sessionId }) => sessionId));
  const [oldest] = jobs; // jobs are listed in the order of their start
  const exits = new Map<number, JobExit>();
  for await (const { sessionId, ...entry } of systemEntries(logs, oldest?.logStart)) {
    const exit = sessionId === null || !wanted.has(sessionId) ? undefined : parseJobExit(entry.text);
    if (sessionId !== null && exit !== undefined) exits.set(sessionId, exit);
  }
  return exits;
}

async function* systemEntries(
  logs: LogDirectory,
  start: JobRecord["logStart"],
): AsyncGenerator<Pick<LogEntry, "sessionId"> & { readonly text: string }> {
  const source = { ...logs, isTerminal: () => Promise.resolve(true) };
  let fromCursor = start && execLogCursor(logs.sandboxId, start);
  for (;;) {
    try {
      for await (const entry of await openLogStream(source, { sources: ["system"], fromCursor }))
        yield { sessionId: entry.sessionId, text: entry.text() };
      return;
    } catch (error) {
      if (!(error instanceof MissedRotationError)) throw error;
      fromCursor = error.cursor; // the oldest that is left
    }
  }
}
