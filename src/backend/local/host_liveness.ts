/**
 * The VM host process of a record, seen without a connection to it: whether it is there, and its end.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { isSameProcess, killProcess, signalProcess } from "../../platform/process_identity.ts";
import type { SandboxRecord } from "../../state/state_store.ts";
import { isBootAlive } from "../../vmm/run_directory/dead_boot.ts";
import { isSandboxLocked } from "../../vmm/run_directory/sandbox_lock.ts";

/** What a process may need to disappear after its sockets have. */
const EXIT_TIMEOUT_MS = 1_000;
const POLL_MS = 10;

/** What a record says of its VM host process. */
export type HostRecord = Pick<SandboxRecord, "id" | "runDirectory" | "host">;

/**
 * Whether the VM host process of a record is alive. A connection proves that it is; a refusal alone does not prove that it
 * is not, as Bun reports a full queue just like a socket without a listener. So the process has to be gone as well.
 */
export async function isAlive(home: string, record: HostRecord): Promise<boolean> {
  const deadline = performance.now() + EXIT_TIMEOUT_MS;
  for (;;) {
    if (await isBootAlive(record.runDirectory)) return true;
    if (!hasHostProcess(record)) return isSandboxLocked(home, record.id); // the kernel gives the lock back before the pid
    if (performance.now() > deadline) return true; // it exists and does not answer: for a person to judge
    await delay(POLL_MS);
  }
}

/** Whether the process itself exists, in whichever PID namespace. */
export function hasHost(home: string, record: HostRecord): boolean {
  return hasHostProcess(record) || isSandboxLocked(home, record.id);
}

/** Whether the process exists in this PID namespace: cheaper, and enough where nothing is lost by a wrong no. */
export function hasHostProcess({ host }: Pick<HostRecord, "host">): boolean {
  return host !== undefined && isSameProcess(host);
}

/** Whether the process exists, but cannot be signalled from here. */
export function isOutOfReach(home: string, record: HostRecord): boolean {
  return !hasHostProcess(record) && isSandboxLocked(home, record.id);
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
export async function hasEnded(home: string, record: HostRecord, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (hasHost(home, record) && performance.now() < deadline) await delay(POLL_MS);
}

/** Whether no process serves the boot any more, now or within `timeoutMs`. */
export async function isDeadWithin(home: string, record: HostRecord, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while ((await isBootAlive(record.runDirectory)) || isSandboxLocked(home, record.id)) {
    if (performance.now() > deadline) return false;
    await delay(POLL_MS);
  }
  return true;
}
