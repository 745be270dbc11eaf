/**
 * The same work in one VM on a mount, on the guest's own disk and, on QEMU, on a mount of QEMU's own virtiofsd: git, tar, and one
 * large file. In turns, each as a ratio to the guest's disk.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { doctor, Sandbox } from "../../mod.ts";
import type { Figure } from "../support/figures.ts";
import { makeGuestImage } from "./guest_image.ts";
import { startVirtiofsd, type VirtiofsPeer } from "./virtiofsd.ts";

const NAME = "bench-mounts";
const MEMORY_MIB = 1024;
const REPOSITORY_FILES = 5000;
const REPOSITORY_DIRECTORIES = 100;
const STATUS_RATIO_MAX = 2;
const SEQUENTIAL_RATIO_MIN = 0.5;

const MOUNT = "/mount";
const WATCHED = "/watched";
const DISK = "/disk";
const PEER = "/peer";

/** How much there is to do. */
export interface InVmOptions {
  readonly rounds: number;
  /** Of the large file. */
  readonly sizeMiB: number;
  /** Small files in the archive. */
  readonly files: number;
}

/** What is done in a directory of the guest, and how long it may take beside the guest's disk. */
interface Work {
  readonly name: string;
  /** Not timed. */
  readonly prepare?: string;
  readonly script: string;
  /** Most times as long as on the guest's disk. */
  readonly most?: number;
}

function worksOf({ sizeMiB, files }: InVmOptions): Work[] {
  const large = `${sizeMiB} MiB`;
  const dropped = "sync; echo 3 > /proc/sys/vm/drop_caches";
  return [
    {
      name: `git status of ${REPOSITORY_FILES} files, second run`,
      prepare: STATUS,
      script: STATUS,
      most: STATUS_RATIO_MAX,
    },
    {
      name: `write of ${large}, with fsync`,
      script: `dd if=/dev/zero of=large bs=1M count=${sizeMiB} conv=fsync 2>&1`,
      most: 1 / SEQUENTIAL_RATIO_MIN,
    },
    {
      name: `read of ${large}`,
      prepare: dropped,
      script: "dd if=large of=/dev/null bs=1M 2>&1",
      most: 1 / SEQUENTIAL_RATIO_MIN,
    },
    {
      name: `tar x of ${files} small files`,
      prepare: "rm -rf out; mkdir out",
      script: "tar xf /small.tar -C out",
    },
    { name: `tar c of ${files} small files`, prepare: dropped, script: "tar cf - out | cat > /dev/null" },
  ];
}

const STATUS = "git -C repository status --porcelain";

/** @param directory Where the sandbox's home and the files go. */
export async function measureInVm(directory: string, options: InVmOptions): Promise<Figure[]> {
  process.env["MSB_HOME"] = join(directory, "home");
  const [mounted, watched, peered] = ["mounted", "watched", "peered"].map((name) =>
    join(directory, name),
  ) as [string, string, string];
  for (const path of [mounted, watched, peered]) makeRepository(join(path, "repository"));
  const image = makeGuestImage(join(directory, "rootfs"));
  makeArchive(join(image, "small.tar"), join(directory, "small"), options.files);
  makeRepository(join(image, DISK, "repository"));
  const { engine } = await doctor({ trial: false });
  using peer = engine === "qemu" ? await startVirtiofsd(directory, peered, MEMORY_MIB) : undefined;
  const mounts = { [MOUNT]: mounted, [WATCHED]: { bind: watched, watch: true } };
  await using sandbox = await Sandbox.create({ name: NAME, image, memoryMiB: MEMORY_MIB, mounts });
  await run(sandbox, "/", "git config --system --add safe.directory '*'");
  const places = [DISK, MOUNT, WATCHED, ...(await mountPeer(sandbox, peer))];
  const figures: Figure[] = [];
  for (const work of worksOf(options)) {
    const best = await timeInTurns(sandbox, places, work, options.rounds);
    const disk = best.get(DISK) ?? Number.NaN;
    for (const place of places.slice(1))
      figures.push({
        name: `${work.name}, ${labelOf(place)}, times as long as on the guest's disk (${engine})`,
        value: (best.get(place) ?? Number.NaN) / disk,
        unit: "×",
        limit: work.most !== undefined && place !== PEER ? { kind: "at most", value: work.most } : undefined,
        detail: { placeMs: best.get(place), diskMs: disk },
      });
  }
  return figures;
}

function labelOf(place: string): string {
  return place === PEER ? "QEMU's virtiofsd" : place === WATCHED ? "mount with watch" : "mount";
}

/** Mounts what virtiofsd serves, if it does. */
async function mountPeer(sandbox: Sandbox, peer: VirtiofsPeer | undefined): Promise<string[]> {
  if (peer === undefined) return [];
  await run(sandbox, "/", `mkdir ${PEER} && mount -t virtiofs ${peer.tag} ${PEER}`);
  return [PEER];
}

/** The least time of each place: what others do on the machine only adds to it. */
async function timeInTurns(
  sandbox: Sandbox,
  places: readonly string[],
  { prepare, script }: Work,
  rounds: number,
): Promise<Map<string, number>> {
  const best = new Map<string, number>();
  for (let round = 0; round < rounds; round++)
    for (const place of places) {
      if (prepare !== undefined) await run(sandbox, place, prepare);
      const begin = performance.now();
      await run(sandbox, place, script);
      best.set(place, Math.min(best.get(place) ?? Number.POSITIVE_INFINITY, performance.now() - begin));
    }
  return best;
}

async function run(sandbox: Sandbox, directory: string, script: string): Promise<void> {
  const result = await sandbox.exec("sh", ["-c", `cd ${directory} && ${script}`]);
  if (result.code !== 0) throw new Error(`${script} in ${directory}: ${result.stdout()}${result.stderr()}`);
}

function makeFiles(directory: string, count: number, directories: number): void {
  for (let number = 0; number < count; number++) {
    const place = join(directory, `directory${number % directories}`);
    if (number < directories) mkdirSync(place, { recursive: true });
    writeFileSync(join(place, `file${number}.c`), `the line ${number}\n`.repeat(1 + (number % 50)));
  }
}

function makeRepository(directory: string): void {
  makeFiles(directory, REPOSITORY_FILES, REPOSITORY_DIRECTORIES);
  const git = (...args: readonly string[]) =>
    execFileSync(
      "git",
      ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "gc.auto=0", ...args],
      { cwd: directory },
    );
  git("init", "-q");
  git("add", ".");
  git("commit", "-q", "-m", "All files");
  git("repack", "-a", "-d", "-q");
}

function makeArchive(path: string, source: string, files: number): void {
  makeFiles(source, files, REPOSITORY_DIRECTORIES);
  execFileSync("tar", ["cf", path, "-C", source, "."]);
}
