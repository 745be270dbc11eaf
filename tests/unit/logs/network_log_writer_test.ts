import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openExecLogWriter } from "../../../src/logs/exec_log_writer.ts";
import { openLogStream } from "../../../src/logs/log_stream.ts";
import { openNetworkLogWriter } from "../../../src/logs/network_log_writer.ts";
import { readLogDirectory, readLogDirectorySnapshot } from "../../../src/logs/read_logs.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const sandboxId = "network-log";

test("records of network.log are read when they are asked for, and their cursors continue", async () => {
  using directory = temporaryDirectory();
  const logs = { directory: directory.path, sandboxId };
  using exec = openExecLogWriter(logs);
  using writer = openNetworkLogWriter(logs);
  exec.append("stdout", 1, Buffer.from("program\n"));
  for (let port = 1; port <= 3; port++) writer.append({ kind: "flow", port });
  const texts = async (sources?: ("network" | "all")[]) =>
    (await readLogDirectory(logs, { sources })).map((entry) => [entry.source, entry.text()]);
  assert.deepEqual(await texts(), [["stdout", "program\n"]]);
  const expected = [1, 2, 3].map((port) => ["network", `{"kind":"flow","port":${port}}\n`]);
  assert.deepEqual(await texts(["network"]), expected);
  assert.equal((await texts(["all"])).length, 4);
  const { entries } = await readLogDirectorySnapshot(logs, { sources: ["network"] });
  const source = { ...logs, isTerminal: async () => true };
  const fromCursor = entries[1]?.cursor;
  await using stream = await openLogStream(source, { sources: ["network"], fromCursor, follow: true });
  assert.equal((await stream.recv())?.text(), expected[2]?.[1]);
  assert.equal(await stream.recv(), null);
});

test("what network.log loses is counted, and written down when there is room again", async () => {
  using directory = temporaryDirectory();
  const logs = { directory: join(directory.path, "logs"), sandboxId };
  writeFileSync(logs.directory, ""); // no directory can be made there
  let now = 1_000;
  using writer = openNetworkLogWriter({ ...logs, clock: () => now });
  writer.append({ kind: "flow" });
  writer.append({ kind: "flow", text: "x".repeat(65 * 1024) });
  writer.lose(5);
  assert.equal(writer.lostRecords, 7);
  rmSync(logs.directory);
  mkdirSync(logs.directory);
  now += 10_000;
  await new Promise((resolve) => setTimeout(resolve, 1_100)); // the writer tries again by the monotonic clock
  writer.append({ kind: "flow" });
  const entries = await readLogDirectory(logs, { sources: ["network"] });
  assert.deepEqual(
    entries.map((entry) => entry.text()),
    ['{"kind":"lost","records":7}\n', '{"kind":"flow"}\n'],
  );
  assert.equal(writer.lostRecords, 7);
});
