import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { LocalSandbox } from "../../../../src/backend/local/local_sandbox.ts";
import { reconcile } from "../../../../src/backend/local/reconcile.ts";
import { ownProcess } from "../../../../src/platform/process_identity.ts";
import { type SandboxRecord, StateStore } from "../../../../src/state/state_store.ts";
import { createRunDirectory } from "../../../../src/vmm/run_directory/create_and_sweep.ts";
import { recordEnd } from "../../../../src/vmm/run_directory/end_record.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";
import { FakeHost } from "../../../support/host/in_process_host.ts";

test("LocalSandbox.stop() refuses a grace that cannot be, before it looks for the sandbox", async () => {
  using home = temporaryDirectory();
  const state = new StateStore(home.path);
  const core = new LocalSandbox(state, { id: "none", name: "none" });
  const refused = { code: "invalidConfig", message: /^timeoutMs: / };
  for (const graceMs of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
    await assert.rejects(core.stop(graceMs), refused, String(graceMs));
    await assert.rejects(core.requestStop(graceMs), refused, String(graceMs));
  }
  await assert.rejects(core.stop(2 ** 31 - 1), { code: "sandboxNotFound" });
  state.close();
});

/** A running sandbox in the state database whose host is `host`. */
function recordOf(host: FakeHost, state: StateStore) {
  const key = state.claimCreate({
    id: "test",
    name: "x",
    configJson: "{}",
    imageDigest: "d",
    labels: {},
    runDirectory: join(host.path, ".."),
    host: { ...ownProcess(), startTime: "1.gone" },
  });
  state.transition(key, "ready");
  return key;
}

test("LocalSandbox refuses times that no timer can wait", async () => {
  using home = temporaryDirectory();
  const state = new StateStore(home.path);
  const core = new LocalSandbox(state, { id: "none", name: "none" });
  for (const timeoutMs of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
    const refused = { code: "invalidConfig", message: /^timeoutMs: / };
    await assert.rejects(core.checkHealth(timeoutMs), refused, String(timeoutMs));
    await assert.rejects(core.kill(timeoutMs), refused, String(timeoutMs));
  }
  state.close();
});

test(
  "LocalSandbox takes one connection for all that a process does with a sandbox",
  async () => {
    using home = temporaryDirectory();
    await using host = await FakeHost.start();
    const state = new StateStore(home.path);
    recordOf(host, state);
    const cores = Array.from({ length: 200 }, () => new LocalSandbox(state, { id: "test", name: "x" }));
    const clients = await Promise.all(cores.map((core) => core.connect()));
    assert.equal(new Set(clients).size, 1);
    assert.deepEqual(
      new Set(await Promise.all(cores.map((core) => core.checkHealth(10_000)))),
      new Set([true]),
    );
    clients[0]?.close();
    await clients[0]?.closed;
    const next = await cores[0]?.connect();
    assert.notEqual(next, clients[0], "one that has ended is made anew");
    next?.close();
    state.close();
  },
  { skip: nativeAgentProblem },
);

test(
  "LocalSandbox.stop() waits for as long as it said, however long that is",
  async () => {
    using home = temporaryDirectory();
    await using host = await FakeHost.start();
    const state = new StateStore(home.path);
    const key = recordOf(host, state);
    const core = new LocalSandbox(state, { id: "test", name: "x" });
    const called = host.nextCall();
    let isOver = false;
    const stopped = core.stop(2 ** 31 - 1).then(() => {
      isOver = true;
    });
    await called;
    await new Promise((resolve) => setTimeout(resolve, 50)); // a timer that overflows fires at once
    assert.equal(isOver, false);
    assert.deepEqual(
      host.calls,
      [{ name: "stop", graceMs: 2 ** 31 - 1 }],
      "it was killed before its grace was over",
    );
    state.transition(key, "stopped", { reason: "requested" });
    (await core.connect()).close(); // the end of the VM host process, seen from here
    await stopped;
    state.close();
  },
  { skip: nativeAgentProblem },
);

/** An ephemeral sandbox whose VM host process is gone, but not its engine: the network device is there. */
function startAbandoned(home: StateHome, runDirectory?: string): SandboxRecord {
  const host = { pid: 1, startTime: "1.another boot" };
  const key = home.create("x", { host, config: { ephemeral: true }, runDirectory });
  home.state.transition(key, "ready");
  const range = { first: 1, last: 1, gateway: 0, overlaps: () => false };
  const request = { ...range, sandboxId: key.id, device: "lo", network: "one", holder: host };
  home.state.leases.take(request, () => true);
  return home.state.get("x");
}

/** The lease that is left when `ended` says that the sandbox is over, if the engine ends once its record is gone. */
async function leaseLeft({ state }: StateHome, { id, host }: SandboxRecord, ended: Promise<unknown>) {
  const left = ended.then(() => state.leases.find(id));
  while (state.findById(id) !== undefined) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.ok(host);
  state.leases.release(id, host);
  return await left;
}

test("reconcile() waits for the end of a dead boot's network, as nobody looks again at what was ephemeral", async () => {
  using home = new StateHome();
  const record = startAbandoned(home);
  assert.equal(await leaseLeft(home, record, reconcile(home.state, record)), undefined);
});

test("LocalSandbox.checkHealth() waits for the end of the network of a sandbox that it ends", async () => {
  using home = new StateHome();
  await using host = await FakeHost.listen(); // and greets nobody
  const record = startAbandoned(home, join(host.path, ".."));
  const checked = new LocalSandbox(home.state, record).checkHealth(10);
  const left = leaseLeft(home, record, checked);
  while (home.state.findById(record.id)?.status === "running")
    await new Promise((resolve) => setTimeout(resolve, 1));
  await host.relay.close();
  assert.equal(await left, undefined);
  assert.equal(await checked, false);
});

test("reconcile() believes an end that the VM host process could not record in the state database", async () => {
  using home = new StateHome();
  const runDirectory = createRunDirectory(home.path);
  recordEnd(runDirectory, { action: "stopped", reason: "requested" });
  const host = { pid: 1, startTime: "1.another boot" };
  const key = home.create("x", { host, runDirectory });
  home.state.transition(key, "ready");
  const record = await reconcile(home.state, home.state.get("x"));
  assert.deepEqual([record?.status, record?.statusReason], ["stopped", "requested"]);
  assert.equal(existsSync(runDirectory), false);
});
