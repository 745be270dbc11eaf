/**
 * Starting a job: its record first, then its program.
 *
 * @module
 */
import type { ExecSession } from "../../agent/exec_session.ts";
import { GUEST_SIGNALS } from "../../agent/guest_signal.ts";
import type { BackendSandbox } from "../../backend/backend.ts";
import { CallLimit } from "../../base/wait.ts";
import { type ExecInput, feed } from "../exec/exec_input.ts";
import type { JobRequest } from "./job_options.ts";

/** Starts a job; resolves with its id and its process id when its program runs. */
export async function startJob(
  sandbox: BackendSandbox,
  { name, exec }: JobRequest,
): Promise<{ readonly id: string; readonly pid: number }> {
  using limit = new CallLimit({ action: `starting ${JSON.stringify(exec.label)}`, signal: exec.signal });
  const client = await limit.race(sandbox.connect({ signal: limit.signal }));
  const start = { ...exec.start, detached: true, keepInput: exec.input === undefined };
  const { id, session } = await limit.race(client.jobs.start(start, name, limit.signal));
  try {
    const pid = await limit.race(session.holding(session.started));
    if (exec.input === undefined)
      session.close(); // what it writes goes to the log alone
    else void feedAndLeave(session, exec.input);
    return { id, pid };
  } catch (error) {
    if (limit.error !== undefined) kill(session);
    throw error;
  }
}

/** Feeds a job its whole input, and leaves it then. One whose input fails is killed, as a program of `exec()` is. */
async function feedAndLeave(session: ExecSession, input: ExecInput): Promise<void> {
  discardOutput(session);
  try {
    await feed(session, input);
    session.close();
  } catch {
    kill(session); // the input has failed, or the sandbox has ended: the job's record says which
  }
}

function kill(session: ExecSession): void {
  session.signal(GUEST_SIGNALS.SIGKILL);
  session.close();
}

/** Takes what a job writes, so that it does not wait for this process: the log has it. */
export function discardOutput(session: ExecSession): void {
  for (const channel of session.outputs.values()) void channel.toReadableStream().cancel();
}
