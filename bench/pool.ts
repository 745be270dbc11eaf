/**
 * How long `SandboxPool.claim()` takes when a sandbox is ready, and what of it is the guest's answer.
 *
 *     bun bench/pool.ts [--rounds 5] [--engine qemu] [--json build/bench-pool.json]
 *     deno run -A bench/pool.ts
 *
 * Each claim waits until the pool is full again, so that no boot goes on beside it. Needs busybox-static.
 *
 * @module
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SandboxPool } from "../mod.ts";
import { makeRootfs } from "../tests/support/vm/images.ts";
import { temporaryBenchDirectory } from "./support/directories.ts";
import { describeMachine, type Figure, formatTable, sample } from "./support/figures.ts";

const MEMORY_MIB = 128;
const SIZE = 2;
const CLAIM_MS_MAX = 20;
const POLL_MS = 50;
const FULL_TIMEOUT_MS = 120_000;
const ROOT = fileURLToPath(new URL("..", import.meta.url));

interface Claim {
  readonly claimMs: number;
  /** From the question to the guest's answer, right afterwards: a claim asks it, too. */
  readonly pingMs: number;
  /** Of the first program in it. */
  readonly execMs: number;
}

async function untilFull(pool: SandboxPool): Promise<void> {
  const deadline = performance.now() + FULL_TIMEOUT_MS;
  while (pool.available < SIZE) {
    if (performance.now() > deadline) throw new Error("the pool does not fill", { cause: pool.lastError });
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function claimOne(pool: SandboxPool): Promise<Claim> {
  await untilFull(pool);
  const begin = performance.now();
  const sandbox = await pool.claim();
  const claimMs = performance.now() - begin;
  const { latencyMs: pingMs } = await sandbox.ping();
  const execBegin = performance.now();
  await sandbox.exec("true");
  const execMs = performance.now() - execBegin;
  await sandbox.destroy({ force: true });
  return { claimMs, pingMs, execMs };
}

async function measure(rounds: number, engine: "krun" | "qemu"): Promise<Figure[]> {
  using directory = temporaryBenchDirectory();
  process.env["MSB_HOME"] = join(directory.path, "home");
  const image = makeRootfs(join(directory.path, "rootfs"));
  await using pool = new SandboxPool({ spec: { image, memoryMiB: MEMORY_MIB, engine }, size: SIZE });
  const claims: Claim[] = [];
  for (let round = 0; round < rounds; round++) claims.push(await claimOne(pool));
  const figure = (name: string, key: keyof Claim, limit?: Figure["limit"]): Figure => {
    const detail = sample(claims.map((claim) => claim[key]));
    return { name, value: detail.median, unit: "ms", limit, detail: { ...detail } };
  };
  return [
    figure("claim() of a warm sandbox", "claimMs", { kind: "at most", value: CLAIM_MS_MAX }),
    figure("ping() right after", "pingMs"),
    figure("first exec of true in it", "execMs"),
  ];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "5" },
      engine: { type: "string", default: "qemu" },
      json: { type: "string", default: join(ROOT, "build", "bench-pool.json") },
    },
  });
  const { engine, json } = values;
  if (engine !== "krun" && engine !== "qemu") throw new Error("--engine is krun or qemu");
  const machine = describeMachine();
  const figures = await measure(Number(values.rounds), engine);
  console.log(`${JSON.stringify(machine)}\n\n${formatTable(figures)}`);
  for (const { name, detail } of figures) console.log(`${name}: ${JSON.stringify(detail?.["runs"])}`);
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, `${JSON.stringify({ machine, engine, figures }, null, 2)}\n`);
}

await main();
