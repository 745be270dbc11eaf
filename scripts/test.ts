/**
 * Runs the stages of the test suite one after the other and adds up what their runners counted.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";

import { type Counts, countOf, failuresOf, type Runner } from "./test_report.ts";

interface Stage {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly runner: Runner;
}

const DENO_TEST = ["deno", "test", "--allow-all", "--no-check", "--quiet"] as const;
const SMOKE = "tests/vm/smoke_test.ts";
const REQUIRE_VM = { MSB_REQUIRE_VM: "1", MSB_ONLY_IGNORED: "1" } as const;
const ON_KRUN = ["scripts/kvm-host", "--timeout", "900", "env", "MSB_ENGINE=krun"] as const;

const STAGES: readonly Stage[] = [
  { name: "format and lint", command: ["biome", "ci", "."], runner: "exit" },
  { name: "types for Bun", command: ["tsc", "-p", "tsconfig.json"], runner: "exit" },
  {
    name: "types for Deno",
    command: [
      "deno",
      "check",
      "--quiet",
      "mod.ts",
      "cli.ts",
      "src/vmm/host/start.ts",
      "src/vmm/host/main.ts",
      "src/vmm/engine/krun/krun_worker.ts",
    ],
    runner: "exit",
  },
  { name: "tests on Bun", command: ["bun", "test"], runner: "bun" },
  { name: "tests on Deno", command: [...DENO_TEST, "tests"], runner: "deno" },
  {
    name: "VM tests on qemu, Bun",
    command: ["bun", "test", "--only-ignored"],
    env: { ...REQUIRE_VM, MSB_ENGINE: "qemu" },
    runner: "bun",
  },
  {
    name: "VM smoke on qemu, Deno",
    command: [...DENO_TEST, SMOKE],
    env: { ...REQUIRE_VM, MSB_ENGINE: "qemu" },
    runner: "deno",
  },
  {
    name: "VM smoke and seeds on krun",
    command: [...ON_KRUN, "bun", "test", SMOKE, "tests/seeds"],
    env: REQUIRE_VM,
    runner: "bun",
  },
  {
    name: "VM smoke on krun, Deno",
    command: [...ON_KRUN, ...DENO_TEST, SMOKE],
    env: REQUIRE_VM,
    runner: "deno",
  },
];

const LOGS = "build/test-logs";

interface Outcome {
  readonly name: string;
  readonly counts: Counts;
  readonly failures: string;
  readonly seconds: number;
}

/** Runs a stage with its output passed through and kept. */
async function run(stage: Stage): Promise<Outcome> {
  const begin = performance.now();
  const [file = "", ...args] = stage.command;
  const child = spawn(file, args, {
    env: { ...process.env, NO_COLOR: "1", ...stage.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output: string[] = [];
  const keep = (target: NodeJS.WriteStream) => (chunk: Buffer) => {
    output.push(chunk.toString("utf8"));
    target.write(chunk);
  };
  child.stdout.on("data", keep(process.stdout));
  child.stderr.on("data", keep(process.stderr));
  const code = await new Promise<number>((resolve) => {
    child.once("error", (error) => {
      output.push(error.message);
      resolve(127);
    });
    child.once("close", (status) => resolve(status ?? 1));
  });
  const text = output.join("");
  writeFileSync(`${LOGS}/${stage.name.replaceAll(/[^A-Za-z]+/g, "-")}.log`, text);
  return {
    name: stage.name,
    counts: countOf(stage.runner, text, code),
    failures: code === 0 ? "" : failuresOf(stage.runner, text),
    seconds: (performance.now() - begin) / 1000,
  };
}

async function main(names: readonly string[]): Promise<number> {
  if (names.includes("--list")) {
    for (const { name } of STAGES) console.log(name);
    return 0;
  }
  mkdirSync(LOGS, { recursive: true });
  const chosen = STAGES.filter(({ name }) => names.length === 0 || names.includes(name));
  const results: Outcome[] = [];
  for (const stage of chosen) {
    console.log(`\n=== ${stage.name}: ${stage.command.join(" ")}`);
    results.push(await run(stage));
  }
  for (const { name, failures } of results) if (failures) console.log(`\n=== FAILED in ${name}\n${failures}`);
  console.log("");
  for (const { name, counts, seconds } of results) {
    const { passed, failed, skipped } = counts;
    console.log(
      `${name.padEnd(26)} ${String(passed).padStart(5)} passed ${String(failed).padStart(3)} failed ${String(skipped).padStart(4)} skipped ${seconds.toFixed(0).padStart(5)} s`,
    );
  }
  const sum = (pick: (counts: Counts) => number) =>
    results.reduce((total, { counts }) => total + pick(counts), 0);
  const failed = sum((counts) => counts.failed);
  console.log(
    `${sum((counts) => counts.passed)} passed, ${failed} failed, ${sum((counts) => counts.skipped)} skipped`,
  );
  return failed === 0 && chosen.length > 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
