/**
 * What one exec costs without a VM: from the client through relay and agent to a program that does nothing and back,
 * less what a C program needs to fork, exec and wait for the same program. It is what the library itself adds; in a VM
 * come two notifications between guest and host.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { temporaryBenchDirectory } from "../support/directories.ts";
import { type Figure, sample } from "../support/figures.ts";
import type { NativePrograms } from "../support/native_programs.ts";
import { NativeHost } from "./native_host.ts";

const OVERHEAD_MS_MAX = 5;
const WARM_UP = 20;
const COUNT = 300;
const NS_PER_MS = 1_000_000;

export async function measureNativeExec(programs: NativePrograms): Promise<Figure> {
  using directory = temporaryBenchDirectory();
  await using host = await NativeHost.start(programs, { directory: directory.path, logged: true });
  const times: number[] = [];
  for (let number = 0; number < WARM_UP + COUNT; number++) {
    const begin = performance.now();
    const { code } = await host.exec([programs.forkExec]).settled;
    if (code !== 0) throw new Error("true has failed");
    if (number >= WARM_UP) times.push(performance.now() - begin);
  }
  const lines = execFileSync(programs.forkExec, [String(COUNT), programs.forkExec], { encoding: "utf8" });
  const { runs: _, ...ours } = sample(times);
  const { runs: __, ...own } = sample(
    lines
      .trim()
      .split("\n")
      .map((line) => Number(line) / NS_PER_MS),
  );
  return {
    name: "exec of true beyond fork and exec (no VM)",
    value: ours.median - own.median,
    unit: "ms",
    limit: { kind: "at most", value: OVERHEAD_MS_MAX },
    detail: { oursMs: ours, forkExecMs: own, count: COUNT },
  };
}
