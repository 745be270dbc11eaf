/**
 * `create` to ready, beside a C program that boots the same kernel and disks through libkrun. Rounds are interleaved and
 * the first of each is not counted, as it fills the caches.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeMessage } from "../../src/agent/codec.ts";
import { defaultBackend } from "../../src/backend/default_backend.ts";
import { GiB } from "../../src/base/bytes.ts";
import { findLibkrun, findLibkrunfw } from "../../src/ffi/library_search.ts";
import { formatExt4 } from "../../src/image/ext4.ts";
import { findStoredDisk } from "../../src/image/store/resolve_image.ts";
import { homeDirectory, homePaths } from "../../src/platform/home.ts";
import { temporaryBenchDirectory } from "../support/directories.ts";
import { type Figure, sample } from "../support/figures.ts";
import type { NativePrograms } from "../support/native_programs.ts";

const MEMORY_MIB = 256;
const UPPER_BYTES = 4 * GiB;
const RATIO_MAX = 1.3;

type Times = Readonly<Record<string, number>>;

export async function measureBoot(programs: NativePrograms, image: string, rounds: number): Promise<Figure> {
  const ours: Times[] = [];
  const baselines: Times[] = [];
  for (let round = 0; round <= rounds; round++) {
    const { times, imageDigest } = await bootOurs(image);
    const baseline = await bootBaseline(programs, imageDigest);
    if (round === 0) continue;
    ours.push(times);
    baselines.push(baseline);
  }
  const readyOurs = sample(ours.map((times) => times["ready"]!));
  const readyBaseline = sample(baselines.map((times) => times["ready"]!));
  return {
    name: "create to ready, by the C program's time",
    value: readyOurs.median / readyBaseline.median,
    unit: "x",
    limit: { kind: "at most", value: RATIO_MAX },
    detail: {
      oursMs: readyOurs,
      baselineMs: readyBaseline,
      /** Medians of the milliseconds from the call to each step. */
      ourSteps: medians(ours),
      baselineSteps: medians(baselines),
      ratioOfLeast: readyOurs.least / readyBaseline.least,
    },
  };
}

async function bootOurs(image: string): Promise<{ readonly times: Times; readonly imageDigest: string }> {
  const times: Record<string, number> = {};
  const begin = performance.now();
  const { sandbox } = await defaultBackend().create(
    { name: "bench-boot", image, memoryMiB: MEMORY_MIB, engine: "krun" },
    {
      onStep: (step, atMs) => {
        times[step] = atMs;
      },
    },
  );
  times["ready"] = performance.now() - begin;
  const { imageDigest } = await sandbox.record();
  await sandbox.kill();
  await sandbox.remove();
  return { times, imageDigest };
}

async function bootBaseline(programs: NativePrograms, imageDigest: string): Promise<Times> {
  using directory = temporaryBenchDirectory();
  const home = homeDirectory();
  const upper = join(directory.path, "upper");
  const frame = join(directory.path, "boot");
  await formatExt4({
    path: upper,
    sizeBytes: UPPER_BYTES,
    label: "msb-upper",
    directories: [{ path: "upper" }, { path: "work" }],
    timestampSeconds: Math.floor(Date.now() / 1000),
  });
  writeFileSync(frame, bootFrame());
  const begin = performance.now();
  const child = spawn(
    programs.baseline,
    [
      ...[
        findLibkrunfw().path,
        findLibkrun().path,
        String(MEMORY_MIB),
        join(directory.path, "console"),
        frame,
      ],
      ...[`ro:${bootDisk(home)}`, `ro:${findStoredDisk(home, imageDigest)}`, `rw:${upper}`],
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (chunk: Uint8Array) => resolve(String(chunk)));
    child.once("exit", (code, signal) => reject(new Error(`the C program ended with ${signal ?? code}`)));
  });
  const ready = performance.now() - begin;
  const { engineMs, agentMs } = JSON.parse(line);
  child.kill("SIGKILL");
  rmSync(upper);
  return { engine: engineMs, agent: agentMs, ready };
}

function bootFrame(): Uint8Array {
  return encodeMessage("boot", 0, {
    imageDevice: "/dev/vdb",
    imageType: "erofs",
    upperDevice: "/dev/vdc",
    upperType: "ext4",
    upperOptions: "",
    upperFlags: 0,
    hostname: "bench-boot",
    hosts: "127.0.0.1\tlocalhost\n",
    resolvConf: "",
    clockSeconds: Math.floor(Date.now() / 1000),
    clockNanoseconds: 0,
  });
}

function bootDisk(home: string): string {
  const directory = homePaths(home).bootDisks;
  const name = readdirSync(directory).find((candidate) => candidate.endsWith(".erofs"));
  if (name === undefined) throw new Error(`${directory} has no boot disk`);
  return join(directory, name);
}

function medians(runs: readonly Times[]): Record<string, number> {
  const steps = Object.keys(runs[0] ?? {});
  return Object.fromEntries(steps.map((step) => [step, sample(runs.map((times) => times[step]!)).median]));
}
