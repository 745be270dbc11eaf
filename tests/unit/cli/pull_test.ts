/** `msb pull` as a process, from a registry of the test's own: on a pseudo-terminal and on pipes. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { CLI_COMMAND, spawnCli, terminalProblem } from "../../support/cli/cli_process.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { TestRegistry } from "../../support/oci/server.ts";
import { buildTar } from "../image/tar/builder.ts";

const NOISE_BYTES = 3_000_000;

/** Serves an image of two layers, of which the second does not compress. */
async function withRegistry(
  body: (served: { reference: string; home: string; registry: TestRegistry }) => Promise<void>,
): Promise<void> {
  using directory = temporaryDirectory();
  await using registry = await TestRegistry.start();
  const layers = [
    buildTar({ name: "motd", data: "hello\n" }),
    buildTar({ name: "noise", data: randomBytes(NOISE_BYTES) }),
  ];
  registry.addImage({ layers }, "1");
  await body({ reference: `${registry.host}/team/app:1`, home: directory.path, registry });
}

test("msb pull writes plain lines to pipes, and the name to standard output", async () => {
  await withRegistry(async ({ reference, home }) => {
    const environment = { MSB_HOME: home };
    const { status, stdout, stderr } = await spawnCli(["pull", reference], { environment });
    assert.deepEqual([status, stdout], [0, `${reference}\n`], stderr);
    const lines = stderr.trimEnd().split("\n");
    assert.equal(lines[0], `${reference}: resolving`);
    assert.match(lines[1] ?? "", /: 2 layers, [\d.]+ [kM]B$/);
    assert.equal(lines.at(-1), `${reference}: complete`);
    assert.equal(lines.filter((line) => line.endsWith(": unpacked")).length, 2);
    assert.ok(!stderr.includes("\x1b") && !stderr.includes("\r"), stderr);

    const listed = await spawnCli(["images"], { environment });
    assert.match(listed.stdout, new RegExp(`^${reference}\tsha256:[0-9a-f]{64}\tlinux/\\w+\t\\d+\t`));
    const again = await spawnCli(["pull", "--quiet", reference], { environment });
    assert.deepEqual([again.status, again.stdout, again.stderr], [0, `${reference}\n`, ""]);
    const removed = await spawnCli(["image", "rm", reference], { environment });
    assert.deepEqual([removed.status, removed.stdout], [0, `${reference}\n`]);
  });
});

test(
  "msb pull draws a bar on a terminal, and leaves one line",
  async () => {
    await withRegistry(async ({ reference, home, registry }) => {
      // A connection that breaks is taken up again after a pause, in which the bar shows how far it is.
      registry.faults.push({ path: "/blobs/", times: 3, cutAfterBytes: NOISE_BYTES / 2 });
      const { status, stdout } = await spawnCli(["pull", reference], {
        environment: { MSB_HOME: home },
        terminal: { columns: 100, rows: 30 },
      });
      assert.equal(status, 0, stdout);
      assert.match(stdout, /(?:Downloading|Unpacking) +█*░* +\d+% [\d.]+ [kM]?B of [\d.]+ [kM]B/);
      const visible = stdout.slice(stdout.lastIndexOf("\x1b[2K") + "\x1b[2K".length);
      assert.match(visible, new RegExp(`^${reference} +[\\d.]+ MB\r\n$`));
      assert.equal(stdout.split("\n").length, 2); // the bar was never more than one line
    });
  },
  { skip: terminalProblem },
);

test("msb save and msb load go through pipes", async () => {
  await withRegistry(async ({ reference, home }) => {
    const env = { ...process.env, MSB_HOME: home, REFERENCE: reference, ARCHIVE: join(home, "image.tar") };
    const shell = (script: string) =>
      execFileSync("sh", ["-c", script, "sh", ...CLI_COMMAND], { env, encoding: "utf8" });
    await spawnCli(["pull", "--quiet", reference], { environment: { MSB_HOME: home } });
    shell('"$@" save --format oci "$REFERENCE" > "$ARCHIVE" && "$@" image rm "$REFERENCE"');
    assert.equal(shell('"$@" images -q'), "");
    assert.equal(shell('cat "$ARCHIVE" | "$@" load --quiet'), `${reference}\n`);
    assert.equal(shell('"$@" images -q'), `${reference}\n`);
    assert.equal(shell('"$@" image inspect --json "$REFERENCE" | head -c 1'), "{");
  });
});

test("msb pull says what is wrong, with a code", async () => {
  await withRegistry(async ({ reference, home }) => {
    const absent = reference.replace(":1", ":2");
    const { status, stdout, stderr } = await spawnCli(["pull", absent], { environment: { MSB_HOME: home } });
    assert.deepEqual([status, stdout], [1, ""]);
    assert.match(stderr, /^error: .*\(imageNotFound\)$/m);
  });
});
