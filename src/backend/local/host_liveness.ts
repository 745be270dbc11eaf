/**
 * The VM host process of a record, seen without a connection to it: whether it is there, and its end.
 *
 * @module
 */
import { pollUntil } from "../../base/wait.ts";
import { isSameProcess, isZombie, killProcess, signalProcess } from "../../platform/process_identity.ts";
import type { SandboxRecord, StateStore } from "../../state/state_store.ts";
import { isBootAlive } from "../../vmm/run_directory/dead_boot.ts";
import { isSandboxLocked } from "../../vmm/run_directory/sandbox_lock.ts";

/** What a process may need to disappear after its sockets have. */
const EXIT_TIMEOUT_MS = 1_000;
const POLL_MS = 10;

/** What a record says of its VM host process. */
export type HostRecord = Pick<SandboxRecord, "id" | "bootNumber" | "runDirectory" | "host">;

/**
 * Whether the VM host process of a record is alive. A connection proves that it is; a refusal alone does not prove that it
 * is not, as Bun reports a full queue just like a socket without a listener. So the process has to be gone as well.
 */
export async function isAlive(state: StateStore, record: HostRecord): Promise<boolean> {
  const seen = await pollUntil(
    async () => {
      if (await isBootAlive(record.runDirectory)) return "answers";
      return !hasHostProcess(record) && "gone";
    },
    { everyMs: POLL_MS, timeoutMs: EXIT_TIMEOUT_MS },
  );
  // The kernel gives the lock back before the pid. One that exists and does not answer is for a person to judge.
  return seen === "gone" ? isLocked(state, record) : true;
}

/** Whether the process itself exists, in whichever PID namespace. */
export function hasHost(state: StateStore, record: HostRecord): boolean {
  return hasHostProcess(record) || isLocked(state, record);
}

/**
 * Whether the VM host process of this very boot may have the sandbox's lock. A later boot can only be claimed by a process
 * that has the lock, so by then that of this boot is gone. A sandbox that is gone has no later boot.
 */
function isLocked(state: StateStore, { id, bootNumber }: HostRecord): boolean {
  if (!isSandboxLocked(state.home, id)) return false;
  const now = state.findById(id); // only after the look: in the other sequence, the next boot could come in between
  return now === undefined || now.bootNumber === bootNumber;
}

/** Whether the process exists in this PID namespace: cheaper, and enough where nothing is lost by a wrong no. */
export function hasHostProcess({ host }: Pick<HostRecord, "host">): boolean {
  return host !== undefined && isSameProcess(host);
}

/** Whether the process exists, but cannot be signalled from here. One that is ending here will be gone by itself. */
export function isOutOfReach(state: StateStore, record: HostRecord): boolean {
  if (hasHostProcess(record)) return false;
  const isEnding = record.host !== undefined && isZombie(record.host);
  return !isEnding && isLocked(state, record);
}

/** Asks for the stop sequence. */
export function terminateHost({ host }: Pick<HostRecord, "host">): void {
  if (host !== undefined) signalProcess(host, "SIGTERM");
}

/** Ends the process, and the VM with it: it is in there, or the kernel ends it then. */
export function killHost({ host }: Pick<HostRecord, "host">): void {
  if (host !== undefined) killProcess(host);
}

/** Resolves when the process is gone, or after `timeoutMs`. */
export async function hasEnded(state: StateStore, record: HostRecord, timeoutMs: number): Promise<void> {
  await pollUntil(() => !hasHost(state, record), { everyMs: POLL_MS, timeoutMs });
}

/** Whether no process serves the boot any more, now or within `timeoutMs`. */
export async function isDeadWithin(
  state: StateStore,
  record: HostRecord,
  timeoutMs: number,
): Promise<boolean> {
  const isDead = async () => !(await isBootAlive(record.runDirectory)) && !isLocked(state, record);
  return (await pollUntil(isDead, { everyMs: POLL_MS, timeoutMs })) === true;
}
