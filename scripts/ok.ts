/**
 * What to run before a commit, in about a minute: format, lint, types, contracts, samples, and the unit tests of all rooms
 * but the slow ones. `scripts/test` runs everything.
 *
 *     bun run ok
 *
 * @module
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { failuresOf } from "./test_report.ts";

interface Step {
  readonly name: string;
  readonly command: readonly string[];
}

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Rooms whose tests build programs, wait for processes or convert images: run those of a room that you change. */
const SLOW_ROOMS: ReadonlySet<string> = new Set(["guest", "image", "vmm"]);

/** What is checked without running the code, and what runs quickly; in order, so that the likely failure comes first. */
const CHECKS: readonly Step[] = [
  { name: "format and lint", command: ["biome", "ci", "."] },
  { name: "types for Bun", command: ["tsc", "-p", "tsconfig.json"] },
  {
    name: "types for Deno",
    command: ["deno", "check", "--quiet", "mod.ts", "cli.ts", "src/vmm/host/start.ts"],
  },
  { name: "contracts and samples", command: ["bun", "test", "tests/contract", "tests/docs"] },
];

function unitTests(): Step {
  const rooms = readdirSync(join(ROOT, "tests/unit")).filter((room) => !SLOW_ROOMS.has(room));
  return { name: "unit tests", command: ["bun", "test", ...rooms.map((room) => `tests/unit/${room}`)] };
}

/** Runs the steps of a lane one after the other, also after one has failed; gives how many did. */
async function runLane(steps: readonly Step[]): Promise<number> {
  let failed = 0;
  for (const step of steps) if (!(await run(step))) failed++;
  return failed;
}

/** Prints one line, and before it what failed. */
async function run({ name, command }: Step): Promise<boolean> {
  const begin = performance.now();
  const [file = "", ...args] = command;
  const child = spawn(file, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  const isOk = await new Promise<boolean>((resolve) => {
    child.once("error", (error) => {
      chunks.push(Buffer.from(`${error.message}\n`));
      resolve(false);
    });
    child.once("close", (code) => resolve(code === 0));
  });
  const text = Buffer.concat(chunks).toString();
  if (!isOk) console.log(failuresOf(file === "bun" ? "bun" : "exit", text));
  console.log(
    `${isOk ? "ok    " : "FAILED"} ${((performance.now() - begin) / 1000).toFixed(1).padStart(6)} s  ${name}`,
  );
  return isOk;
}

const failed = (await Promise.all([runLane(CHECKS), runLane([unitTests()])])).reduce(
  (sum, count) => sum + count,
);
console.log(failed === 0 ? "everything is ok" : `${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
