/**
 * How the VM host processes that this process started have ended: with krun, the only trace of an engine that crashes.
 *
 * @module
 */
import { settlesWithin } from "../../base/wait.ts";
import type { ProcessExit } from "../../platform/child.ts";

/** The exit is known a moment after the sockets have closed. */
const EXIT_WAIT_MS = 200;
/** How long an exit is kept for those who ask. */
const KEPT_MS = 10_000;

/** By run directory. One entry for each VM that runs, and those that ended a moment ago. */
const exits = new Map<string, Promise<ProcessExit>>();

/** Remembers how the host process of a run directory ends. */
export function watchHostExit(runDirectory: string, exited: Promise<ProcessExit>): void {
  exits.set(runDirectory, exited);
  exited.then(() => {
    const timer = setTimeout(() => exits.delete(runDirectory), KEPT_MS) as { unref?(): void };
    timer.unref?.();
  });
}

/** How the host process ended, for people, e.g. `"SIGSEGV"`; `undefined` if it runs, or another process started it. */
export async function hostExit(runDirectory: string | undefined): Promise<string | undefined> {
  const exited = runDirectory === undefined ? undefined : exits.get(runDirectory);
  if (exited === undefined || !(await settlesWithin(exited, EXIT_WAIT_MS))) return undefined;
  const { code, signal } = await exited;
  return signal ?? `status ${code}`;
}
