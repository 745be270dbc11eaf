/** `msb stats` over a backend in memory. @module */
import assert from "node:assert/strict";
import { Sandbox } from "../../../mod.ts";
import { useBackend } from "../../../src/backend/default_backend.ts";
import { MemoryBackend } from "../../support/backend/memory_backend.ts";
import { runCli } from "../../support/cli/cli.ts";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const skip = nativeAgentProblem;
/** The alternate screen, on and off. */
const [ENTER, LEAVE] = ["\x1b[?1049h", "\x1b[?1049l"];

async function withSandboxes(body: () => Promise<void>): Promise<void> {
  await using backend = new MemoryBackend();
  using _used = useBackend(backend);
  for (const name of ["one", "two", "ended"])
    await Sandbox.create({ name, image: "none", memoryMiB: 128, replace: false });
  await (await Sandbox.get("ended")).stop();
  await body();
}

test(
  "stats --no-stream shows those that run: a row each, or a table",
  () =>
    withSandboxes(async () => {
      const { status, stdout, stderr } = await runCli(["stats", "--no-stream"]);
      assert.deepEqual([status, stderr], [0, ""]);
      const rows = stdout
        .trim()
        .split("\n")
        .map((line) => line.split("\t"));
      assert.deepEqual(rows.map(([name]) => name).sort(), ["one", "two"]);
      for (const row of rows) {
        assert.equal(row.length, 12);
        assert.match(row[1] ?? "", /^\d+(?:\.\d+)?$/);
        assert.ok(Number(row[2]) > 0 && Number(row[3]) > Number(row[2]), String(row));
        assert.equal(row[8], "-"); // it has no disk
      }
      const table = await runCli(["metrics", "--no-stream", "two"], {
        isTTY: true,
        environment: { NO_COLOR: "1" },
      });
      const [heading = "", line = "", ...rest] = table.stdout.split("\n");
      assert.match(heading, /NAME +CPU % +MEMORY +LIMIT/);
      assert.match(line, /^two +\d+\.\d +\d+(?:\.\d)? [MG]B +\d+ [MG]iB /);
      assert.deepEqual(rest, [""]);
    }),
  { skip },
);

test(
  "stats --json has a line for each sample, until those named have ended",
  () =>
    withSandboxes(async () => {
      const two = await Sandbox.get("two");
      const running = runCli(["stats", "--json", "--interval", "100ms", "two", "two"]);
      await two.waitForStatus("running");
      await two.metrics();
      await two.metrics();
      await two.metrics();
      await two.stop();
      const { status, stdout } = await running;
      assert.equal(status, 0);
      const samples = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
      assert.ok(samples.length >= 1);
      for (const sample of samples) {
        assert.deepEqual([sample.name, sample.id], ["two", two.id]);
        assert.equal(sample.upperUsedBytes, null);
        assert.ok(Date.parse(sample.timestamp) > 0);
      }
    }),
  { skip },
);

test(
  "stats says what is wrong with a name, and shows the others",
  () =>
    withSandboxes(async () => {
      const { status, stdout, stderr } = await runCli(["stats", "--no-stream", "none", "ended", "one"]);
      assert.equal(status, 1);
      assert.match(stdout, /^one\t[^\n]*\n$/);
      assert.match(stderr, /sandboxNotFound[\s\S]*sandboxNotRunning/);
      const live = await runCli(["stats", "ended"], { isTTY: true });
      assert.deepEqual([live.status, live.stdout], [1, ""]); // no screen for nothing
    }),
  { skip },
);

test(
  "stats draws on a screen of its own, and gives the terminal back when it ends",
  () =>
    withSandboxes(async () => {
      const one = await Sandbox.get("one");
      const running = runCli(["stats", "one", "--interval", "100ms"], { isTTY: true });
      for (let sample = 0; sample < 5; sample++) await one.metrics();
      await one.stop();
      const { status, stdout } = await running;
      assert.equal(status, 0);
      assert.ok(stdout.startsWith(ENTER));
      assert.match(stdout, /one +\d+\.\d/);
      assert.match(stdout, /no room for: .*UPTIME/); // on 100 columns
      assert.equal(stdout.split(LEAVE).length, 2);
    }),
  { skip },
);

test("stats without any sandbox says so, and refuses intervals that are too short", async () => {
  await using backend = new MemoryBackend();
  using _used = useBackend(backend);
  assert.equal((await runCli(["stats", "--no-stream"])).stdout, "");
  const shown = await runCli(["stats", "--no-stream"], { isTTY: true });
  assert.equal(shown.stdout, "No sandbox is running.\n");
  const refused = await runCli(["stats", "--interval", "99ms"]);
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /at least 100ms/);
});
