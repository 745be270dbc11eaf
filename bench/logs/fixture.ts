/** The log that is read: 325,000 records of 161 bytes in five files of 10 MiB. */
import { join } from "node:path";
import { openExecLogWriter } from "../../src/logs/exec_log_writer.ts";

export const RECORDS = 325_000;
export const SANDBOX = "bench";
const LINE_BYTES = 161;
const FRAME_BYTES = '{"t":"2026-01-31T12:00:00.000Z","s":"stdout","id":1,"d":"\\n"}\n'.length;

export interface Fixture {
  /** What `$HOME` is for the other implementation. */
  readonly home: string;
  readonly directory: string;
  readonly sandboxId: string;
  readonly records: number;
  readonly sizeBytes: number;
  /** Time of the newest record. */
  readonly newestMs: number;
}

/** One record every 10 ms. */
export function writeFixture(home: string, name = SANDBOX, records = RECORDS): Fixture {
  const directory = join(home, ".microsandbox", "sandboxes", name, "logs");
  let nowMs = Date.UTC(2026, 0, 31);
  using writer = openExecLogWriter({ directory, sandboxId: name, clock: () => nowMs });
  for (let index = 0; index < records; index++) {
    nowMs += 10;
    const text = `record ${index} `.padEnd(LINE_BYTES - FRAME_BYTES, "output of a program ");
    writer.append(index % 4 === 0 ? "stderr" : "stdout", (index % 7) + 1, Buffer.from(`${text}\n`));
  }
  return { home, directory, sandboxId: name, records, sizeBytes: records * LINE_BYTES, newestMs: nowMs };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/** Milliseconds that `action` takes. */
export async function timed(action: () => unknown): Promise<number> {
  const startedMs = performance.now();
  await action();
  return performance.now() - startedMs;
}

/** The arguments that start this bench once more as a child process, with `flag`. */
export function childArguments(flag: string): string[] {
  const script = new URL("../logs.ts", import.meta.url).pathname;
  return "Bun" in globalThis ? [script, flag] : ["run", "-A", "--no-check", script, flag];
}

/** What is left after collecting garbage. */
export function aliveBytes(): number {
  const runtime = globalThis as { Bun?: { gc(force: boolean): void }; gc?: () => void };
  runtime.Bun?.gc(true);
  runtime.gc?.();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + Math.max(external, arrayBuffers);
}
