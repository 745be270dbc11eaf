/** A mount on this machine's kernel shows programs what a plain directory does. @module */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FileSystemProvider } from "../../../src/mount/provider.ts";
import { DirectoryProvider } from "../../../src/mount/providers/directory_provider.ts";
import { MemoryFileSystem } from "../../../src/mount/providers/memory_file_system.ts";
import { OverlayFileSystem } from "../../../src/mount/providers/overlay_file_system.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { KernelMount, kernelMountProblem } from "../../support/mount/kernel_mount.ts";
import { filesBy } from "../../support/mount/shared_directory.ts";
import { seededRandom } from "../../support/random.ts";

const ROWS = fileURLToPath(new URL("../../support/mount/posix_rows.py", import.meta.url));

const RANDOM_IO = fileURLToPath(new URL("../../support/mount/random_io.py", import.meta.url));
/** Operations on each provider; `MSB_MOUNT_OPERATIONS=1000000` takes half an hour for each on two cores. */
const OPERATIONS = Number(process.env["MSB_MOUNT_OPERATIONS"] ?? 2000);
/** Each run has its own file. */
const OPERATIONS_A_RUN = 500;
/** Operations between two lines that tell how far it is. */
const OPERATIONS_A_LINE = 50_000;

const TEST_MS = 20_000;
/** Many times what one takes, also on a busy machine: 2 to 10. */
const OPERATION_MS = 100;

const missing =
  kernelMountProblem ??
  (spawnSync("python3", ["-c", ""]).status === 0 ? undefined : "needs python3 to look at files");

type Rows = Readonly<Record<string, readonly string[]>>;

/** What differs, by the row, and why it may. */
const EVERYWHERE: Readonly<Record<string, string>> = {
  owner_of_what_a_user_makes:
    "a provider has one owner for what is made; FUSE does not tell it whose program made it first",
  removed_directories: "a directory without a name has no path that its provider could be asked for",
  temporary_files: "a provider has no files without a name, and says EOPNOTSUPP",
  devices: "devices are not made",
  allocating_in_other_ways: "FUSE takes no range out of a file",
};

/** Of what lies in a directory of this machine. */
const NO_SET_ID: Readonly<Record<string, string>> = {
  set_id_bits: "what a guest leaves behind must not run as its owner",
  set_id_bits_of_what_changes: "the same",
};

const providers: readonly (readonly [
  string,
  (directory: string) => Promise<FileSystemProvider>,
  Readonly<Record<string, string>>,
])[] = [
  [
    "DirectoryProvider",
    async (directory) => DirectoryProvider.open(await filesBy(true), directory),
    { ...EVERYWHERE, ...NO_SET_ID },
  ],
  [
    "MemoryFileSystem",
    async () => new MemoryFileSystem(),
    { ...EVERYWHERE, holes: "memory has none: all of a file is data" },
  ],
  [
    "OverlayFileSystem",
    async (directory) =>
      new OverlayFileSystem({
        lower: [new MemoryFileSystem({ "lower/file": "content" })],
        upper: DirectoryProvider.open(await filesBy(true), directory),
      }),
    { ...EVERYWHERE, ...NO_SET_ID },
  ],
];

/** Parts that the rows are tested in, each within a test's time. */
const PARTS = 12;

for (const [name, open, differences] of providers) {
  for (let part = 0; part < PARTS; part++) {
    test(
      `MountServer of a ${name} shows programs what a plain directory does, part ${part + 1} of ${PARTS}`,
      async () => {
        using directory = temporaryDirectory();
        const [below, plain] = ["below", "plain"].map((name) => join(directory.path, name)) as [
          string,
          string,
        ];
        mkdirSync(below);
        mkdirSync(plain);
        await using mount = await KernelMount.open(join(directory.path, "target"), await open(below));
        const script = `exec python3 "$1" "$2" ${part} ${PARTS}`;
        const [found, expected] = await Promise.all(
          [mount.path, plain].map(async (path) => {
            const { code, output } = await mount.run(script, [ROWS, path]);
            assert.equal(code, 0, output);
            return JSON.parse(output) as Rows;
          }),
        );
        const rows = Object.keys(expected ?? {});
        assert.ok(rows.length > 600 / PARTS);
        for (const row of rows) {
          const differs = JSON.stringify(found?.[row]) !== JSON.stringify(expected?.[row]);
          if (!(row in differences)) assert.deepEqual(found?.[row], expected?.[row], row);
          else assert.ok(differs, `${row} is the same by now`);
        }
      },
      { missing },
    );
  }
}

for (const [name, open] of providers)
  for (const writeback of [false, true])
    test(
      `MountServer of a ${name}${writeback ? " with writeback" : ""} reads what was written, by any calls and maps`,
      async () => {
        using directory = temporaryDirectory();
        const random = seededRandom(`random I/O on ${name}`);
        const below = join(directory.path, "below");
        mkdirSync(below);
        const provider = await open(below);
        await using mount = await KernelMount.open(join(directory.path, "target"), provider, { writeback });
        for (let done = 0; done < OPERATIONS; done += OPERATIONS_A_RUN) {
          const files = [join(mount.path, `f${done}`), join(directory.path, `f${done}`)];
          const numbers = [random.integer(0, 2 ** 31), Math.min(OPERATIONS_A_RUN, OPERATIONS - done)].map(
            String,
          );
          const limitMs = TEST_MS + OPERATIONS_A_RUN * OPERATION_MS;
          const args = [RANDOM_IO, ...files, ...numbers];
          const { output, code } = await mount.run('exec python3 "$@"', args, limitMs);
          assert.equal(output, "the same\n", `exit ${code} of ${numbers.join(" ")} after ${done}`);
          await mount.run('rm "$@"', files);
          if (done > 0 && done % OPERATIONS_A_LINE === 0) console.log(`${name}: ${done} operations`);
        }
      },
      { missing, timeoutMs: TEST_MS + OPERATIONS * OPERATION_MS },
    );
