/**
 * The VM host process of a record, seen without a connection to it: whether it is there, and its end.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { isSameProcess, killProcess, signalProcess } from "../../platform/process_identity.ts";
import type { SandboxRecord } from "../../state/state_store.ts";
import { isBootAlive } from "../../vmm/run_directory/dead_boot.ts";

/** What a process may need to disappear after its sockets have. */
const EXIT_TIMEOUT_MS = 1_000;
const POLL_MS = 10;

/** What a record says of its VM host process. */
export type HostRecord = Pick<SandboxRecord, "runDirectory" | "host">;

/**
 * Whether the VM host process of a record is alive. A connection proves that it is; a refusal alone does not prove that it
 * is not, as Bun reports a queue that is full just like one that nobody serves. So the process has to be gone, too.
 */
export async function isAlive(record: HostRecord): Promise<boolean> {
  const deadline = performance.now() + EXIT_TIMEOUT_MS;
  for (;;) {
    if (await isBootAlive(record.runDirectory)) return true;
    if (!hasHost(record)) return false;
    if (performance.now() > deadline) return true; // it is there and does not answer: for a person to judge
    await delay(POLL_MS);
  }
}

/** Whether the process itself is there. */
export function hasHost({ host }: Pick<HostRecord, "host">): boolean {
  return host !== undefined && isSameProcess(host);
}

/** Asks for the stop sequence. */
export function terminateHost({ host }: HostRecord): void {
  if (host !== undefined) signalProcess(host, "SIGTERM");
}

/** Ends the process, and the VM with it: it is in there, or the kernel ends it then. */
export function killHost({ host }: HostRecord): void {
  if (host !== undefined) killProcess(host);
}

/** Resolves when the process is gone, or after `timeoutMs`. */
export async function hasEnded(record: HostRecord, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (hasHost(record) && performance.now() < deadline) await delay(POLL_MS);
}

/** Whether nobody serves the boot any more, now or within `timeoutMs`. */
export async function isDeadWithin({ runDirectory }: HostRecord, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (await isBootAlive(runDirectory)) {
    if (performance.now() > deadline) return false;
    await delay(POLL_MS);
  }
  return true;
}
