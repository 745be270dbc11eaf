/**
 * Speed of mounts, each figure beside its limit.
 *
 *     bun bench/mounts.ts [--json build/bench-mounts.json] [--rounds 5] [--only server]
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { measureServer } from "./mounts/server.ts";
import { temporaryBenchDirectory } from "./support/directories.ts";
import { describeMachine, type Figure, formatTable, isMet } from "./support/figures.ts";

const PARTS = ["server"] as const;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { json: { type: "string" }, rounds: { type: "string", default: "5" }, only: { type: "string" } },
  });
  const parts = values.only?.split(",") ?? PARTS;
  const rounds = Number(values.rounds);
  const figures: Figure[] = [];
  using directory = temporaryBenchDirectory();
  if (parts.includes("server")) {
    mkdirSync(join(directory.path, "server"));
    figures.push(...(await measureServer(join(directory.path, "server"), rounds)));
  }
  console.log(formatTable(figures));
  if (values.json !== undefined) {
    const path = fileURLToPath(new URL(`../${values.json}`, import.meta.url));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify({ machine: describeMachine(), figures }, undefined, 2)}\n`);
  }
  if (figures.some((figure) => isMet(figure) === false)) process.exitCode = 1;
}

await main();
