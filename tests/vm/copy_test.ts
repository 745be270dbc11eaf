/** Copies in and out of a real guest, by the library and by `msb cp`; programs in the guest are the judges. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Sandbox } from "../../mod.ts";
import { CLI_COMMAND, spawnCli, terminalProblem } from "../support/cli/cli_process.ts";
import { listTree } from "../support/files/tree_listing.ts";
import { homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

function makeProject(top: string): void {
  mkdirSync(join(top, "sub/empty"), { recursive: true });
  writeFileSync(join(top, "run.sh"), "#!/bin/sh\necho it runs\n");
  chmodSync(join(top, "run.sh"), 0o755);
  writeFileSync(join(top, "sub/large"), Buffer.alloc(1_000_000, "large "));
  writeFileSync(join(top, "sub/\x1b[31mred\n"), "odd");
  symlinkSync("run.sh", join(top, "link"));
  execFileSync("truncate", ["-s", "64M", join(top, "sparse")]);
  for (let number = 0; number < 100; number++)
    writeFileSync(join(top, `sub/file${number}`), `file ${number}`);
  utimesSync(join(top, "run.sh"), 1, 1_600_000_000);
}

const MODES_AND_TIMES = { modes: true, times: true };

homeTest("copyFromHost() and copyToHost() keep a tree through a real guest", async ({ create, scratch }) => {
  const sandbox = await create();
  const [project, back] = [join(scratch, "project"), join(scratch, "back")];
  makeProject(project);
  const into = await sandbox.fs().copyFromHost(project, "/srv/project");
  assert.equal(into.files, 104);
  const script = [
    "cd /srv/project; ./run.sh; stat -c '%a %Y' run.sh; readlink link; wc -c < sparse; du -k sparse",
    "find . -type f | wc -l; cmp sub/large sub/large && sha256sum < sub/large; find . ! -user root | wc -l",
  ].join("\n");
  const seen = (await sandbox.shell(script)).stdout().split("\n");
  const sum = execFileSync("sha256sum", {
    input: readFileSync(join(project, "sub/large")),
    encoding: "utf8",
  });
  assert.deepEqual(seen.slice(0, 4), ["it runs", "755 1600000000", "run.sh", String(64 << 20)]);
  assert.match(seen[4] ?? "", /^[0-9]{1,3}\s/, "the hole is one in the guest");
  assert.deepEqual(seen.slice(5), ["105", sum.trim(), "0", ""]); // the name with a line feed counts twice
  await sandbox.shell(
    "mkfifo /srv/project/fifo; chmod 600 /srv/project/run.sh; ln -s /etc/passwd /srv/project/out",
  );
  const out = await sandbox.fs().copyToHost("/srv/project", back);
  assert.deepEqual(out.skipped, [{ path: "fifo", reason: "fifo" }]);
  chmodSync(join(project, "run.sh"), 0o600);
  symlinkSync("/etc/passwd", join(project, "out"));
  const lines = (tree: string) =>
    listTree(tree, MODES_AND_TIMES).filter((line) => !/^(?:\.|out) /.test(line)); // their times are of the copy, or now
  assert.deepEqual(lines(back), lines(project));
  assert.equal(readlinkSync(join(back, "out")), "/etc/passwd");
  await sandbox.stop();
});

homeTest(
  "msb cp copies in, out and across, and shows no escape sequence of a name",
  async ({ image, scratch }) => {
    for (const name of ["box", "other"]) {
      const created = await spawnCli([
        "create",
        "--quiet",
        `--name=${name}`,
        `--memory=${MEMORY_MIB}M`,
        image,
      ]);
      assert.equal(created.status, 0, created.stderr);
    }
    const project = join(scratch, "project");
    makeProject(project);
    const cp = (...words: string[]) => spawnCli(["cp", ...words]);
    assert.deepEqual(await cp(project, "box:/srv/project"), { status: 0, stdout: "", stderr: "" });
    assert.equal((await cp(join(project, "run.sh"), "box:/tmp")).status, 0);
    assert.equal((await cp("box:/srv/project", "other:/copy")).status, 0);
    assert.equal((await spawnCli(["exec", "other", "--", "sh", "-c", "/copy/run.sh"])).stdout, "it runs\n");
    assert.equal(
      (await spawnCli(["exec", "box", "--", "cat", "/tmp/run.sh"])).stdout,
      "#!/bin/sh\necho it runs\n",
    );
    const onTerminal = await spawnCli(["cp", "other:/copy", join(scratch, "out")], {
      terminal: { columns: 80, rows: 20 },
    });
    assert.equal(onTerminal.status, 0, onTerminal.stdout);
    assert.match(onTerminal.stdout, /104 files, 1\.0 MB/);
    const withoutTop = (tree: string) => listTree(tree, MODES_AND_TIMES).slice(1);
    assert.deepEqual(withoutTop(join(scratch, "out")), withoutTop(project));

    const shell = (script: string) =>
      execFileSync("sh", ["-c", script, "msb", ...CLI_COMMAND], { encoding: "utf8", cwd: project });
    assert.equal(
      shell('"$@" cp box:/srv/project - | tar xf - -O project/run.sh'),
      "#!/bin/sh\necho it runs\n",
    );
    assert.equal(shell('"$@" cp box:/srv/project/. - | tar tf - ./run.sh'), "./run.sh\n");
    assert.equal(shell('tar c . | "$@" cp - other:/from/tar'), "");
    await spawnCli(["cp", "other:/from/tar", join(scratch, "from tar")]);
    const withoutTimes = (tree: string) => listTree(tree, { modes: true }); // a tar has seconds only
    assert.deepEqual(withoutTimes(join(scratch, "from tar")), withoutTimes(project));

    await spawnCli(["exec", "box", "--", "mkfifo", "/srv/\x1b[31mred"]);
    const told = await cp("box:/srv", join(scratch, "srv"));
    assert.deepEqual([told.status, told.stderr], [0, 'warning: left out "\\u001b[31mred": it is a FIFO\n']);
    const absent = await cp("box:/absent", scratch);
    assert.deepEqual([absent.status, absent.stdout], [1, ""]);
    assert.match(absent.stderr, /^error: .*"\/absent".*\(fileNotFound\)$/m);
    const limited = await cp("--max-files", "3", "box:/srv", join(scratch, "few"));
    assert.equal(limited.status, 1);
    assert.match(limited.stderr, /hint: raise --max-files/);
    for (const name of ["box", "other"]) await (await Sandbox.get(name)).destroy({ force: true });
  },
  // Two sandboxes and fifteen processes of msb: under a processor that is emulated twice, that takes minutes.
  { missing: terminalProblem, timeoutMs: 900_000 },
);
