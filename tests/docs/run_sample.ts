/**
 * Runs the program of a sample as a reader would: in a directory of its own, in a process of its own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";

export interface SampleRun {
  readonly runtime: "bun" | "deno";
  readonly cwd: string;
  /** `MSB_HOME` of the program. */
  readonly home: string;
  /** @default {40_000} */
  readonly timeoutMs?: number;
}

const COMMANDS = {
  bun: ["bun"],
  // The samples are type-checked by a test of their own.
  deno: ["deno", "run", "--allow-all", "--no-check", "--quiet"],
} as const;

/** @throws {AssertionError} if the program fails, or does not end in time. It has what the program printed. */
export async function runProgram(path: string, options: SampleRun): Promise<void> {
  const { runtime, cwd, home, timeoutMs = 40_000 } = options;
  const [file, ...args] = COMMANDS[runtime];
  const child = spawn(file, [...args, path], {
    cwd,
    env: { ...process.env, MSB_HOME: home, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  const outcome = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (signal === "SIGKILL") resolve(`did not end within ${timeoutMs} ms`);
      else resolve(`exit code ${code}`);
    });
  });
  assert.equal(outcome, "exit code 0", `${file} ${path}\n${Buffer.concat(chunks)}`);
}
