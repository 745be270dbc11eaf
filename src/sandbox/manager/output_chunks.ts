/**
 * Programs as a manager hands them out: chunks of output, the last of which says how it ended.
 *
 * @module
 */

import type { BackendSandbox, SandboxStatus } from "../../backend/backend.ts";
import { waitForStatus } from "../../backend/wait_for.ts";
import { parseStoredConfig } from "../../options/sandbox_options.ts";
import { ExecHandle } from "../exec/exec_handle.ts";
import { resolveExec } from "../exec/exec_options.ts";
import type { ManagedExec, ManagedRunOptions, OutputChunk } from "./types.ts";

const NOTHING = new Uint8Array(0);

/** All statuses but `creating`, which may be another process's doing: it says when that is over. */
const SETTLED: readonly SandboxStatus[] = ["running", "paused", "draining", "stopped", "crashed"];

/** Starts a program, once the sandbox has booted. */
export async function startManaged(
  sandbox: BackendSandbox,
  { cmd, ...options }: ManagedRunOptions,
  stdin: "null" | "pipe",
): Promise<ExecHandle> {
  const [command = "", ...args] = cmd;
  const record = await waitForStatus(sandbox, SETTLED, { signal: options.signal });
  const request = resolveExec(parseStoredConfig(record.configJson), command, args, options, stdin);
  return await ExecHandle.start(sandbox, request);
}

/** What a program writes, piece by piece as it is read; cancelling kills the program. */
export function outputChunks(handle: ExecHandle): ReadableStream<OutputChunk> {
  return new ReadableStream<OutputChunk>(
    {
      async pull(controller) {
        const chunk = await nextChunk(handle);
        controller.enqueue(chunk);
        if (chunk.stream === "exit") controller.close();
      },
      async cancel() {
        await handle[Symbol.asyncDispose]();
      },
    },
    { highWaterMark: 0 },
  );
}

export function managedExec(handle: ExecHandle): ManagedExec {
  return {
    pid: handle.pid,
    output: outputChunks(handle),
    stdin: handle.stdin,
    resize: (rows, columns) => handle.resize(rows, columns),
    signal: (signal) => handle.signal(signal),
  };
}

async function nextChunk(handle: ExecHandle): Promise<OutputChunk> {
  for (;;) {
    const event = await handle.recv();
    if (event?.kind === "stdout" || event?.kind === "stderr") {
      return { stream: event.kind, data: event.data, exitCode: undefined, signal: undefined };
    }
    if (event?.kind === "exited") {
      return { stream: "exit", data: NOTHING, exitCode: event.code, signal: event.signal };
    }
  }
}
