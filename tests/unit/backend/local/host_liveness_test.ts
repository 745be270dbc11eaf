/** The VM host process of a record, seen from outside; a child that sleeps stands in for it. @module */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import {
  hasEnded,
  hasHost,
  isAlive,
  isDeadWithin,
  isOutOfReach,
} from "../../../../src/backend/local/host_liveness.ts";
import { LocalSandbox } from "../../../../src/backend/local/local_sandbox.ts";
import { identifyProcess, isZombie, ownProcess } from "../../../../src/platform/process_identity.ts";
import { holdSandboxLock } from "../../../../src/vmm/run_directory/sandbox_lock.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";
import { FakeHost } from "../../../support/host/in_process_host.ts";
import { eventually } from "../../../support/processes.ts";

const HOUR_MS = 3_600_000;
const SHORT_MS = 100;

/** The wall clock is an hour ahead from its second reading on, as when it was set meanwhile. */
function setClock(): Disposable {
  const { now } = Date;
  let readings = 0;
  Date.now = () => now() + (readings++ === 0 ? 0 : HOUR_MS);
  return {
    [Symbol.dispose]() {
      Date.now = now;
    },
  };
}

async function startSleeper(): Promise<ChildProcess & Disposable> {
  const child = spawn("sleep", ["600"], { stdio: "ignore" });
  await once(child, "spawn");
  return Object.assign(child, { [Symbol.dispose]: () => void child.kill("SIGKILL") });
}

test("LocalSandbox.settle() waits for the end of a VM host process though the clock is set", async () => {
  using home = new StateHome();
  using sleeper = await startSleeper();
  const host = identifyProcess(sleeper.pid ?? 0);
  assert.ok(host);
  const key = home.create("x", { host });
  home.state.transition(key, "stopped");
  const record = home.state.get("x");
  using _ = setClock();
  const settled = new LocalSandbox(home.state, record).settle(record);
  setTimeout(() => sleeper.kill("SIGKILL"), SHORT_MS);
  await settled;
});

test("hasEnded() and isDeadWithin() wait for as long as they are told though the clock is set", async () => {
  await using host = await FakeHost.listen();
  using sleeper = await startSleeper();
  using home = new StateHome();
  const boot = { id: "x", bootNumber: 1, runDirectory: dirname(host.path) };
  for (const wait of [
    () => hasEnded(home.state, { ...boot, host: identifyProcess(sleeper.pid ?? 0) }, SHORT_MS),
    () => isDeadWithin(home.state, { ...boot, host: undefined }, SHORT_MS),
  ]) {
    using _ = setClock();
    const begin = performance.now();
    await wait();
    assert.ok(performance.now() - begin >= SHORT_MS);
  }
});

test("LocalSandbox.settle() does not wait for the end of a boot that another process has begun since", async () => {
  using home = new StateHome();
  const key = home.create("x", { host: { pid: 2 ** 30, startTime: "1.none" } });
  home.state.transition(key, "stopped");
  const record = home.state.get("x");
  using lock = await holdSandboxLock(home.path, record.id, () => true);
  assert.ok(lock !== undefined);
  // A host process has the lock before it claims the next boot: until then it may be that of the last one.
  assert.ok(hasHost(home.state, record) && isOutOfReach(home.state, record));
  assert.ok(await isAlive(home.state, record));
  const settled = new LocalSandbox(home.state, record).settle(record);
  const next = { runDirectory: `${home.path}/no-run-directory`, host: ownProcess() };
  assert.ok(home.state.claimStart(record, next) !== undefined);
  await settled;
  assert.ok(!hasHost(home.state, record) && !isOutOfReach(home.state, record));
  assert.ok(!(await isAlive(home.state, record)) && (await isDeadWithin(home.state, record, SHORT_MS)));
  const present = home.state.get("x");
  assert.ok(hasHost(home.state, { ...present, host: undefined }), "the lock is that of the present boot");
});

test(
  "isOutOfReach() does not take a host that is ending for one of another PID namespace",
  async () => {
    using home = new StateHome();
    // No process waits for the child: it stays a zombie, as a process does while its other threads are not done.
    const parent = spawn("sh", ["-c", "sleep 600 & echo $!; exec sleep 600"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [line] = await once(parent.stdout, "data");
    const pid = Number(String(line));
    const host = identifyProcess(pid);
    assert.ok(host);
    await eventually(() => assert.equal(readFileSync(`/proc/${parent.pid}/comm`, "utf8"), "sleep\n"));
    home.create("x", { host });
    const record = home.state.get("x");
    using lock = await holdSandboxLock(home.path, record.id, () => true);
    assert.ok(lock !== undefined);
    process.kill(pid, "SIGKILL");
    await eventually(() => assert.ok(isZombie(host)));
    assert.ok(hasHost(home.state, record), "its lock is held");
    assert.ok(!isOutOfReach(home.state, record));
    parent.kill("SIGKILL");
  },
  { skip: process.platform === "linux" ? undefined : "/proc is Linux's" },
);
