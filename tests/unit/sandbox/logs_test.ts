import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { logStream, readLogs, readLogsSnapshot, Sandbox } from "../../../mod.ts";
import { logDirectory } from "../../../src/backend/local/sandbox_directories.ts";
import { openExecLogWriter } from "../../../src/logs/mod.ts";
import { test } from "../../support/harness.ts";
import { StateHome } from "../../support/home/state_home.ts";

/** Writes lines to the logs of a sandbox. */
function write(home: StateHome, name: string, sandboxId: string, lines: readonly string[]): void {
  using writer = openExecLogWriter({ directory: logDirectory(home.path, name), sandboxId });
  for (const line of lines) writer.append("stdout", 1, new TextEncoder().encode(line));
}

async function texts(
  entries: AsyncIterable<{ text(): string }> | Iterable<{ text(): string }>,
): Promise<string[]> {
  const all: string[] = [];
  for await (const entry of entries) all.push(entry.text());
  return all;
}

test("readLogs() and logStream() reject with SandboxNotFoundError if a sandbox has no log directory", async () => {
  using home = new StateHome();
  const key = home.create("x");
  home.state.transition(key, "stopped", { reason: "requested" });
  const handle = await Sandbox.get("x");
  const calls = [
    () => readLogs("x"),
    () => readLogsSnapshot("x", { tail: 1 }),
    () => logStream("x", { follow: true }),
    () => handle.logs(),
    () => handle.logStream(),
    () => readLogs("none"),
    () => logStream("none"),
  ];
  for (const call of calls) await assert.rejects(call, { code: "sandboxNotFound" });
});

test("readLogs() and logStream() read the logs of a sandbox that the database does not know", async () => {
  using home = new StateHome();
  write(home, "lost", "its-id", ["a\n", "b\n"]);
  assert.deepEqual(await texts(await readLogs("lost")), ["a\n", "b\n"]);
  assert.deepEqual(await texts(await logStream("lost", { follow: true })), ["a\n", "b\n"], "and it ends");
  const [first] = await readLogs("lost");
  assert.deepEqual(await texts(await logStream("lost", { fromCursor: first!.cursor })), ["b\n"]);
});

test("readLogs() gives cursors that are good before and after the database was lost", async () => {
  using home = new StateHome();
  const key = home.create("x");
  home.state.transition(key, "stopped", { reason: "requested" });
  write(home, "x", key.id, ["a\n", "b\n"]);
  const [known] = await readLogs("x");
  home.state.remove(key.id, { from: `${home.path}/nothing`, to: `${home.path}/trash` });
  write(home, "x", key.id, ["c\n"]);
  assert.deepEqual(await texts(await logStream("x", { fromCursor: known!.cursor })), ["b\n", "c\n"]);
});

test("readLogs() reads an empty log directory, and refuses a name that no sandbox can have", async () => {
  using home = new StateHome();
  mkdirSync(logDirectory(home.path, "empty"), { recursive: true });
  assert.deepEqual(await readLogs("empty"), []);
  rmSync(logDirectory(home.path, "empty"), { recursive: true });
  await assert.rejects(readLogs("../empty"), { code: "invalidConfig" });
});
