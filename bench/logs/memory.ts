/** What a stream holds while it reads, and that this does not grow with the log. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { KiB, MiB } from "../../src/base/bytes.ts";
import { openLogStream } from "../../src/logs/log_stream.ts";
import type { Figure } from "../support/figures.ts";
import { aliveBytes, childArguments, type Fixture, SANDBOX } from "./fixture.ts";

interface StreamMemory {
  /** The most that was alive at one time, beyond what the process had before: measured after collections. */
  readonly heldMiB: number;
  /** The most by which the process grew while it read, garbage included. */
  readonly grownMiB: number;
}

/** After how many entries garbage is collected, and what is left is measured. */
const CHECK_EVERY = 15_000;

export function measureMemory(fixture: Fixture): Promise<Figure[]> {
  const output = execFileSync(process.execPath, collecting(childArguments(`--stream=${fixture.directory}`)));
  const { heldMiB, grownMiB }: StreamMemory = JSON.parse(output.toString());
  return Promise.resolve([
    {
      name: "stream over 50 MiB, memory that it holds",
      value: heldMiB,
      unit: "MiB",
      limit: { kind: "at most", value: 8 },
    },
    { name: "stream over 50 MiB, growth of the process with garbage", value: grownMiB, unit: "MiB" },
  ]);
}

function collecting(args: string[]): string[] {
  return "Bun" in globalThis ? args : [args[0]!, "--v8-flags=--expose-gc", ...args.slice(1)];
}

/** In a child process: reads the log twice, and prints what that held. */
export async function streamInChild(directory: string): Promise<void> {
  const logs = { directory, sandboxId: SANDBOX, isTerminal: () => Promise.resolve(true) };
  const rssBefore = process.memoryUsage().rss;
  for await (const _ of await openLogStream(logs));
  const grownMiB = (peakRssBytes() - rssBefore) / MiB;
  const aliveBefore = aliveBytes();
  let most = 0;
  let count = 0;
  for await (const _ of await openLogStream(logs)) {
    if (++count % CHECK_EVERY === 0) most = Math.max(most, aliveBytes());
  }
  const result: StreamMemory = { heldMiB: (most - aliveBefore) / MiB, grownMiB };
  console.log(JSON.stringify(result));
}

/** Not `resourceUsage().maxRSS`: a child process inherits that from its parent. */
function peakRssBytes(): number {
  const match = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return Number(match?.[1]) * KiB;
}
