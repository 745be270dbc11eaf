/** Reads and writes of 4 KiB, one after another, beside `node:fs` doing the same. @module */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Figure, sample } from "../support/figures.ts";
import type { NativeFiles } from "./native.ts";

const BYTES = 4096;
const COUNT = 1000;
const WARM_UP = 100;
const CALL_MS_MAX = 1;

export async function measureSmall({ fs, directory }: NativeFiles): Promise<Figure[]> {
  const content = new Uint8Array(BYTES).fill(1);
  const path = (number: number) => join(directory, `small${number}`);
  const kinds = [
    ["write", (number) => fs.write(path(number), content), (number) => writeFile(path(number), content)],
    ["read", (number) => fs.read(path(number)), (number) => readFile(path(number))],
  ] as const satisfies readonly (readonly [string, Call, Call])[];
  const figures: Figure[] = [];
  for (const [kind, ours, peer] of kinds) {
    const { runs: _, ...own } = sample(await timeCalls(ours));
    const { runs: __, ...node } = sample(await timeCalls(peer));
    figures.push(
      {
        name: `${kind} of 4 KiB (no VM)`,
        value: own.median,
        unit: "ms",
        limit: { kind: "at most", value: CALL_MS_MAX },
        detail: { oursMs: own, nodeMs: node, count: COUNT },
      },
      { name: `${kind} of 4 KiB, times node:fs (no VM)`, value: own.median / node.median, unit: "×" },
    );
  }
  return figures;
}

type Call = (number: number) => Promise<unknown>;

async function timeCalls(call: Call): Promise<number[]> {
  const times: number[] = [];
  for (let number = -WARM_UP; number < COUNT; number++) {
    const begin = performance.now();
    await call(Math.max(number, 0));
    if (number >= 0) times.push(performance.now() - begin);
  }
  return times;
}
