import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openExecLogWriter } from "../../../../src/logs/exec_log_writer.ts";
import { openLogStream } from "../../../../src/logs/log_stream.ts";
import { crashedText, SANDBOX_STARTED_TEXT, SANDBOX_STOPPED_TEXT } from "../../../../src/logs/markers.ts";
import { readLogDirectory } from "../../../../src/logs/read_logs.ts";
import { identifyProcess } from "../../../../src/platform/process_identity.ts";
import { SandboxLogs } from "../../../../src/vmm/host/sandbox_logs.ts";
import { buryBoot } from "../../../../src/vmm/run_directory/dead_boot.ts";
import { recordMachine, removeRunDirectory } from "../../../../src/vmm/run_directory/run_directory.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

const CRASHED = crashedText("its VM host process ended without a word");
const isTerminal = () => Promise.resolve(false);

/** A directory in a run root of ours that is in `root`. */
function runDirectoryIn(root: string): string {
  const run = join(root, `msb-${process.getuid?.()}-0123456789ab`, "run");
  mkdirSync(run, { recursive: true, mode: 0o700 });
  return run;
}

/** A boot that has written its first records, and what its VM host process leaves when it is killed. */
function killedBoot(root: string) {
  const run = runDirectoryIn(root);
  const logs = { directory: join(root, "logs"), sandboxId: "0198c2f0-sandbox" };
  writeFileSync(join(run, "console"), "Kernel panic\n");
  const writer = openExecLogWriter(logs);
  writer.system(SANDBOX_STARTED_TEXT);
  writer.append("stdout", 1, new TextEncoder().encode("hello\n"));
  return { run, logs, writer };
}

async function textsOf(logs: { directory: string; sandboxId: string }): Promise<string[]> {
  return (await readLogDirectory(logs, { sources: ["all"] })).map((entry) => entry.text().trim());
}

test("buryBoot() ends the log of a killed boot with its last words and the mark of a crash", async () => {
  using root = temporaryDirectory();
  const { run, logs, writer } = killedBoot(root.path);
  writer.close();
  appendFileSync(join(logs.directory, "exec.log"), '{"t":"2026-01'); // what a kill leaves
  buryBoot(run, logs, "crashed");
  const texts = await textsOf(logs);
  assert.deepEqual(texts.toSorted(), [CRASHED, SANDBOX_STARTED_TEXT, "Kernel panic", "hello"]);
  assert.equal(texts.at(-1), CRASHED);
  assert.equal(existsSync(run), false);
});

test("buryBoot() calls a sandbox stopped in its log that was killed on purpose", async () => {
  using root = temporaryDirectory();
  const { run, logs, writer } = killedBoot(root.path);
  writer.close();
  buryBoot(run, logs, "stopped");
  assert.equal((await textsOf(logs)).at(-1), SANDBOX_STOPPED_TEXT);
});

test("buryBoot() writes no second end into a log that has one", async () => {
  using root = temporaryDirectory();
  const { run, logs, writer } = killedBoot(root.path);
  writer.system(SANDBOX_STOPPED_TEXT);
  writer.close();
  buryBoot(run, logs, "crashed");
  assert.equal(
    (await textsOf(logs)).filter((text) => text === SANDBOX_STOPPED_TEXT || text === CRASHED).length,
    1,
  );
});

test("SandboxLogs.ended() puts the mark of the end behind a character that a program never finished", async () => {
  using root = temporaryDirectory();
  const [run, directory] = [join(root.path, "run"), join(root.path, "logs")];
  mkdirSync(run);
  const boot = new SandboxLogs(directory, "0198c2f0-sandbox", run);
  boot.exec.append("stdout", 1, new Uint8Array([0x61, 0xe2, 0x82]));
  boot.ended("stopped", "requested");
  assert.deepEqual(await textsOf({ directory, sandboxId: "0198c2f0-sandbox" }), [
    "a",
    "\ufffd",
    SANDBOX_STOPPED_TEXT,
  ]);
});

test("buryBoot() and removeRunDirectory() take no other directory for a run directory, whatever a record says", async () => {
  using root = temporaryDirectory();
  const { logs, writer } = killedBoot(root.path);
  writer.close();
  const victim = spawn("sleep", ["600"], { stdio: "ignore" });
  const exited = new Promise((resolve) => victim.once("exit", (_, signal) => resolve(signal)));
  await new Promise((resolve) => victim.once("spawn", resolve));
  const chosen = join(root.path, "documents");
  mkdirSync(chosen);
  recordMachine(chosen, identifyProcess(victim.pid!)!);
  writeFileSync(join(chosen, "console"), "a secret\n");
  buryBoot(chosen, logs, "crashed");
  removeRunDirectory(chosen);
  assert.equal(existsSync(chosen), true);
  assert.deepEqual(await textsOf(logs), [SANDBOX_STARTED_TEXT, "hello"]);
  victim.kill("SIGTERM");
  assert.equal(await exited, "SIGTERM");
});

test("buryBoot() makes no log of a boot that wrote none", () => {
  using root = temporaryDirectory();
  const run = runDirectoryIn(root.path);
  buryBoot(run, { directory: join(root.path, "logs"), sandboxId: "x" }, "crashed");
  assert.deepEqual([existsSync(run), existsSync(join(root.path, "logs"))], [false, false]);
});

test("LogStream ends in good order when a sandbox is killed and then removed", async () => {
  using root = temporaryDirectory();
  const { run, logs, writer } = killedBoot(root.path);
  await using stream = await openLogStream({ ...logs, isTerminal }, { follow: true });
  assert.equal((await stream.recv())?.text(), "hello\n");
  const next = stream.recv();
  writer.close();
  buryBoot(run, logs, "crashed");
  rmSync(logs.directory, { recursive: true });
  assert.equal(await next, null);
});
