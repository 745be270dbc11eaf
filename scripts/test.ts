/**
 * Runs the stages of the test suite one after the other and adds up what their runners counted.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";

interface Stage {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** How the output says what it counted; a command without a count is one test. */
  readonly counts: "bun" | "deno" | "exit";
}

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const DENO_TEST = ["deno", "test", "--allow-all", "--no-check", "--quiet"] as const;
const SMOKE = "tests/vm/smoke_test.ts";
const REQUIRE_VM = { MSB_REQUIRE_VM: "1", MSB_ONLY_IGNORED: "1" } as const;
const ON_KRUN = ["scripts/kvm-host", "--timeout", "900", "env", "MSB_ENGINE=krun"] as const;

const STAGES: readonly Stage[] = [
  { name: "format and lint", command: ["biome", "ci", "."], counts: "exit" },
  { name: "types for Bun", command: ["tsc", "-p", "tsconfig.json"], counts: "exit" },
  {
    name: "types for Deno",
    command: [
      "deno",
      "check",
      "--quiet",
      "mod.ts",
      "src/vmm/start.ts",
      "src/vmm/main.ts",
      "src/vmm/engine/krun_worker.ts",
    ],
    counts: "exit",
  },
  { name: "tests on Bun", command: ["bun", "test"], counts: "bun" },
  { name: "tests on Deno", command: [...DENO_TEST, "tests"], counts: "deno" },
  {
    name: "VM tests on qemu, Bun",
    command: ["bun", "test", "--only-ignored"],
    env: { ...REQUIRE_VM, MSB_ENGINE: "qemu" },
    counts: "bun",
  },
  {
    name: "VM smoke on qemu, Deno",
    command: [...DENO_TEST, SMOKE],
    env: { ...REQUIRE_VM, MSB_ENGINE: "qemu" },
    counts: "deno",
  },
  {
    name: "VM smoke and seeds on krun",
    command: [...ON_KRUN, "bun", "test", SMOKE, "tests/seeds"],
    env: REQUIRE_VM,
    counts: "bun",
  },
  {
    name: "VM smoke on krun, Deno",
    command: [...ON_KRUN, ...DENO_TEST, SMOKE],
    env: REQUIRE_VM,
    counts: "deno",
  },
];

const LOGS = "build/test-logs";

/** Runs a stage with its output passed through and kept. */
async function run(stage: Stage): Promise<Counts> {
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
  return countOf(stage, text, code);
}

/** What a runner counted. One that failed without counting a failure has failed once; one that ran nothing too. */
export function countOf({ counts }: Pick<Stage, "counts">, text: string, code: number): Counts {
  const last = (pattern: RegExp) => Number([...text.matchAll(pattern)].at(-1)?.[1] ?? 0);
  const none = { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
  if (counts === "exit") return none;
  const found =
    counts === "bun"
      ? {
          passed: last(/^ *(\d+) pass$/gm),
          failed: last(/^ *(\d+) fail$/gm),
          skipped: last(/^ *(\d+) skip$/gm),
        }
      : {
          passed: last(/\| (\d+) passed/g),
          failed: last(/\| (\d+) failed/g),
          skipped: last(/\| (\d+) ignored/g),
        };
  const isHonest = found.passed + found.failed > 0 && (code === 0 || found.failed > 0);
  return isHonest ? found : { ...found, failed: found.failed + 1 };
}

async function main(names: readonly string[]): Promise<number> {
  if (names.includes("--list")) {
    for (const { name } of STAGES) console.log(name);
    return 0;
  }
  mkdirSync(LOGS, { recursive: true });
  const chosen = STAGES.filter(({ name }) => names.length === 0 || names.includes(name));
  const results: { readonly name: string; readonly counts: Counts; readonly seconds: number }[] = [];
  for (const stage of chosen) {
    console.log(`\n=== ${stage.name}: ${stage.command.join(" ")}`);
    const begin = performance.now();
    results.push({ name: stage.name, counts: await run(stage), seconds: (performance.now() - begin) / 1000 });
  }
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
