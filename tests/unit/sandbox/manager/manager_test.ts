/**
 * The manager's bookkeeping, with no VM: its creations fail, as there is no such image.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  DatabaseError,
  InvalidConfigError,
  type ManagedState,
  Sandbox,
  SandboxAlreadyExistsError,
  SandboxManager,
  SandboxNotFoundError,
  SandboxNotRunningError,
  Snapshot,
} from "../../../../mod.ts";
import { homePaths } from "../../../../src/platform/home.ts";
import { SandboxMap, stopAll } from "../../../../src/sandbox/manager/sandbox_map.ts";
import { SandboxReplacedError } from "../../../../src/state/errors.ts";
import { test } from "../../../support/harness.ts";
import { failEvents } from "../../../support/home/fail_events.ts";
import { StateHome } from "../../../support/home/state_home.ts";

const SPEC = { image: "/no/image" };

test("SandboxManager.createSandbox() gives a name to one of two that ask at once", async () => {
  using _ = new StateHome();
  await using manager = new SandboxManager();
  const spec = { ...SPEC, name: "same" };
  const calls = await Promise.allSettled([manager.createSandbox(spec), manager.createSandbox(spec)]);
  assert.deepEqual(
    calls.map(({ status }) => status),
    ["fulfilled", "rejected"],
  );
  assert.ok(calls[1]?.status === "rejected" && calls[1].reason instanceof SandboxAlreadyExistsError);
});

test("SandboxManager.removeSandbox() with force takes a creation back that waits its turn, at once", async () => {
  using _ = new StateHome();
  await using manager = new SandboxManager({ bootsMax: 1 });
  const first = await manager.createSandbox(SPEC);
  const queued = await manager.createSandbox(SPEC);
  await manager.removeSandbox(queued.id, true);
  assert.equal((await manager.inspectSandbox(first.id)).state, "starting", "its turn is not over");
  await assert.rejects(manager.inspectSandbox(queued.id), SandboxNotFoundError);
});

test("SandboxManager keeps a creation that failed when the state could not be written", async () => {
  using home = new StateHome();
  await using manager = new SandboxManager();
  const restore = makeUnwritable(home.path);
  const { id } = await manager.createSandbox(SPEC);
  await assert.rejects(manager.runInSandbox(id, { cmd: ["true"] }), SandboxNotRunningError);
  const { state, error } = await manager.inspectSandbox(id);
  assert.equal(state, "failed");
  assert.ok(error !== undefined && !error.includes("no space"), `why it failed, not what followed: ${error}`);
  await assert.rejects(manager.removeSandbox(id), DatabaseError);
  assert.equal((await manager.inspectSandbox(id)).state, "failed", "it is not forgotten");
  restore();
  await manager.removeSandbox(id);
  await assert.rejects(manager.inspectSandbox(id), SandboxNotFoundError);
});

test("SandboxManager tells who is running, and since when, though the events of that are not kept any more", async () => {
  using home = new StateHome();
  const { state } = home;
  const key = home.create("long-runner");
  state.transition(key, "ready");
  state.note(key, [{ action: "running", attributes: {} }]);
  const raw = new DatabaseSync(homePaths(home.path).state);
  raw.exec("DELETE FROM event"); // as if pushed out by later ones
  raw.close();
  home.create("another");
  assert.equal(state.eventLog.latest(key.id, ["ready", "running"]), undefined, "they are gone");
  await using manager = new SandboxManager();
  const [listed, info] = await Promise.all([
    manager.listSandboxes("running"),
    manager.inspectSandbox(key.id),
  ]);
  assert.deepEqual(
    listed.map(({ name }) => name),
    ["long-runner"],
  );
  assert.equal(info.state, "running");
  assert.ok(info.readyAt !== undefined);
});

test("SandboxManager.createSandbox() returns the address that inspectSandbox() tells", async () => {
  using _ = new StateHome();
  await using manager = new SandboxManager();
  for (const network of ["user", "none"] as const) {
    const { id, ip } = await manager.createSandbox({ ...SPEC, network });
    const inspected = await manager.inspectSandbox(id);
    assert.equal(inspected.network?.ipAddress ?? "", ip, network);
  }
});

test("SandboxManager refuses what can be no state, labels, id or program", async () => {
  using _ = new StateHome();
  await using manager = new SandboxManager();
  const refused = (field: string) => (error: unknown) =>
    error instanceof InvalidConfigError && error.issues.every((issue) => issue.field.startsWith(field));
  const many = Object.fromEntries(Array.from({ length: 1_100 }, (_, index) => [`key${index}`, "x"]));
  await assert.rejects(manager.listSandboxes("bogus" as ManagedState), refused("state"));
  await assert.rejects(manager.listSandboxes(undefined, many), refused("labels"));
  await assert.rejects(manager.listSandboxes(undefined, { a: 1 } as never), refused("labels.a"));
  await assert.rejects(manager.inspectSandbox(undefined as never), refused("id"));
  await assert.rejects(manager.stopSandbox(7 as never), refused("id"));
  await assert.rejects(manager.removeSandbox(undefined as never, true), refused("id"));
  const { id } = await manager.createSandbox(SPEC);
  for (const options of [{}, { cmd: [] }, { cmd: "true" }, { cmd: [1] }]) {
    await assert.rejects(manager.runInSandbox(id, options as never), refused("cmd"));
    await assert.rejects(manager.execInSandbox(id, options as never), refused("cmd"));
  }
  await assert.rejects(manager.runInSandbox(id, undefined as never), InvalidConfigError);
});

test("Sandbox.list() and Snapshot.list() refuse more labels than there can be", async () => {
  using _ = new StateHome();
  const labels = Object.fromEntries(Array.from({ length: 1_100 }, (_, index) => [`key${index}`, "x"]));
  await assert.rejects(Promise.resolve(Sandbox.list({ labels })), InvalidConfigError);
  await assert.rejects(Snapshot.list({ labels }), InvalidConfigError);
});

/** From now on no event and no lease can be written in a home, until what this returns is called. */
function makeUnwritable(home: string): () => void {
  const repair = failEvents(home);
  const raw = new DatabaseSync(homePaths(home).state);
  raw.exec("ALTER TABLE lease RENAME TO lease_away");
  return () => {
    raw.exec("ALTER TABLE lease_away RENAME TO lease");
    raw.close();
    repair();
  };
}

test("SandboxMap drops what is no longer in use as it grows", async () => {
  const inUse = new Set<string>();
  const map = new SandboxMap<number>(async (id) => inUse.has(id));
  for (let i = 0; i < 10_000; i++) {
    inUse.add(`${i}`).delete(`${i - 10}`);
    map.set(`${i}`, i);
    if (i % 10 === 0) await nextTurn();
    assert.ok(map.size <= 128, `${map.size} entries for ${inUse.size} sandboxes`);
  }
  for (const id of inUse) assert.equal(map.get(id), Number(id));
});

test("stopAll() waits for all, and takes one that is gone for stopped", async () => {
  const gate = Promise.withResolvers<void>();
  const stopped: string[] = [];
  const slow = async () => {
    await gate.promise;
    stopped.push("slow");
  };
  const stops = [
    () => Promise.reject(new SandboxNotFoundError("gone")),
    () => Promise.reject(new SandboxReplacedError("replaced")),
    slow,
  ].map((stop) => ({ [Symbol.asyncDispose]: stop }));
  setTimeout(gate.resolve, 0);
  await stopAll(stops);
  assert.deepEqual(stopped, ["slow"]);
  const failing = { [Symbol.asyncDispose]: () => Promise.reject(new Error("no answer")) };
  await assert.rejects(stopAll([failing, { [Symbol.asyncDispose]: slow }]), /no answer/);
  assert.deepEqual(stopped, ["slow", "slow"], "the others are stopped all the same");
});
