/**
 * What people do in a mounted directory: git, a compiler with make, a virtual environment of Python. Two kernels check the
 * outcome: this machine's, in the directory itself, and the programs, on the mount.
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DirectoryProvider } from "../../../src/mount/providers/directory_provider.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { KernelMount, kernelMountProblem } from "../../support/mount/kernel_mount.ts";
import { filesBy } from "../../support/mount/shared_directory.ts";

/** Files of the repository. `MSB_MOUNT_FILES=5000` is what a large one has. */
const FILES = Number(process.env["MSB_MOUNT_FILES"] ?? 100);
/** Each is made, cloned, looked at and removed. */
const FILE_MS = 100;

const PROGRAMS = ["git", "make", "cc", "python3"];
const absent = PROGRAMS.filter((name) => spawnSync(name, ["--version"]).status !== 0);
const missing = kernelMountProblem ?? (absent.length === 0 ? undefined : `needs ${absent.join(", ")}`);

const MAKE_REPOSITORY = `
set -e
git init -q "$1"; cd "$1"
i=0; while [ $i -lt "$2" ]; do mkdir -p d$((i % 50)); echo "file $i" > d$((i % 50))/f$i; i=$((i + 1)); done
cat > main.c <<'END'
#include <stdio.h>
int answer(void);
int main(void) { return printf("%d\\n", answer()) < 0; }
END
echo 'int answer(void) { return 42; }' > answer.c
printf 'program: main.o answer.o\\n\\t$(CC) -o $@ $^\\n' > Makefile
printf '*.o\\nprogram\\nvenv\\n' > .gitignore
ln -s d0/f0 link
git add -A
git -c user.name=a -c user.email=a@example.invalid commit -q -m files
`;

test(
  "MountServer carries git, make with a compiler, and a virtual environment of Python",
  async () => {
    using directory = temporaryDirectory();
    const [source, below] = [join(directory.path, "source"), join(directory.path, "below")];
    mkdirSync(below);
    execFileSync("sh", ["-c", MAKE_REPOSITORY, "sh", source, String(FILES)]);
    await using mount = await KernelMount.open(
      join(directory.path, "target"),
      DirectoryProvider.open(await filesBy(true), below),
    );
    const run = async (script: string, ...args: string[]) => {
      const { code, output } = await mount.run(`set -e; ${script}`, args);
      assert.equal(code, 0, `${script}:\n${output}`);
      return output;
    };
    const clone = join(mount.path, "clone");
    await run('git clone -q "$1" "$2"', source, clone);
    assert.equal(await run('cd "$1"; git status --porcelain; git fsck --no-progress', clone), "");
    execFileSync("diff", ["-r", "--no-dereference", "--exclude=.git", source, join(below, "clone")]);

    assert.match(await run('cd "$1"; make 2>&1; ./program', clone), /42\n$/);
    assert.match(await run('cd "$1"; make', clone), /up to date/); // times are those of the files
    assert.equal(execFileSync(join(below, "clone/program"), { encoding: "utf8" }), "42\n");

    const venv = join(clone, "venv");
    const script = 'python3 -m venv --without-pip "$1"; "$1/bin/python" -c "import sys; print(sys.prefix)"';
    assert.equal(await run(script, venv), `${venv}\n`);

    await run('cd "$1"; echo changed > d0/f0; git mv d1 moved; rm answer.c', clone);
    const status = execFileSync("git", ["status", "--porcelain", "-uno"], {
      cwd: join(below, "clone"),
      encoding: "utf8",
    }).split("\n");
    assert.ok(status.includes(" M d0/f0") && status.includes(" D answer.c"), status.join("\n"));
    assert.equal(readFileSync(join(below, "clone/link"), "utf8"), "changed\n");
    await run('rm -r "$1"', clone);
    assert.deepEqual(readdirSync(below), []);
  },
  { missing, timeoutMs: 50_000 + FILES * FILE_MS },
);
