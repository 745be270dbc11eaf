/**
 * The standard input of a job, opened again from any process.
 *
 * @module
 */
import type { ExecSession } from "../../agent/exec_session.ts";
import { IoError } from "../../base/errors.ts";
import { discardOutput } from "./start_job.ts";

/**
 * The input as a stream. `adopt` takes the job over when the first chunk is written; closing the stream ends the input, and
 * aborting it leaves the input open.
 */
export function jobInput(adopt: () => Promise<ExecSession>, label: string): WritableStream<Uint8Array> {
  let opening: Promise<ExecSession> | undefined;
  const open = async (): Promise<ExecSession> => {
    const session = await adopt();
    discardOutput(session);
    return session;
  };
  return new WritableStream<Uint8Array>({
    async write(chunk) {
      opening ??= open();
      const session = await opening;
      if (await session.holding(session.stdin.write(chunk))) return;
      if (session.ending?.kind === "cutOff") throw session.ending.error; // attached elsewhere, or the sandbox has ended
      const cause = Object.assign(new Error("EPIPE: the job reads no more"), { code: "EPIPE" });
      throw new IoError(`write to the standard input of ${label}`, undefined, cause);
    },
    async close() {
      opening ??= open();
      const session = await opening;
      await session.holding(session.stdin.end());
      session.close();
    },
    async abort() {
      const session = await opening?.catch(() => undefined); // one that was not opened needs no leaving
      session?.close();
    },
  });
}
