/**
 * Speed and memory of a sandbox, each figure beside its limit.
 *
 *     bun bench/vm.ts [--json build/bench-vm.json] [--rounds 5] [--only exec,stdout,machine,erofs] [--profile DIRECTORY]
 *
 * What needs KVM runs in `scripts/kvm-host` where this machine has none: there everything is slower by an order of
 * magnitude, the baseline as well, so that ratios mean something and milliseconds do not. `exec` and the memory of the
 * VM host process are taken with QEMU on this machine, too. Needs gcc.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { doctor } from "../mod.ts";
import { temporaryBenchDirectory } from "./support/directories.ts";
import { describeMachine, type Figure, formatTable, isMet, sample } from "./support/figures.ts";
import { compilePrograms, type NativePrograms } from "./support/native_programs.ts";
import { runtimeArguments } from "./support/runtime.ts";
import { measureNativeExec } from "./vm/exec_native.ts";
import { measureStdout, type StdoutRun } from "./vm/stdout.ts";

const STDOUT_MIB = 1024;
const STDOUT_MB_PER_SECOND_MIN = 200;
const EROFS_RATIO_MIN = 1;
const EROFS_PAIRS = 3;
const MACHINE_TIMEOUT_SECONDS = 1_200;
const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Runs `in_machine.ts` with an engine: here, or where KVM works. */
function measureInMachine(
  engine: "krun" | "qemu",
  kvm: boolean,
  programs: NativePrograms,
  directory: string,
  rounds: number,
): Figure[] {
  const script = fileURLToPath(new URL("./vm/in_machine.ts", import.meta.url));
  const work = join(directory, engine);
  mkdirSync(work);
  const command = [
    ...[process.execPath, ...runtimeArguments(script)],
    ...[engine, String(rounds), work, JSON.stringify(programs)],
  ];
  const needsKvmHost = engine === "krun" && !kvm;
  const kvmHost = [join(ROOT, "scripts", "kvm-host"), "--timeout", String(MACHINE_TIMEOUT_SECONDS), "--"];
  const [file = "", ...args] = needsKvmHost ? [...kvmHost, ...command] : command;
  const { status, stdout } = spawnSync(file, args, {
    env: { ...process.env, MSB_HOME: join(work, "home") },
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`the figures of ${engine} failed with status ${status}`);
  const figures: Figure[] = JSON.parse(stdout.trim().split("\n").at(-1) ?? "[]");
  const where = needsKvmHost ? ", emulated KVM host" : "";
  return figures.map((figure) => ({ ...figure, name: `${figure.name}${where}` }));
}

/** Text and binary output, with the log and without, in turns. */
async function measureStdoutFigures(
  programs: NativePrograms,
  rounds: number,
  profileDirectory: string | undefined,
): Promise<Figure[]> {
  const kinds = [
    { kind: "text", logged: true },
    { kind: "text", logged: false },
    { kind: "binary", logged: true },
  ] as const;
  const runs: StdoutRun[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const kind of kinds) {
      runs.push(await measureStdout(programs, { ...kind, sizeMiB: STDOUT_MIB, profileDirectory }));
    }
  }
  return kinds.map(({ kind, logged }) => {
    const same = runs.filter((run) => run.kind === kind && run.logged === logged);
    const speed = sample(same.map(({ megabytesPerSecond }) => megabytesPerSecond));
    return {
      name: `stdout, ${kind}, ${logged ? "logged" : "log off"}`,
      value: speed.median,
      unit: "MB/s",
      limit: { kind: "at least", value: STDOUT_MB_PER_SECOND_MIN },
      detail: {
        speed,
        relayCpuMsPerGigabyte: sample(same.map(({ relayCpuMsPerGigabyte }) => relayCpuMsPerGigabyte)),
      },
    };
  });
}

/** The bench of the image room, in a process of its own. */
function measureErofs(directory: string): Figure {
  const result = join(directory, "erofs.json");
  const script = fileURLToPath(new URL("./erofs.ts", import.meta.url));
  const args = [...runtimeArguments(script), result, `--pairs=${EROFS_PAIRS}`];
  const { status } = spawnSync(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) throw new Error(`bench/erofs.ts failed with status ${status}`);
  const detail = readJson(result);
  return {
    name: `EROFS from a 1 GB tar, by the speed of ${String(detail["comparedWith"])}`,
    value: Number(detail["medianRatio"]),
    unit: "x",
    limit: { kind: "at least", value: EROFS_RATIO_MIN },
    detail,
  };
}

function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, "utf8"));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: "string", default: join(ROOT, "build", "bench-vm.json") },
      rounds: { type: "string", default: "5" },
      only: { type: "string", default: "exec,stdout,machine,erofs" },
      profile: { type: "string" },
    },
  });
  const rounds = Number(values.rounds);
  const wanted = new Set(values.only.split(","));
  const machine = describeMachine();
  using directory = temporaryBenchDirectory();
  const programs = compilePrograms(directory.path);
  const figures: Figure[] = [];
  if (wanted.has("exec")) figures.push(await measureNativeExec(programs));
  if (wanted.has("stdout")) figures.push(...(await measureStdoutFigures(programs, rounds, values.profile)));
  if (wanted.has("machine")) {
    const { kvm } = await doctor({ trial: true });
    figures.push(...measureInMachine("krun", kvm, programs, directory.path, rounds));
    figures.push(...measureInMachine("qemu", kvm, programs, directory.path, rounds));
  }
  if (wanted.has("erofs")) figures.push(measureErofs(directory.path));
  console.log(`${JSON.stringify(machine)}\n\n${formatTable(figures)}`);
  const results = figures.map((figure) => ({ ...figure, met: isMet(figure) }));
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify({ machine, figures: results }, null, 2)}\n`);
}

await main();
