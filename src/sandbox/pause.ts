/**
 * Pausing a running sandbox and letting it go on, for `Sandbox` and `SandboxHandle` alike.
 *
 * @module
 */

import { GuestErrno } from "../agent/guest_errno.ts";
import { type BackendSandbox, SandboxNotRunningError } from "../backend/backend.ts";
import { TimeoutError, UnsupportedError } from "../base/errors.ts";

/** How long the guest's programs may take to stand still: as in the agent (`guest/limits.h`). */
const PAUSE_WAIT_MS = 10_000;

/**
 * Stops all programs of the sandbox where they are, or lets them go on. Resolves when that is so; at once if it is.
 *
 * @throws {SandboxNotRunningError} if it does not run, or is about to stop.
 * @throws {TimeoutError} if a program could not be stopped, or the state database not be written; all go on then.
 * @throws {UnsupportedError} if the guest's kernel cannot.
 */
export async function setPaused(sandbox: BackendSandbox, on: boolean): Promise<void> {
  const state = await (await sandbox.connect()).pause(on);
  if (state.on === on) return;
  const action = `${on ? "pause" : "resume"} ${sandbox.name}`;
  if (state.errno === GuestErrno.ETIMEDOUT)
    throw new TimeoutError(`${on ? "pausing" : "resuming"} ${sandbox.name}`, PAUSE_WAIT_MS);
  if (state.errno === GuestErrno.EOPNOTSUPP)
    throw new UnsupportedError(`Cannot ${action}: the guest's kernel has no freezer for control groups`);
  const { status } = await sandbox.record();
  throw new SandboxNotRunningError(sandbox.name, status, { hint: `cannot ${action} (errno ${state.errno})` });
}
