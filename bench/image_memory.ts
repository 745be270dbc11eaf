/**
 * The memory that the pull of a large image takes: 4 GB in 200,000 files, in eight layers, from a registry on loopback.
 *
 *     bun bench/image_memory.ts [RUNS]
 *     deno run -A bench/image_memory.ts [RUNS]
 *
 * Each pull, with its conversion to a disk, is a process of its own with an empty store; its peak of resident memory,
 * the runtime's own included, is what counts. Needs 5 GB in the temporary directory. Fails when the limit is exceeded.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { resolveImage } from "../src/image/store/resolve_image.ts";
import { TestRegistry } from "../tests/support/oci/server.ts";
import { addLargeImage, FILES_BYTES_MIN } from "./image/large_image.ts";
import { temporaryBenchDirectory } from "./support/directories.ts";
import { describeMachine, type Figure, formatTable, isMet, sample } from "./support/figures.ts";
import { readPeakMB, runtimeArguments } from "./support/runtime.ts";

const SCRIPT = fileURLToPath(import.meta.url);
const RUNS_DEFAULT = 3;
const PEAK_MB_MAX = 256;
const PULL_FLAG = "--pull";

interface PullResult {
  readonly peakMB: number;
  readonly seconds: number;
  readonly imageBytes: number;
}

/** Run as a child of the bench: one pull, its figures on stdout. */
async function pull(reference: string, home: string): Promise<void> {
  const startedMs = performance.now();
  const { erofsPath } = await resolveImage(reference, { home, registry: { auth: { kind: "anonymous" } } });
  const result: PullResult = {
    peakMB: readPeakMB(),
    seconds: (performance.now() - startedMs) / 1000,
    imageBytes: statSync(erofsPath).size,
  };
  console.log(JSON.stringify(result));
}

/** Peak of a process that does nothing, in MB: the runtime's share. */
async function measureRuntime(): Promise<number> {
  return (await runSelf<{ peakMB: number }>(["--idle"])).peakMB;
}

async function runSelf<T>(args: readonly string[]): Promise<T> {
  const { stdout } = await promisify(execFile)(process.execPath, [...runtimeArguments(SCRIPT), ...args]);
  return JSON.parse(stdout);
}

async function bench(runs: number): Promise<void> {
  await using registry = await TestRegistry.start();
  await addLargeImage(registry, "large");
  using directory = temporaryBenchDirectory();
  const pulls: PullResult[] = [];
  for (let run = 0; run < runs; run++) {
    const home = join(directory.path, "home");
    mkdirSync(home);
    pulls.push(await runSelf([PULL_FLAG, `${registry.host}/bench/image:large`, home]));
    rmSync(home, { recursive: true });
  }
  const smallest = Math.min(...pulls.map(({ imageBytes }) => imageBytes));
  if (smallest < FILES_BYTES_MIN) throw new Error(`the disk has only ${smallest} bytes`);
  const peaks = sample(pulls.map(({ peakMB }) => peakMB));
  const figure: Figure = {
    name: "pull of 4 GB in 200,000 files, peak RSS",
    value: peaks.most,
    unit: "MB",
    limit: { kind: "at most", value: PEAK_MB_MAX },
    detail: { peaks },
  };
  const seconds = sample(pulls.map((result) => result.seconds));
  const figures: Figure[] = [
    figure,
    { name: "of which the idle runtime", value: await measureRuntime(), unit: "MB", detail: {} },
    { name: "time, median", value: seconds.median, unit: "s", detail: { seconds } },
  ];
  console.log(
    `${JSON.stringify(describeMachine())}\n\n${formatTable(figures)}\npeaks: ${peaks.runs.map(Math.round)} MB`,
  );
  if (isMet(figure) === false) process.exitCode = 1;
}

const [first, second, third] = process.argv.slice(2);
if (first === PULL_FLAG && second !== undefined && third !== undefined) await pull(second, third);
else if (first === "--idle") console.log(JSON.stringify({ peakMB: readPeakMB() }));
else await bench(Number(first ?? RUNS_DEFAULT));
