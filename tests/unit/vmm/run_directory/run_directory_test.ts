import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identifyProcess, isZombie, ownProcess } from "../../../../src/platform/process_identity.ts";
import { SOCKET_PATH_BYTES_MAX } from "../../../../src/platform/unix_socket.ts";
import {
  createRunDirectory,
  sweepRunDirectories,
} from "../../../../src/vmm/run_directory/create_and_sweep.ts";
import { endMachine } from "../../../../src/vmm/run_directory/dead_boot.ts";
import {
  forgetRunDirectory,
  RunFile,
  readIdentity,
  recordMachine,
  removeRunDirectory,
} from "../../../../src/vmm/run_directory/run_directory.ts";
import { test } from "../../../support/harness.ts";
import { runRoot } from "../../../support/processes.ts";

/** A home that is not there, whose run root is nobody else's: other runs of these tests may be under way. */
class RunHome implements Disposable {
  readonly path = `/home/${randomUUID()}`;

  [Symbol.dispose](): void {
    rmSync(runRoot(this.path), { recursive: true, force: true });
  }
}

/** A process to be ended. */
async function victim(): Promise<{ pid: number; exited: Promise<unknown>; kill(): void }> {
  const child = spawn("sleep", ["600"], { stdio: "ignore" });
  const exited = new Promise((resolve) => child.once("exit", (_, signal) => resolve(signal)));
  await new Promise((resolve) => child.once("spawn", resolve));
  return { pid: child.pid!, exited, kill: () => void child.kill("SIGTERM") };
}

test("createRunDirectory() makes directories for this user only, each another", () => {
  using home = new RunHome();
  const [first, second] = [createRunDirectory(home.path), createRunDirectory(home.path)];
  assert.notEqual(first, second);
  assert.equal(statSync(first).mode & 0o777, 0o700);
  for (const name of Object.values(RunFile))
    assert.ok(Buffer.byteLength(join(first, name)) <= SOCKET_PATH_BYTES_MAX, name);
});

test("removeRunDirectory() ends the engine's process that is noted there", async () => {
  using home = new RunHome();
  const directory = createRunDirectory(home.path);
  const process = await victim();
  recordMachine(directory, identifyProcess(process.pid)!);
  assert.equal(statSync(join(directory, RunFile.machine)).mode & 0o777, 0o600);
  removeRunDirectory(directory);
  assert.equal(await process.exited, "SIGKILL");
  assert.equal(existsSync(directory), false);
  removeRunDirectory(directory); // twice is once
});

test("endMachine() resolves once the engine's process is gone, which had the disks open", async () => {
  using home = new RunHome();
  const directory = createRunDirectory(home.path);
  await endMachine(directory); // no machine runs yet
  const process = await victim();
  const machine = identifyProcess(process.pid)!;
  recordMachine(directory, machine);
  await endMachine(directory);
  assert.equal(identifyProcess(machine.pid)?.startTime === machine.startTime, false);
  assert.equal(isZombie(machine), false);
  assert.ok(existsSync(directory), "what the engine wrote last is still to be read");
  await endMachine(join(home.path, "elsewhere"));
});

test("removeRunDirectory() spares a process that only has the same pid, and a note that makes no sense", async () => {
  using home = new RunHome();
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
    const directory = createRunDirectory(home.path);
    writeFileSync(join(directory, RunFile.machine), note);
    removeRunDirectory(directory);
    assert.equal(existsSync(directory), false, note);
  }
  process.kill();
  assert.equal(await process.exited, "SIGTERM");
});

test("forgetRunDirectory() leaves the engine's process alone", async () => {
  using home = new RunHome();
  const directory = createRunDirectory(home.path);
  const process = await victim();
  recordMachine(directory, identifyProcess(process.pid)!);
  forgetRunDirectory(directory);
  assert.equal(existsSync(directory), false);
  process.kill();
  assert.equal(await process.exited, "SIGTERM");
});

test("sweepRunDirectories() removes what a dead process made and nobody has claimed, and nothing else", () => {
  using home = new RunHome();
  const made = [1, 2, 3, 4, 5].map(() => createRunDirectory(home.path));
  const [orphan, claimed, , unfinished, abandoned] = made; // the third is still being made
  const gone = JSON.stringify({ pid: 1, startTime: "1.another" });
  for (const directory of [orphan!, claimed!]) writeFileSync(join(directory, RunFile.keeper), gone);
  rmSync(join(unfinished!, RunFile.keeper)); // a power cut took it, a moment ago
  rmSync(join(abandoned!, RunFile.keeper)); // and long ago
  const hourAgo = new Date(Date.now() - 3_600_000);
  utimesSync(abandoned!, hourAgo, hourAgo);
  sweepRunDirectories(home.path, () => new Set([claimed, undefined]));
  assert.deepEqual(
    made.map((directory) => existsSync(directory)),
    [false, true, true, true, false],
  );
});

test("sweepRunDirectories() asks for what is known only behind the look at what there is", () => {
  using home = new RunHome();
  const directory = createRunDirectory(home.path);
  sweepRunDirectories(home.path, () => assert.fail("nobody has died"));
  const gone = JSON.stringify({ pid: 1, startTime: "1.another" });
  writeFileSync(join(directory, RunFile.keeper), gone);
  let later = "";
  sweepRunDirectories(home.path, () => {
    later = createRunDirectory(home.path); // claimed by now, and unknown to who asked before
    writeFileSync(join(later, RunFile.keeper), gone);
    return new Set([directory]);
  });
  assert.deepEqual([existsSync(directory), existsSync(later)], [true, true]);
});

test("sweepRunDirectories() removes at once what a kill left half made or half removed", () => {
  using home = new RunHome();
  const root = join(createRunDirectory(home.path), "..");
  const own = ownProcess();
  const left = join(root, `${own.pid}-1.another-0`);
  const inWork = join(root, `${own.pid}-${own.startTime}-999999`);
  for (const directory of [left, inWork]) mkdirSync(directory);
  writeFileSync(join(left, RunFile.console), "half");
  sweepRunDirectories(home.path, () => new Set());
  assert.deepEqual([existsSync(left), existsSync(inWork)], [false, true]);
});

test("readIdentity() takes no file that cannot be read for one that is not there", () => {
  using home = new RunHome();
  const directory = createRunDirectory(home.path);
  assert.deepEqual(readIdentity(join(directory, RunFile.keeper)), ownProcess());
  assert.equal(readIdentity(join(directory, "none")), undefined);
  mkdirSync(join(directory, RunFile.machine)); // stands for any error, such as EMFILE
  assert.throws(() => readIdentity(join(directory, RunFile.machine)), { code: "io", errno: "EISDIR" });
  assert.throws(() => removeRunDirectory(directory), { code: "io" });
  assert.equal(existsSync(directory), true, "its engine may be running");
});

test("sweepRunDirectories() also finds what was left in another place for sockets", () => {
  using home = new RunHome();
  const before = process.env["XDG_RUNTIME_DIR"];
  const runtime = join(createRunDirectory(home.path), "..", "runtime");
  mkdirSync(runtime, { mode: 0o700 });
  try {
    process.env["XDG_RUNTIME_DIR"] = runtime;
    sweepRunDirectories(home.path, () => assert.fail("nothing to sweep"));
    const left = createRunDirectory(home.path);
    assert.ok(left.startsWith(runtime));
    process.env["XDG_RUNTIME_DIR"] = before ?? "";
    const gone = JSON.stringify({ pid: 1, startTime: "1.another" });
    const usual = createRunDirectory(home.path);
    for (const directory of [left, usual]) writeFileSync(join(directory, RunFile.keeper), gone);
    process.env["XDG_RUNTIME_DIR"] = runtime;
    sweepRunDirectories(home.path, () => new Set());
    assert.deepEqual([existsSync(left), existsSync(usual)], [false, before !== undefined]);
  } finally {
    if (before === undefined) delete process.env["XDG_RUNTIME_DIR"];
    else process.env["XDG_RUNTIME_DIR"] = before;
  }
});
