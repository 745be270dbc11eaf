/**
 * A program that is started for a terminal. It is a job, so that it goes on when the terminal is detached.
 *
 * @module
 */
import type { BackendSandbox } from "../../backend/backend.ts";
import { ExecHandle } from "../exec/exec_handle.ts";
import { findJob } from "../jobs/job.ts";
import { attach } from "./attach.ts";
import type { AttachRequest } from "./attach_options.ts";
import type { ProgramTerminal } from "./program_terminal.ts";

/** Starts a program and connects the terminal to it. Resolves with its exit code, or with `DETACHED`. */
export async function attachStarted(
  sandbox: BackendSandbox,
  { view, job: { name, exec }, onStart }: AttachRequest,
): Promise<number> {
  let id = "";
  const program = await ExecHandle.start(sandbox, exec, async (client, signal) => {
    const started = await client.jobs.start(exec.start, name, signal);
    id = started.id;
    return started.session;
  });
  await using _program = program;
  let terminal: ProgramTerminal;
  try {
    onStart?.(await findJob(sandbox, id));
    terminal = view.terminal.open();
  } catch (error) {
    await program.kill(); // it was never seen
    throw error;
  }
  return await attach(program, terminal, view);
}
