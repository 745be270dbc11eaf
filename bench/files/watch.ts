/** How soon `watch()` tells of a change in a directory. @module */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Figure, sample } from "../support/figures.ts";
import type { NativeFiles } from "./native.ts";

const CHANGES = 200;
const LATENCY_MS_MAX = 20;

export async function measureWatch({ fs, directory }: NativeFiles): Promise<Figure> {
  const watched = join(directory, "watched");
  mkdirSync(watched);
  await using watch = fs.watch(watched);
  await watch.ready;
  const changes = watch[Symbol.asyncIterator]();
  const times: number[] = [];
  for (let number = 0; number < CHANGES; number++) {
    const name = `file${number}`;
    const begin = performance.now();
    writeFileSync(join(watched, name), "x");
    for (;;) {
      const { value, done } = await changes.next();
      if (done === true) throw new Error("the watch has ended");
      if (value.path.endsWith(name)) break;
    }
    times.push(performance.now() - begin);
  }
  const { runs: _, ...latencyMs } = sample(times);
  return {
    name: "watch tells of a change (no VM)",
    value: latencyMs.median,
    unit: "ms",
    limit: { kind: "at most", value: LATENCY_MS_MAX },
    detail: { latencyMs, changes: CHANGES },
  };
}
