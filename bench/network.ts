/**
 * Speed of the guest's way out, beside passt in the same kind of VM.
 *
 *     bun bench/network.ts [--json build/bench-network.json] [--rounds 5] [--only policy,pump,tls,secrets,native,vm]
 *
 * `native` and `vm` need root, musl-gcc and passt. `MSB_ENGINE` chooses the engine.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Outside } from "../tests/support/vm/outside.ts";
import { measureSecrets, measureTls } from "./network/interception.ts";
import { measureNative } from "./network/native.ts";
import { measurePairs } from "./network/pair.ts";
import { measurePolicy } from "./network/policy.ts";
import { measurePump } from "./network/pump.ts";
import { temporaryBenchDirectory } from "./support/directories.ts";
import { describeMachine, type Figure, formatTable, isMet } from "./support/figures.ts";

const PARTS = ["policy", "pump", "tls", "secrets", "native", "vm"] as const;
const PORT = 7000;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { json: { type: "string" }, rounds: { type: "string", default: "5" }, only: { type: "string" } },
  });
  const parts = values.only?.split(",") ?? PARTS;
  const rounds = Number(values.rounds);
  const figures: Figure[] = [];
  if (parts.includes("policy")) figures.push(...measurePolicy(rounds));
  if (parts.includes("pump")) figures.push(...(await measurePump(rounds)));
  if (parts.includes("tls")) figures.push(...(await measureTls(rounds)));
  if (parts.includes("secrets")) figures.push(...(await measureSecrets(rounds)));
  if (parts.includes("native") || parts.includes("vm")) figures.push(...(await measureGuest(parts, rounds)));
  console.log(formatTable(figures));
  if (values.json !== undefined) {
    const path = fileURLToPath(new URL(`../${values.json}`, import.meta.url));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify({ machine: describeMachine(), figures }, undefined, 2)}\n`);
  }
  if (figures.some((figure) => isMet(figure) === false)) process.exitCode = 1;
}

/** The guest's side of the way: its agent alone, and in a VM. */
async function measureGuest(parts: readonly string[], rounds: number): Promise<Figure[]> {
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
  return figures;
}

await main();
