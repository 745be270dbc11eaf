/**
 * Holds the state database against the VM host processes, so that no record says `running` of a VM that is gone, and does
 * what follows the end of a boot.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { isRemovalBegun, sweepStaging } from "../../platform/staging.ts";
import type { SandboxRecord, StateStore } from "../../state/state_store.ts";
import { isLive, LIVE_STATUSES } from "../../state/status.ts";
import { hostExit } from "../../vmm/launch/host_exits.ts";
import { sweepRunDirectories } from "../../vmm/run_directory/create_and_sweep.ts";
import { buryBoot, endMachine } from "../../vmm/run_directory/dead_boot.ts";
import { recordedEnd } from "../../vmm/run_directory/end_record.ts";
import { crashReason } from "../../vmm/run_directory/last_words.ts";
import { sweepSandboxLocks } from "../../vmm/run_directory/sandbox_lock.ts";
import { releaseEnded, settleNetwork, sweepLeases } from "./address_lease.ts";
import { hasHost, hasHostProcess, isAlive } from "./host_liveness.ts";
import { recoverJobs } from "./recover_jobs.ts";
import { discard, discardCreation, finishRemovals, logDirectory } from "./sandbox_directories.ts";

/** Returns a sandbox's record as it truly is; `undefined` if nothing is left of the sandbox. */
export async function reconcile(
  state: StateStore,
  record: SandboxRecord,
): Promise<SandboxRecord | undefined> {
  return isLive(record.status) ? await reconcileRunning(state, record) : await reconcileEnded(state, record);
}

async function reconcileRunning(
  state: StateStore,
  record: SandboxRecord,
): Promise<SandboxRecord | undefined> {
  if (await isAlive(state, record)) return record;
  const exit = await hostExit(record.runDirectory);
  const now = state.findById(record.id);
  // While we looked, it may have ended by itself, or been started again.
  if (now === undefined || now.bootNumber !== record.bootNumber || !isLive(now.status)) return now;
  const wasNeverReady = now.status === "creating" && now.bootNumber === 1;
  if (wasNeverReady) discardCreation(state, now, "the process that created it ended");
  else recordEnd(state, now, exit);
  return await followEnd(state, state.findById(now.id) ?? now);
}

/** Records how a boot ended whose VM host process could not: it was killed, or its disk was full. */
function recordEnd(state: StateStore, record: SandboxRecord, exit: string | undefined): void {
  const runDirectory = record.runDirectory ?? "";
  const last = exit === undefined ? "" : `: its process ended with ${exit}`;
  const end = recordedEnd(runDirectory) ?? {
    action: "crashed",
    reason: crashReason(`the VM ended without a word${last}`, runDirectory),
  };
  state.transition(record, end.action, { reason: end.reason });
}

async function reconcileEnded(state: StateStore, record: SandboxRecord): Promise<SandboxRecord | undefined> {
  if (hasHostProcess(record)) return record; // its last moments
  await recoverJobsOnce(state, record);
  await endMachine(record.runDirectory);
  clearRunDirectory(state, record);
  return isToGo(state, record) ? await followEnd(state, record) : record;
}

/**
 * Does what follows the end of a boot: clears its run directory, removes a sandbox that is not to stay, and releases its
 * network.
 *
 * @returns The record after that; `undefined` if nothing is left of the sandbox.
 */
export async function followEnd(
  state: StateStore,
  record: SandboxRecord,
): Promise<SandboxRecord | undefined> {
  await recoverJobsOnce(state, record);
  await endMachine(record.runDirectory);
  clearRunDirectory(state, record);
  if (isToGo(state, record)) discard(state, record);
  await settleNetwork(state, record); // no later look would do so for a sandbox that is gone
  return state.findById(record.id);
}

/** While its run directory is there, what follows the end of the boot is still to be done. */
async function recoverJobsOnce(state: StateStore, record: SandboxRecord): Promise<void> {
  if (record.runDirectory !== undefined && existsSync(record.runDirectory)) await recoverJobs(state, record);
}

/** Whether the sandbox is ephemeral, or its removal was begun by a process that was killed. */
function isToGo(state: StateStore, record: SandboxRecord): boolean {
  return isEphemeral(record) || isRemovalBegun(state.home, record.id);
}

/** Removes what a host process leaves that is killed in its last moments: its run directory, and perhaps its engine. */
export function clearRunDirectory(
  state: StateStore,
  { id, name, status, runDirectory }: SandboxRecord,
): void {
  if (runDirectory === undefined) return;
  const logs = { directory: logDirectory(state.home, name), sandboxId: id };
  buryBoot(runDirectory, logs, status === "stopped" ? "stopped" : "crashed");
  releaseEnded(state, id);
}

/**
 * Whether the sandbox is removed once it has ended. It is asked at each look, so it reads no other field; a config that
 * cannot be read counts as one to keep.
 */
function isEphemeral({ configJson }: SandboxRecord): boolean {
  let config: unknown;
  try {
    config = JSON.parse(configJson);
  } catch {
    return false;
  }
  return typeof config === "object" && config !== null && "ephemeral" in config && config.ephemeral === true;
}

/** Reconciles all sandboxes that should be alive: those whose VM host process is gone become crashed. */
export async function reconcileLive(state: StateStore): Promise<void> {
  const live = state.list({ statuses: LIVE_STATUSES });
  // A process that exists is enough here: a caller that uses the sandbox connects, and then sees more.
  const suspects = live.filter((record) => !hasHost(state, record));
  await Promise.all(suspects.map((record) => reconcile(state, record)));
}

/** Clears away what killed processes left half done. */
export function sweepLeftovers(state: StateStore): void {
  sweepStaging(state.home);
  finishRemovals(state);
  sweepLeases(state);
  sweepRunDirectories(state.home, () => new Set(state.list({}).map(({ runDirectory }) => runDirectory)));
  sweepSandboxLocks(state.home, () => state.ids());
}
