/**
 * Programs as a manager hands them out: chunks of output, the last of which says how it ended.
 *
 * @module
 */
import type { ExecHandle } from "./exec.ts";
import type { ManagedExec, OutputChunk } from "./manager_types.ts";

const NOTHING = new Uint8Array(0);

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
