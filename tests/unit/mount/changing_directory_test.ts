/**
 * Work in a directory that others change at the same time: the host while git works on a mount, and two mounts at once.
 * `MSB_MOUNT_FILES=5000` makes git work on that many files.
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { MountFlag } from "../../../src/agent/protocol.ts";
import { FileLocks } from "../../../src/ffi/file_locks.ts";
import { Inotify } from "../../../src/ffi/inotify.ts";
import { DirectoryProvider } from "../../../src/mount/providers/directory_provider.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { KernelMount, kernelMountProblem } from "../../support/mount/kernel_mount.ts";
import { filesBy } from "../../support/mount/shared_directory.ts";

const FILES = Number(process.env["MSB_MOUNT_FILES"] ?? 500);
const DIRECTORIES = 50;
const LIMIT_MS = 60_000 + FILES * 50;
const RECORDS = 150;
const IDENTITY = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "gc.auto=0"];

/** Why a test cannot run: without /dev/fuse, or one of these programs. */
function missingOf(...programs: readonly string[]): string | undefined {
  const program = programs.find((name) => spawnSync(name, ["--version"]).status !== 0);
  return kernelMountProblem ?? (program === undefined ? undefined : `needs ${program}`);
}

/** A directory as a sandbox mounts it. */
async function mounted(path: string, below: string, watch: boolean): Promise<KernelMount> {
  const bounds = { locks: await FileLocks.load(), inotify: await Inotify.load() };
  const provider = DirectoryProvider.open(await filesBy(true), below, bounds);
  return await KernelMount.open(path, provider, { locks: true, watch }, MountFlag.watch);
}

/** Runs a script in a mount, which must succeed; gives what it writes. */
async function work(mount: KernelMount, script: string, ...args: readonly string[]): Promise<string> {
  const { code, output } = await mount.run(`set -e; cd "$M"; ${script}`, args, LIMIT_MS);
  assert.equal(code, 0, `${script}:\n${output}`);
  return output;
}

for (const watch of [false, true])
  test(
    `git clones into a mount${watch ? " that is watched" : ""}, finds it clean, and commits there`,
    async () => {
      using directory = temporaryDirectory();
      const [source, below] = [join(directory.path, "source"), join(directory.path, "below")];
      fs.mkdirSync(below);
      for (let number = 0; number < FILES; number++) {
        const place = join(source, `directory${number % DIRECTORIES}`);
        if (number < DIRECTORIES) fs.mkdirSync(place, { recursive: true });
        fs.writeFileSync(join(place, `file${number}.c`), `line ${number}\n`.repeat(1 + (number % 50)));
      }
      const git = (at: string, ...args: readonly string[]) =>
        execFileSync("git", [...IDENTITY, ...args], { cwd: at, encoding: "utf8" });
      git(source, "init", "-q");
      git(source, "add", ".");
      git(source, "commit", "-q", "-m", "All files");
      await using mount = await mounted(join(directory.path, "mount"), below, watch);
      await work(mount, 'git clone -q --no-local "$1" project', source);
      const status = "git -C project status --porcelain";
      assert.equal(await work(mount, status), "");
      // Changed on the host and in the mount: git there sees both.
      const project = join(below, "project");
      fs.appendFileSync(join(project, "directory1/file1.c"), "more\n");
      const change = 'echo new > project/new.c; rm project/directory2/file2.c; [ -n "$1" ] || sleep 1.1';
      await work(mount, change, watch ? "told" : "");
      const changed = " M directory1/file1.c\n D directory2/file2.c\n?? new.c\n";
      assert.equal(await work(mount, status), changed);
      await work(mount, 'git -C project add -A; git -C project "$@" commit -q -m Changed', ...IDENTITY);
      assert.equal(await work(mount, `${status}; git -C project fsck --no-dangling`), "");
      assert.equal(git(project, "status", "--porcelain"), "");
      assert.equal(git(project, "ls-files").split("\n").length, FILES + 1);
      assert.equal(git(project, "diff", "--stat", "HEAD~1", "--shortstat").match(/3 files/)?.length, 1);
    },
    { missing: missingOf("git"), timeoutMs: LIMIT_MS },
  );

test(
  "two mounts of one directory, each with a writer, lose nothing of either",
  async () => {
    using directory = temporaryDirectory();
    const below = join(directory.path, "below");
    fs.mkdirSync(below);
    await using one = await mounted(join(directory.path, "one"), below, true);
    await using two = await mounted(join(directory.path, "two"), below, false);
    // Records at the end of one file, files that replace one another, and names that only one side can make.
    const writer = `i=0; while [ $i -lt ${RECORDS} ]; do
      echo "$1 $i" >> log
      echo "$1 $i" > "tmp.$1"; mv "tmp.$1" last
      if mkdir "taken$i" 2>/dev/null; then echo "$i" >> "won.$1"; fi
      i=$((i+1)); done`;
    await Promise.all([work(one, writer, "one"), work(two, writer, "two")]);
    const lines = (name: string) =>
      fs.existsSync(join(below, name))
        ? fs.readFileSync(join(below, name), "utf8").trimEnd().split("\n")
        : [];
    const numbers = Array.from({ length: RECORDS }, (_, number) => number);
    for (const name of ["one", "two"])
      assert.deepEqual(
        lines("log").filter((line) => line.startsWith(name)),
        numbers.map((number) => `${name} ${number}`),
      );
    assert.equal(lines("log").length, 2 * RECORDS);
    assert.match(lines("last").join(), /^(one|two) \d+$/);
    const won = [...lines("won.one"), ...lines("won.two")].map(Number);
    assert.deepEqual(
      won.toSorted((a, b) => a - b),
      numbers,
      "each name has one maker",
    );
    const list = "ls | wc -l; cat last; wc -l < log";
    assert.equal(await work(one, list), await work(two, `sleep 1.1; ${list}`));
  },
  { missing: kernelMountProblem, timeoutMs: LIMIT_MS },
);
