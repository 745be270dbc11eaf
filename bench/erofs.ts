/**
 * How fast a tar becomes an EROFS image, beside `mkfs.erofs`.
 *
 *     bun bench/erofs.ts [RESULT.json] [--pairs=5] [--mib=1024] [--directory=/dev/shm]
 *
 * The tar is made of seeded random files of the sizes that a root file system has. Runs are interleaved: one of ours,
 * one of theirs, and again, each in a process of its own, so that drifts of the machine meet both. What theirs is
 * depends on the installed erofs-utils: from 1.7 on `mkfs.erofs --tar=f`, before that the nearest that there is,
 * `tar -x` followed by `mkfs.erofs DIRECTORY`; the result says which. Ours ends with fsync, and so theirs is followed by
 * one: without, what theirs left to the kernel would be written while ours is measured. Each begins with a disk that has
 * nothing left to write. The files are in memory unless `--directory` says otherwise: a disk that others use takes from
 * one to three seconds for the same gigabyte, whoever writes it.
 *
 * @module
 */
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { MiB } from "../src/base/bytes.ts";
import { buildErofsImage } from "../src/image/build.ts";
import { readPeakMB, runtimeArguments } from "./support/runtime.ts";

const CONVERT_FLAG = "--convert";
/** A directory whose files are in memory, on Linux. */
const MEMORY = "/dev/shm";

interface RunResult {
  readonly elapsedMs: number;
  /** Of resident memory. */
  readonly peakMB: number;
}

/** Run as a child of the bench: one conversion, its figures on stdout. */
async function convert(tar: string, outputPath: string): Promise<void> {
  const startedMs = performance.now();
  await buildErofsImage({ source: { tar }, outputPath });
  const elapsedMs = performance.now() - startedMs;
  const result: RunResult = { elapsedMs, peakMB: readPeakMB() };
  console.log(JSON.stringify(result));
}

function runOurs(tar: string, outputPath: string): RunResult {
  const script = fileURLToPath(import.meta.url);
  execFileSync("sync");
  const output = execFileSync(process.execPath, [...runtimeArguments(script), CONVERT_FLAG, tar, outputPath]);
  return JSON.parse(output.toString("utf8"));
}

function runTheirs(tar: string, outputPath: string, directory: string, hasTarMode: boolean): number {
  execFileSync("sync");
  const startedMs = performance.now();
  if (hasTarMode) {
    execFileSync("mkfs.erofs", ["--quiet", "--tar=f", outputPath, tar], { stdio: "ignore" });
    execFileSync("sync", [outputPath]);
  } else {
    const unpacked = join(directory, "unpacked");
    execFileSync("mkdir", [unpacked]);
    execFileSync("tar", ["-x", "-f", tar, "-C", unpacked]);
    execFileSync("mkfs.erofs", ["--quiet", outputPath, unpacked], { stdio: "ignore" });
    execFileSync("sync", [outputPath]);
    const elapsedMs = performance.now() - startedMs;
    rmSync(unpacked, { recursive: true });
    return elapsedMs;
  }
  return performance.now() - startedMs;
}

/** Writes a tar of about `sizeMiB`, by hand, so that the bench needs no tree of files on disk. Gives the file count. */
async function makeTar(path: string, sizeMiB: number): Promise<number> {
  const stream = createWriteStream(path);
  const noise = Buffer.alloc(4 * MiB);
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  for (let at = 0; at < noise.length; at++) noise[at] = random() * 256;
  const write = async (bytes: Uint8Array): Promise<void> => {
    if (!stream.write(bytes)) await once(stream, "drain");
  };
  let written = 0;
  let count = 0;
  for (; written < sizeMiB * MiB; count++) {
    const share = random();
    const most = share < 0.3 ? 1024 : share < 0.7 ? 16 * 1024 : share < 0.95 ? 128 * 1024 : 2 * MiB;
    const size = Math.floor(random() * most);
    const from = Math.floor(random() * (noise.length - size));
    await write(makeHeader(`d${Math.floor(count / 100)}/f${count}`, size));
    await write(noise.subarray(from, from + size));
    await write(Buffer.alloc((512 - (size % 512)) % 512));
    written += size + 512;
  }
  stream.end(Buffer.alloc(1024));
  await once(stream, "close");
  return count;
}

function makeHeader(name: string, sizeBytes: number): Uint8Array {
  const header = Buffer.alloc(512);
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, "0");
  header.write(name, 0);
  header.write(
    `${octal(0o644, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0${octal(sizeBytes, 11)}\0${octal(1, 11)}\0`,
    100,
  );
  header.write("        0", 148);
  header.write("ustar\x0000", 257);
  header.write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    )}\0 `,
    148,
  );
  return header;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

async function bench(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      pairs: { type: "string", default: "5" },
      mib: { type: "string", default: "1024" },
      directory: { type: "string", default: existsSync(MEMORY) ? MEMORY : tmpdir() },
    },
    allowPositionals: true,
  });
  const directory = mkdtempSync(join(values.directory, "msb-bench-"));
  try {
    const tar = join(directory, "input.tar");
    const fileCount = await makeTar(tar, Number(values.mib));
    const help = spawnSync("mkfs.erofs", ["--help"]);
    if (help.error) throw new Error("mkfs.erofs is not installed: nothing to compare with");
    const hasTarMode = `${help.stdout}${help.stderr}`.includes("--tar");
    const pairs: { ours: RunResult; theirsMs: number }[] = [];
    let imageBytes = 0;
    for (let pair = 0; pair < Number(values.pairs); pair++) {
      const outputPath = join(directory, "image.erofs");
      const ours = runOurs(tar, outputPath);
      imageBytes = statSync(outputPath).size;
      rmSync(outputPath);
      const theirsMs = runTheirs(tar, outputPath, directory, hasTarMode);
      rmSync(outputPath);
      pairs.push({ ours, theirsMs });
      console.log(`ours ${ours.elapsedMs.toFixed(0)} ms, theirs ${theirsMs.toFixed(0)} ms`);
    }
    const result = {
      runtime: "Deno" in globalThis ? "deno" : "bun",
      comparedWith: hasTarMode
        ? "mkfs.erofs --tar=f"
        : "tar -x, then mkfs.erofs DIRECTORY (this erofs-utils has no --tar)",
      tarBytes: statSync(tar).size,
      fileCount,
      imageBytes,
      oursMedianMs: median(pairs.map(({ ours }) => ours.elapsedMs)),
      theirsMedianMs: median(pairs.map(({ theirsMs }) => theirsMs)),
      /** Theirs by ours: over 1, ours is faster. */
      medianRatio: median(pairs.map(({ ours, theirsMs }) => theirsMs / ours.elapsedMs)),
      peakMB: Math.max(...pairs.map(({ ours }) => ours.peakMB)),
      pairs,
    };
    console.log(
      `${result.comparedWith}: ratio ${result.medianRatio.toFixed(2)}, peak RSS ${result.peakMB.toFixed(0)} MB`,
    );
    const [resultPath] = positionals;
    if (resultPath !== undefined) writeFileSync(resultPath, `${JSON.stringify(result, null, 2)}\n`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const [flag, tar, outputPath] = process.argv.slice(2);
if (flag === CONVERT_FLAG && tar !== undefined && outputPath !== undefined) await convert(tar, outputPath);
else await bench();
