/** What a program wrote, up to a limit, and how it ended. @module */
import { type ExecHandle, MicrosandboxError } from "../../../mod.ts";

/** The first bytes of a stream of text. */
export class BoundedText {
  readonly #bytesMax: number;
  readonly #parts: Uint8Array[] = [];
  #keptBytes = 0;
  omittedBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(bytes: Uint8Array): void {
    const kept = bytes.subarray(0, Math.max(0, this.#bytesMax - this.#keptBytes));
    if (kept.length > 0) this.#parts.push(kept);
    this.#keptBytes += kept.length;
    this.omittedBytes += bytes.length - kept.length;
  }

  text(): string {
    return Buffer.concat(this.#parts).toString("utf8");
  }
}

/** How a run is reported. */
export interface RunAnswer {
  readonly [field: string]: unknown;
  readonly exitCode: number | null;
  readonly signalName: string | null;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutOmittedBytes: number;
  readonly stderrOmittedBytes: number;
}

/** Reads a program to its end; what is beyond the limit is read and dropped. */
export async function readRun(run: ExecHandle, bytesMax: number): Promise<RunAnswer> {
  const stdout = new BoundedText(bytesMax);
  const stderr = new BoundedText(bytesMax);
  let end: Pick<RunAnswer, "exitCode" | "signalName" | "timedOut"> | undefined;
  try {
    for await (const event of run) {
      if (event.kind === "stdout") stdout.add(event.data);
      else if (event.kind === "stderr") stderr.add(event.data);
      else if (event.kind === "exited")
        end = { exitCode: event.code, signalName: event.signalName ?? null, timedOut: false };
    }
  } catch (error) {
    if (!MicrosandboxError.is(error) || error.code !== "execTimeout") throw error;
  }
  return {
    ...(end ?? { exitCode: null, signalName: null, timedOut: true }),
    stdout: stdout.text(),
    stderr: stderr.text(),
    stdoutOmittedBytes: stdout.omittedBytes,
    stderrOmittedBytes: stderr.omittedBytes,
  };
}
