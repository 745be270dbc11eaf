/**
 * Pull and conversion of a Debian image, against the tools that people have:
 *
 *     bun bench/image.ts ROOTFS [RUNS]
 *
 * ROOTFS is a root file system of at least 300 MB, e.g. of `debootstrap --include=git,gcc bookworm ROOTFS`. It is packed
 * into a tar, pushed with skopeo to Debian's docker-registry on loopback, and then
 *
 * - pulled and converted by us, against `skopeo copy` + `umoci unpack`;
 * - converted from the plain tar by us, to a file and into the store, against `mkfs.erofs --tar=f` (erofs-utils 1.7 and
 *   later), else `mkfs.erofs` of the directory (`scripts/newer-erofs-utils DIRECTORY` gets one with `--tar`: put DIRECTORY
 *   first in PATH).
 *
 * `TMPDIR=/dev/shm` keeps the disk out of it.
 *
 * Every run is a process of its own with an empty store. Printed are the fastest and the median run and the highest peak
 * of resident memory. Needs root, as umoci unpacks owners.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { buildErofsImage } from "../src/image/build.ts";
import { resolveImage } from "../src/image/store/resolve_image.ts";
import { RegistryProcess, run } from "../tests/interop/image/tools.ts";

const SCRIPT = fileURLToPath(import.meta.url);
const RUNS_DEFAULT = 3;
const ROOTFS_BYTES_MIN = 300_000_000;

interface Measurement {
  readonly milliseconds: number;
  readonly peakMegabytes: number;
}

/** Runs a command line to its end; the peak is that of its largest process. */
async function measure(commands: readonly (readonly string[])[]): Promise<Measurement> {
  const startedMs = performance.now();
  let peakMegabytes = 0;
  for (const [program, ...args] of commands) {
    const timed = ["-f", "%M", program!, ...args];
    const child = spawn("/usr/bin/time", timed, { stdio: ["ignore", "ignore", "pipe"] });
    let words = "";
    child.stderr.on("data", (part: Buffer) => {
      words += part.toString();
    });
    const code = await new Promise((resolve) => child.once("close", resolve));
    if (code !== 0) throw new Error(`${program} failed: ${words}`);
    peakMegabytes = Math.max(peakMegabytes, Number(words.trim().split("\n").at(-1)) / 1024);
  }
  return { milliseconds: performance.now() - startedMs, peakMegabytes };
}

/** One line of the report. The candidates take turns, so that a noisy moment does not hit only one. */
async function compare(
  title: string,
  runs: number,
  candidates: Record<string, () => Promise<Measurement>>,
): Promise<void> {
  const results = new Map<string, Measurement[]>(Object.keys(candidates).map((name) => [name, []]));
  for (let round = 0; round < runs; round++) {
    for (const [name, candidate] of Object.entries(candidates)) results.get(name)!.push(await candidate());
  }
  console.log(`\n${title}`);
  for (const [name, all] of results) {
    const times = all.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
    const peak = Math.max(...all.map(({ peakMegabytes }) => peakMegabytes));
    const median = times[Math.floor(times.length / 2)]!;
    const seconds = (value: number): string => (value / 1000).toFixed(2).padStart(7);
    console.log(
      `  ${name.padEnd(30)} best ${seconds(times[0]!)} s   median ${seconds(median)} s   peak ${peak.toFixed(0).padStart(5)} MB`,
    );
  }
}

async function main(rootfs: string, runs: number): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), "msb-bench-"));
  try {
    const tar = join(home, "rootfs.tar");
    // A plain tar with device nodes is refused, and a container mounts its own /dev anyway.
    await run("tar", ["--sort=name", "--exclude=./dev/*", "-C", rootfs, "-cf", tar, "."]);
    if (statSync(tar).size < ROOTFS_BYTES_MIN)
      throw new Error(`${rootfs} is smaller than ${ROOTFS_BYTES_MIN} bytes`);
    await using registry = await RegistryProcess.start(join(home, "registry"));
    const name = `${registry.host}/debian:bench`;
    const layout = join(home, "layout");
    await run("umoci", ["init", "--layout", layout]);
    await run("umoci", ["new", "--image", `${layout}:bench`]);
    await run("umoci", ["raw", "add-layer", "--image", `${layout}:bench`, tar]);
    await run("skopeo", ["copy", "-q", "--dest-tls-verify=false", `oci:${layout}:bench`, `docker://${name}`]);

    const work = join(home, "work");
    const fresh = (): string => {
      rmSync(work, { recursive: true, force: true });
      mkdirSync(work);
      return work;
    };
    const ours = (spec: string) => () => measure([[process.execPath, SCRIPT, "--one", spec, fresh()]]);
    const pulled = (): Promise<Measurement> => {
      const copy = join(fresh(), "layout");
      return measure([
        ["skopeo", "copy", "-q", "--src-tls-verify=false", `docker://${name}`, `oci:${copy}:bench`],
        ["umoci", "unpack", "--image", `${copy}:bench`, join(work, "bundle")],
        ["sync", "-f", work], // ours is on the disk when it is done
      ]);
    };
    const converted = (): Promise<Measurement> => {
      return measure([[process.execPath, SCRIPT, "--convert", tar, join(fresh(), "image.erofs")]]);
    };
    const hasTar = (await run("mkfs.erofs", ["--help"])).includes("--tar");
    const made = (): Promise<Measurement> => {
      const output = join(fresh(), "image.erofs");
      const source = hasTar ? ["--tar=f", output, tar] : [output, rootfs];
      return measure([
        ["mkfs.erofs", "--quiet", ...source],
        ["sync", "-f", work],
      ]);
    };
    console.log(`tar of ${(statSync(tar).size / 1e6).toFixed(0)} MB, ${runs} runs each`);
    await compare("pull and conversion", runs, {
      microsandbox: ours(name),
      "skopeo copy + umoci unpack": pulled,
    });
    await compare("conversion alone", runs, {
      microsandbox: converted,
      "microsandbox, into the store": ours(tar),
      [hasTar ? "mkfs.erofs --tar=f" : "mkfs.erofs of the directory"]: made,
    });
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

const [first, second, third] = process.argv.slice(2);
if (first === "--one" && second !== undefined && third !== undefined) {
  await resolveImage(second, { home: third, registry: { auth: { kind: "anonymous" } } });
} else if (first === "--convert" && second !== undefined && third !== undefined) {
  await buildErofsImage({ source: { tar: second }, outputPath: third });
} else if (first !== undefined) {
  await main(first, Number(second ?? RUNS_DEFAULT));
} else {
  console.error(readFileSync(SCRIPT, "utf8").split("*/")[0]);
  process.exitCode = 2;
}
