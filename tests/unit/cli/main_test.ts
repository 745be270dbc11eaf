/** The command line as a whole, as far as it goes without a VM. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { VERSION } from "../../../src/cli/version.ts";
import { runCli } from "../../support/cli/cli.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

/** Runs `body` in a home with nothing in it. */
async function inEmptyHome(body: () => Promise<void>): Promise<void> {
  using directory = temporaryDirectory();
  const before = process.env["MSB_HOME"];
  process.env["MSB_HOME"] = directory.path;
  try {
    await body();
  } finally {
    if (before === undefined) delete process.env["MSB_HOME"];
    else process.env["MSB_HOME"] = before;
  }
}

test("main() prints help and the version, and succeeds", async () => {
  const help = await runCli(["--help"]);
  assert.deepEqual([help.status, help.stderr], [0, ""]);
  for (const command of [
    "run",
    "create",
    "stop",
    "exec",
    "logs",
    "events",
    "pull",
    "image, images",
    "snapshot, snap",
    "volume, vol",
  ])
    assert.match(help.stdout, new RegExp(`^  ${command} `, "m"));
  assert.deepEqual(await runCli(["--version"]), { status: 0, stdout: `msb ${VERSION}\n`, stderr: "" });
  assert.match((await runCli(["version"])).stdout, new RegExp(`^msb ${VERSION} \\(`));
  assert.match((await runCli(["run", "--help"])).stdout, /--detach/);
});

test("main() refuses command lines that it cannot use, with 2 and a line on stderr", async () => {
  const lines = [
    [[], "Usage: msb"],
    [["frobnicate"], "error: unknown command 'frobnicate'"],
    [["stp", "web"], "Did you mean stop?"],
    [["system", "df"], "hint: `du -sh` of the home (`MSB_HOME`)"],
    [["run", "-v", "cache:data", "alpine"], "It must be SOURCE:TARGET"],
    [["volume", "create", "../x"], "error: name: must be letters"],
    [["volume", "create", "x", "--kind", "directory", "--size", "1G"], "error: --size: is for disks only"],
    [["run"], "error: missing required argument 'image'"],
    [["stop"], "error: missing required argument 'names'"],
    [["ls", "--bogus"], "error: unknown option '--bogus'"],
    [["ls", "--format", "yaml"], "Allowed choices are json"],
    [["run", "-m", "12Q", "alpine"], "It must be a size such as 512M"],
    [["exec", "web"], "error: say what to run"],
    [["exec", "-it", "web", "--bogus"], "error: unknown option '--bogus'"],
    [["snapshot", "create"], "error: required option '--from-sandbox <sandbox>' not specified"],
    [["stop", "bad name"], "error: name: must be letters"],
  ] as const;
  await inEmptyHome(async () => {
    for (const [words, message] of lines) {
      const { status, stdout, stderr } = await runCli(words);
      assert.deepEqual([status, stdout], [2, ""], words.join(" "));
      assert.ok(stderr.includes(message), `${words.join(" ")}: ${stderr}`);
    }
  });
});

test("msb completion prints scripts that complete commands and flags", async () => {
  await inEmptyHome(async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const { status, stdout } = await runCli(["completion", shell]);
      assert.deepEqual([status, stdout.includes("snapshot")], [0, true], shell);
    }
    const { stdout: script } = await runCli(["completion", "bash"]);
    const complete = (...words: string[]) =>
      execFileSync(
        "bash",
        [
          "-c",
          `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _msb; echo "\${COMPREPLY[@]}"`,
          ...words,
        ],
        {
          encoding: "utf8",
        },
      ).trim();
    assert.equal(complete("msb", "msb", "snap"), "snap snapshot");
    assert.equal(complete("msb", "msb", "run", "--env"), "--env --env-file");
    assert.equal(complete("msb", "msb", "image", "pr"), "prune");
  });
});

test("main() says what failed with its code and a hint, and exits with 1", async () => {
  await inEmptyHome(async () => {
    const { status, stdout, stderr } = await runCli(["stop", "one", "two"]);
    assert.deepEqual([status, stdout], [1, ""]);
    const line = (name: string) =>
      `error: No sandbox is called "${name}" (sandboxNotFound)\n  hint: \`msb ls\` lists those that there are\n`;
    assert.equal(stderr, line("one") + line("two"));
  });
});

test("main() lists nothing as nothing to programs, and tells people what to do", async () => {
  await inEmptyHome(async () => {
    for (const words of [["ls"], ["ps"], ["images"], ["snapshot", "ls"], ["volume", "ls"]]) {
      assert.deepEqual(await runCli(words), { status: 0, stdout: "", stderr: "" }, words.join(" "));
      assert.deepEqual((await runCli([...words, "--json"])).stdout, "[]\n");
      assert.deepEqual((await runCli([...words, "--format", "json"])).stdout, "[]\n");
      assert.match((await runCli(words, { isTTY: true })).stdout, /^No .*\.\n$/);
    }
  });
});

test("main() honours NO_COLOR", async () => {
  await inEmptyHome(async () => {
    const words = ["stop", "nope"];
    assert.ok((await runCli(words, { isTTY: true })).stderr.includes("\x1b[31merror:"));
    const plain = await runCli(words, { isTTY: true, environment: { NO_COLOR: "1" } });
    assert.ok(!plain.stderr.includes("\x1b"), plain.stderr);
  });
});

test("msb volume makes, lists, shows and removes volumes", async () => {
  await inEmptyHome(async () => {
    const msb = async (...words: string[]) => {
      const { status, stdout, stderr } = await runCli(words);
      assert.deepEqual([status, stderr], [0, ""], words.join(" "));
      return stdout;
    };
    assert.equal(await msb("volume", "create", "cache", "--label", "team=blue"), "cache\n");
    assert.equal(await msb("vol", "create", "db", "--size", "64M"), "db\n");
    assert.equal(await msb("volume", "ls", "-q"), "cache\ndb\n");
    assert.equal(await msb("volume", "ls", "-q", "--label", "team=blue"), "cache\n");
    assert.match(await msb("volume", "ls"), /^cache\tdirectory\t\d+\t\t.*Z\ndb\tdisk\t\d+\t67108864\t/);
    const shown = JSON.parse(await msb("volume", "inspect", "cache", "--json"));
    assert.deepEqual([shown.name, shown.kind, shown.labels], ["cache", "directory", { team: "blue" }]);
    assert.match(await msb("volume", "inspect", "db"), /^size\t67.1 MB$/m);
    assert.equal(JSON.parse(await msb("volume", "ls", "--json")).length, 2);
    const again = await runCli(["volume", "create", "cache"]);
    assert.deepEqual([again.status, /volumeAlreadyExists/.test(again.stderr)], [1, true]);
    const { status, stdout, stderr } = await runCli(["volume", "rm", "cache", "none", "db"]);
    assert.deepEqual([status, stdout], [1, "cache\ndb\n"]);
    assert.match(stderr, /No volume is called "none" \(volumeNotFound\)/);
  });
});
