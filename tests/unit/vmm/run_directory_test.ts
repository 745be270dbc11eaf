import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identifyProcess, ownProcess } from "../../../src/platform/process_identity.ts";
import { SOCKET_PATH_BYTES_MAX } from "../../../src/platform/unix_socket.ts";
import { createRunDirectory, sweepRunDirectories } from "../../../src/vmm/run_directories.ts";
import {
  forgetRunDirectory,
  RunFile,
  recordMachine,
  removeRunDirectory,
} from "../../../src/vmm/run_directory.ts";
import { test } from "../../support/harness.ts";

/** A process to be ended. */
async function victim(): Promise<{ pid: number; exited: Promise<unknown>; kill(): void }> {
  const child = spawn("sleep", ["600"], { stdio: "ignore" });
  const exited = new Promise((resolve) => child.once("exit", (_, signal) => resolve(signal)));
  await new Promise((resolve) => child.once("spawn", resolve));
  return { pid: child.pid!, exited, kill: () => void child.kill("SIGTERM") };
}

test("createRunDirectory() makes directories for this user only, each another", () => {
  const [first, second] = [createRunDirectory("/home/run-test"), createRunDirectory("/home/run-test")];
  try {
    assert.notEqual(first, second);
    assert.equal(statSync(first).mode & 0o777, 0o700);
    for (const name of Object.values(RunFile))
      assert.ok(Buffer.byteLength(join(first, name)) <= SOCKET_PATH_BYTES_MAX, name);
  } finally {
    forgetRunDirectory(first);
    forgetRunDirectory(second);
  }
});

test("removeRunDirectory() ends the engine's process that is noted there", async () => {
  const directory = createRunDirectory("/home/run-test");
  const process = await victim();
  recordMachine(directory, identifyProcess(process.pid)!);
  assert.equal(statSync(join(directory, RunFile.machine)).mode & 0o777, 0o600);
  removeRunDirectory(directory);
  assert.equal(await process.exited, "SIGKILL");
  assert.equal(existsSync(directory), false);
  removeRunDirectory(directory); // twice is once
});

test("removeRunDirectory() spares a process that only has the same pid, and a note that makes no sense", async () => {
  const process = await victim();
  const notes = [
    JSON.stringify({ pid: process.pid, startTime: "1.another" }),
    JSON.stringify({ pid: String(process.pid), startTime: 5 }),
    JSON.stringify({ pid: -1, startTime: "" }),
    JSON.stringify([process.pid]),
    `{"pid":${process.pid},"startT`, // cut short by a kill
    "null",
  ];
  for (const note of notes) {
    const directory = createRunDirectory("/home/run-test");
    writeFileSync(join(directory, RunFile.machine), note);
    removeRunDirectory(directory);
    assert.equal(existsSync(directory), false, note);
  }
  process.kill();
  assert.equal(await process.exited, "SIGTERM");
});

test("forgetRunDirectory() leaves the engine's process alone", async () => {
  const directory = createRunDirectory("/home/run-test");
  const process = await victim();
  recordMachine(directory, identifyProcess(process.pid)!);
  forgetRunDirectory(directory);
  assert.equal(existsSync(directory), false);
  process.kill();
  assert.equal(await process.exited, "SIGTERM");
});

test("sweepRunDirectories() removes what a dead process made and nobody has claimed, and nothing else", () => {
  const home = "/home/run-sweep-test";
  const made = [1, 2, 3, 4, 5].map(() => createRunDirectory(home));
  const [orphan, claimed, beingMade, unfinished, abandoned] = made;
  const gone = JSON.stringify({ pid: 1, startTime: "1.another" });
  for (const directory of [orphan!, claimed!]) writeFileSync(join(directory, RunFile.keeper), gone);
  rmSync(join(unfinished!, RunFile.keeper)); // a power cut took it, a moment ago
  rmSync(join(abandoned!, RunFile.keeper)); // and long ago
  const hourAgo = new Date(Date.now() - 3_600_000);
  utimesSync(abandoned!, hourAgo, hourAgo);
  try {
    sweepRunDirectories(home, () => new Set([claimed, undefined]));
    assert.deepEqual(
      made.map((directory) => existsSync(directory)),
      [false, true, true, true, false],
    );
  } finally {
    rmSync(join(beingMade!, ".."), { recursive: true });
  }
});

test("sweepRunDirectories() asks for what is known only behind the look at what there is", () => {
  const home = "/home/run-sweep-test";
  const directory = createRunDirectory(home);
  try {
    sweepRunDirectories(home, () => assert.fail("nobody has died"));
    const gone = JSON.stringify({ pid: 1, startTime: "1.another" });
    writeFileSync(join(directory, RunFile.keeper), gone);
    let later = "";
    sweepRunDirectories(home, () => {
      later = createRunDirectory(home); // claimed by now, and unknown to who asked before
      writeFileSync(join(later, RunFile.keeper), gone);
      return new Set([directory]);
    });
    assert.deepEqual([existsSync(directory), existsSync(later)], [true, true]);
  } finally {
    rmSync(join(directory, ".."), { recursive: true });
  }
});

test("sweepRunDirectories() removes at once what a kill left half made or half removed", () => {
  const home = "/home/run-sweep-test";
  const root = join(createRunDirectory(home), "..");
  const own = ownProcess();
  const left = join(root, `${own.pid}-1.another-0`);
  const inWork = join(root, `${own.pid}-${own.startTime}-999999`);
  for (const directory of [left, inWork]) mkdirSync(directory);
  writeFileSync(join(left, RunFile.console), "half");
  try {
    sweepRunDirectories(home, () => new Set());
    assert.deepEqual([existsSync(left), existsSync(inWork)], [false, true]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
