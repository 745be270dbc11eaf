/**
 * What one more sandbox costs: the time until it is ready, and memory, against the number that run.
 *
 *     bun bench/many.ts [COUNT] [--engine qemu] [--json build/bench-many.json]
 *
 * Boots `COUNT` sandboxes (default 8) of 64 MiB, two at a time, has each run a program, and stops them all. Needs
 * busybox-static.
 *
 * @module
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Sandbox } from "../mod.ts";
import { KiB } from "../src/base/bytes.ts";
import { processesOf } from "../tests/support/processes.ts";
import { makeRootfs } from "../tests/support/vm/images.ts";
import { temporaryBenchDirectory } from "./support/directories.ts";
import { describeMachine, type Figure, formatTable, sample } from "./support/figures.ts";

const MEMORY_MIB = 64;
const BOOTS_AT_ONCE = 2;
const MB = 1_000_000;
const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The state of things when so many run. */
interface Level {
  readonly running: number;
  /** Of those that were booted last. */
  readonly readyMs: readonly number[];
  /** What the VM host processes and engines take, pages that several have in common shared out among them. */
  readonly proportionalMB: number;
}

async function boot(index: number, image: string, engine: "krun" | "qemu"): Promise<[Sandbox, number]> {
  const begin = performance.now();
  const sandbox = await Sandbox.create({ name: `many-${index}`, image, memoryMiB: MEMORY_MIB, engine });
  return [sandbox, performance.now() - begin];
}

/** Boots sandboxes until `count` run; looks at memory after each round. */
async function fill(
  count: number,
  boots: (index: number) => Promise<[Sandbox, number]>,
  home: string,
  sandboxes: Sandbox[],
): Promise<Level[]> {
  const levels: Level[] = [];
  while (sandboxes.length < count) {
    const size = Math.min(BOOTS_AT_ONCE, count - sandboxes.length);
    const first = sandboxes.length;
    const round = await Promise.all(Array.from({ length: size }, (_, index) => boots(first + index)));
    sandboxes.push(...round.map(([sandbox]) => sandbox));
    levels.push({
      running: sandboxes.length,
      readyMs: round.map(([, ms]) => ms),
      proportionalMB: proportionalMegabytes(home),
    });
  }
  return levels;
}

function proportionalMegabytes(home: string): number {
  const sizes = processesOf(home).map(({ pid }) => {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    return (Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0) * KiB) / MB;
  });
  return sizes.reduce((total, size) => total + size, 0);
}

async function askAll(sandboxes: readonly Sandbox[]): Promise<number[]> {
  return await Promise.all(
    sandboxes.map(async (sandbox) => {
      const begin = performance.now();
      const { code } = await sandbox.exec("true");
      if (code !== 0) throw new Error(`${sandbox.name} does not answer: exit code ${code}`);
      return performance.now() - begin;
    }),
  );
}

function figuresOf(levels: readonly Level[], execMs: readonly number[], stopMs: number): Figure[] {
  const information = (name: string, value: number, unit: string, detail: Figure["detail"] = {}): Figure => ({
    name,
    value,
    unit,
    detail,
  });
  const [first, last] = [levels[0], levels.at(-1)];
  if (first === undefined || last === undefined) throw new Error("nothing was booted");
  const one = first.proportionalMB / first.running;
  const growth = last.proportionalMB - first.proportionalMB;
  const more = growth / Math.max(1, last.running - first.running);
  return [
    ...levels.map((level) =>
      information(`${level.running} running`, sample(level.readyMs).median, "ms to ready", { ...level }),
    ),
    information(`memory of all ${last.running}`, last.proportionalMB, "MB"),
    information(`memory of each of the first ${first.running}`, one, "MB"),
    information("memory of each one more", more, "MB"),
    information(`exec of true in all ${last.running} at once`, sample(execMs).median, "ms", {
      ...sample(execMs),
    }),
    information(`stop of all ${last.running} at once`, stopMs, "ms"),
  ];
}

async function measure(count: number, engine: "krun" | "qemu"): Promise<Figure[]> {
  using directory = temporaryBenchDirectory();
  const home = join(directory.path, "home");
  process.env["MSB_HOME"] = home;
  const image = makeRootfs(join(directory.path, "rootfs"));
  const sandboxes: Sandbox[] = [];
  try {
    const levels = await fill(count, (index) => boot(index, image, engine), home, sandboxes);
    const execMs = await askAll(sandboxes);
    const begin = performance.now();
    await Promise.all(sandboxes.map((sandbox) => sandbox.stop()));
    const stopMs = performance.now() - begin;
    const left = processesOf(home);
    if (left.length > 0) throw new Error(`${left.length} processes are left`);
    return figuresOf(levels, execMs, stopMs);
  } finally {
    await Promise.allSettled(sandboxes.map((sandbox) => sandbox.destroy({ force: true })));
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      engine: { type: "string", default: "qemu" },
      json: { type: "string", default: join(ROOT, "build", "bench-many.json") },
    },
  });
  const { engine, json } = values;
  const count = Number(positionals[0] ?? 8);
  if (!Number.isInteger(count) || count < 1) throw new Error("COUNT must be a whole number from 1");
  if (engine !== "krun" && engine !== "qemu") throw new Error("--engine is krun or qemu");
  const machine = describeMachine();
  const figures = await measure(count, engine);
  console.log(`${JSON.stringify(machine)}\n\n${formatTable(figures)}`);
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, `${JSON.stringify({ machine, engine, figures }, null, 2)}\n`);
}

await main();
