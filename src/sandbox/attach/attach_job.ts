/**
 * A terminal for a job that runs already.
 *
 * @module
 */
import type { ExecSession } from "../../agent/exec_session.ts";
import { ExecHandle } from "../exec/exec_handle.ts";
import { OUTPUT_BYTES_MAX } from "../exec/exec_options.ts";
import { attach } from "./attach.ts";
import type { AttachView } from "./attach_options.ts";

/** Connects a terminal to a job that was taken over. Resolves with its exit code, or with `DETACHED`. */
export async function attachAdopted(session: ExecSession, label: string, view: AttachView): Promise<number> {
  const start = { argv: [label], env: [], cwd: "", user: "", rlimits: [], terminal: view.terminal.size };
  const program = ExecHandle.over(session, await session.started, {
    start: { ...start, detached: true, stdin: session.adopted?.hasInput ?? false },
    label,
    input: undefined,
    timeoutMs: undefined,
    outputBytesMax: OUTPUT_BYTES_MAX,
    signal: undefined,
    startFailure: "reject",
    offline: undefined,
  });
  await using _program = program;
  return await attach(program, view.terminal.open(), view, { screen: session.adopted?.screen ?? "" });
}
