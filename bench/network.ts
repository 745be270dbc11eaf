/**
 * Speed of the guest's way out, beside passt in the same kind of VM.
 *
 *     bun bench/network.ts [--json build/bench-network.json] [--rounds 5] [--only native,vm]
 *
 * Needs root, musl-gcc and passt. `MSB_ENGINE` chooses the engine.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Outside } from "../tests/support/vm/outside.ts";
import { measureNative } from "./network/native.ts";
import { measurePairs } from "./network/pair.ts";
import { temporaryBenchDirectory } from "./support/directories.ts";
import { describeMachine, type Figure, formatTable, isMet } from "./support/figures.ts";

const PARTS = ["native", "vm"] as const;
const PORT = 7000;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { json: { type: "string" }, rounds: { type: "string", default: "5" }, only: { type: "string" } },
  });
  const parts = values.only?.split(",") ?? PARTS;
  const rounds = Number(values.rounds);
  using directory = temporaryBenchDirectory();
  const program = join(directory.path, "net_bench");
  const source = fileURLToPath(new URL("./network/net_bench.c", import.meta.url));
  execFileSync("musl-gcc", ["-std=c11", "-D_GNU_SOURCE", "-O2", "-static", "-o", program, source]);
  const figures: Figure[] = [];
  if (parts.includes("native")) figures.push(...(await measureNative(program, rounds)));
  if (parts.includes("vm")) {
    process.env["MSB_HOME"] = join(directory.path, "home");
    mkdirSync(process.env["MSB_HOME"], { mode: 0o700 });
    using outside = await Outside.start([program, "serve", String(PORT)]);
    const server = { address: outside.address, port: PORT };
    figures.push(...(await measurePairs(directory.path, program, server, rounds)));
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
