import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ownProcess } from "../../../src/platform/process_identity.ts";
import { type BootKey, StateStore } from "../../../src/state/state_store.ts";
import { isLive, LIVE_STATUSES, type SandboxAction, type SandboxStatus } from "../../../src/state/status.ts";
import { test } from "../../support/harness.ts";
import { BOOT, claimOf } from "../../support/home/claims.ts";
import { openHome } from "../../support/home/open_home.ts";

type Step = Exclude<SandboxAction, "created" | "starting">;

/** How to bring a new sandbox into each status. */
const WAYS: Readonly<Record<SandboxStatus, readonly Step[]>> = {
  creating: [],
  running: ["ready"],
  paused: ["ready", "paused"],
  draining: ["ready", "stopping"],
  stopped: ["ready", "stopped"],
  crashed: ["crashed"],
};

/** What each action makes of each status; nothing where it is refused. */
const OUTCOMES: Readonly<Record<SandboxStatus, Readonly<Partial<Record<Step | "starting", SandboxStatus>>>>> =
  {
    creating: { ready: "running", stopping: "draining", stopped: "stopped", crashed: "crashed" },
    running: { paused: "paused", stopping: "draining", stopped: "stopped", crashed: "crashed" },
    paused: { resumed: "running", stopping: "draining", stopped: "stopped", crashed: "crashed" },
    draining: { stopped: "stopped", crashed: "crashed" },
    stopped: { starting: "creating" },
    crashed: { starting: "creating" },
  };

const STEPS: readonly Step[] = ["ready", "paused", "resumed", "stopping", "stopped", "crashed"];

function statusOf(state: StateStore, { id }: BootKey): SandboxStatus | undefined {
  return state.findById(id)?.status;
}

/** A sandbox in `status`. */
function sandboxIn(state: StateStore, status: SandboxStatus, name = `in-${status}`): BootKey {
  const key = state.claimCreate(claimOf(name));
  for (const step of WAYS[status]) assert.equal(state.transition(key, step), true);
  assert.equal(statusOf(state, key), status);
  return key;
}

for (const [status, outcomes] of Object.entries(OUTCOMES) as [
  SandboxStatus,
  (typeof OUTCOMES)["running"],
][]) {
  test(`StateStore.transition() of a ${status} sandbox leads where the table says, and nowhere else`, () => {
    using home = openHome();
    const { state } = home;
    for (const step of STEPS) {
      const key = sandboxIn(state, status, `${status}-${step}`);
      const expected = outcomes[step];
      const before = state.eventLog.range().newest;
      assert.equal(state.transition(key, step, { reason: "why" }), expected !== undefined, step);
      assert.equal(statusOf(state, key), expected ?? status, step);
      const events = state.eventLog.read({ after: before, limit: 10 }).events;
      assert.deepEqual(
        events.map(({ action, attributes }) => [action, attributes]),
        expected === undefined ? [] : [[step, { reason: "why" }]],
      );
    }
  });

  test(`StateStore.claimStart() of a ${status} sandbox ${outcomes.starting ? "makes its next boot" : "is refused"}`, () => {
    using home = openHome();
    const { state } = home;
    const key = sandboxIn(state, status);
    const next = state.claimStart(key, { ...BOOT, runDirectory: "/run/next" });
    assert.deepEqual(next, outcomes.starting ? { id: key.id, bootNumber: 2 } : undefined);
    const record = state.findById(key.id)!;
    assert.equal(record.status, outcomes.starting ?? status);
    assert.equal(record.runDirectory, outcomes.starting ? "/run/next" : "/run/x");
  });

  test(`StateStore.remove() of a ${status} sandbox ${isLive(status) ? "is refused" : "removes it"}`, () => {
    using home = openHome();
    const { state, path } = home;
    const key = sandboxIn(state, status);
    const move = { from: join(path, "place"), to: join(path, "trash") };
    mkdirSync(move.from);
    assert.equal(state.remove(key.id, move), isLive(status) ? "live" : "removed");
    assert.equal(existsSync(move.from), isLive(status));
    assert.equal(existsSync(move.to), !isLive(status));
    assert.equal(state.remove("no such id", move), "absent");
  });
}

test("LIVE_STATUSES are those that cannot be started", () => {
  for (const [status, outcomes] of Object.entries(OUTCOMES) as [
    SandboxStatus,
    (typeof OUTCOMES)["running"],
  ][])
    assert.equal(LIVE_STATUSES.includes(status), outcomes.starting === undefined, status);
});

test("StateStore.claimCreate() records everything that it was told", () => {
  using home = openHome();
  const { state } = home;
  const claim = claimOf("full", {
    configJson: '{"a":1}',
    imageDigest: "sha",
    labels: { team: "blue", "a.b/c": "ünï" },
    host: { pid: 77, startTime: "5.x" },
  });
  const before = Date.now();
  const key = state.claimCreate(claim);
  const record = state.get("full");
  assert.deepEqual(key, { id: claim.id, bootNumber: 1 });
  assert.ok(record.createdAt.getTime() >= before && record.createdAt.getTime() <= Date.now());
  const { createdAt, updatedAt, ...rest } = record;
  assert.deepEqual(updatedAt, createdAt);
  assert.deepEqual(rest, {
    id: claim.id,
    name: "full",
    status: "creating",
    statusReason: undefined,
    bootNumber: 1,
    configJson: '{"a":1}',
    imageDigest: "sha",
    runDirectory: "/run/x",
    host: { pid: 77, startTime: "5.x" },
    readyAt: undefined,
    isBusy: false,
    idleAt: undefined,
    idleExitCode: undefined,
    labels: { "a.b/c": "ünï", team: "blue" },
  });
});

test("StateStore.claimCreate() refuses a taken name in any status, and leaves no trace of the attempt", () => {
  using home = openHome();
  const { state } = home;
  for (const status of Object.keys(WAYS) as SandboxStatus[]) {
    sandboxIn(state, status, status);
    const before = state.eventLog.range().newest;
    assert.throws(() => state.claimCreate(claimOf(status, { labels: { a: "b" } })), {
      code: "sandboxAlreadyExists",
      sandbox: status,
    });
    assert.equal(state.eventLog.range().newest, before);
  }
  assert.deepEqual(state.list({ labels: { a: "b" } }), []);
});

test("StateStore.transition() takes no late event of an earlier boot", () => {
  using home = openHome();
  const { state } = home;
  const first = sandboxIn(state, "crashed");
  const second = state.claimStart(first, BOOT)!;
  state.transition(second, "ready");
  for (const step of STEPS) assert.equal(state.transition(first, step), false, step);
  assert.equal(state.transition({ ...second, bootNumber: 3 }, "stopped"), false);
  assert.equal(statusOf(state, second), "running");
  state.note(first, [{ action: "idle", attributes: {} }]);
  assert.notEqual(state.eventLog.latest(first.id, ["idle", "ready"])?.action, "idle");
});

test("StateStore.transition() does nothing to a sandbox that is gone", () => {
  using home = openHome();
  const { state, path } = home;
  const key = sandboxIn(state, "stopped");
  state.remove(key.id, { from: join(path, "none"), to: join(path, "trash") });
  const before = state.eventLog.range().newest;
  assert.equal(state.transition(key, "crashed"), false);
  assert.equal(state.claimStart(key, BOOT), undefined);
  state.note(key, [{ action: "idle", attributes: {} }]);
  assert.equal(state.eventLog.range().newest, before);
});

test("StateStore.claimStart() is refused to whoever has not seen the end of the last boot", () => {
  using home = openHome();
  const { state } = home;
  const first = sandboxIn(state, "stopped", "x");
  const second = state.claimStart(first, BOOT)!;
  state.transition(second, "stopped");
  assert.equal(state.claimStart(first, BOOT), undefined);
  assert.equal(statusOf(state, first), "stopped");
  assert.deepEqual(state.claimStart(second, BOOT), { id: first.id, bootNumber: 3 });
});

test("StateStore.claimStart() forgets why the boot before ended", () => {
  using home = openHome();
  const { state } = home;
  const key = state.claimCreate(claimOf("x"));
  state.transition(key, "crashed", { reason: "it fell over" });
  assert.equal(state.get("x").statusReason, "it fell over");
  state.claimStart(key, BOOT);
  assert.equal(state.get("x").statusReason, undefined);
});

test("StateStore.abandonCreate() takes back a creation and its directory, and tells why", () => {
  using home = openHome();
  const { state, path } = home;
  const key = state.claimCreate(claimOf("x", { labels: { a: "b" } }));
  const move = { from: join(path, "x"), to: join(path, "trash") };
  mkdirSync(move.from);
  state.abandonCreate(key, { reason: "no kernel", move });
  assert.equal(state.find("x"), undefined);
  assert.equal(existsSync(move.from), false);
  assert.deepEqual(state.eventLog.latest(key.id, ["failed"])?.attributes, { error: "no kernel" });
  assert.deepEqual(state.list({ labels: { a: "b" } }), []);
  state.abandonCreate(key, { reason: "again", move }); // nothing is left to take back
  assert.equal(state.eventLog.latest(key.id, ["failed"])?.attributes["error"], "no kernel");
});

test("StateStore.abandonCreate() removes a sandbox that came up and was ended by others: it did not fail", () => {
  using home = openHome();
  const { state, path } = home;
  for (const [end, action] of [
    ["stopped", "removed"],
    ["crashed", "removed"],
    [undefined, "failed"], // nobody but its creator knows that its VM host process is gone
  ] as const) {
    const key = state.claimCreate(claimOf("x"));
    state.transition(key, "ready");
    if (end !== undefined) state.transition(key, end);
    state.abandonCreate(key, { reason: "late", move: { from: join(path, "x"), to: join(path, "trash") } });
    assert.equal(state.find("x"), undefined);
    assert.equal(state.eventLog.latest(key.id, ["failed", "removed"])?.action, action);
  }
});

test("StateStore.abandonCreate() leaves a sandbox that has been booted again, and a namesake", () => {
  using home = openHome();
  const { state, path } = home;
  const move = { from: join(path, "x"), to: join(path, "trash") };
  mkdirSync(move.from);
  const restarted = sandboxIn(state, "stopped", "x");
  state.claimStart(restarted, BOOT);
  state.abandonCreate(restarted, { reason: "late", move });
  state.abandonCreate({ ...restarted, bootNumber: 2 }, { reason: "a start is no creation", move });
  state.abandonCreate({ id: "never was", bootNumber: 1 }, { reason: "late", move });
  assert.equal(state.find("x")?.id, restarted.id);
  assert.equal(existsSync(move.from), true);
});

test("StateStore.whileClaimed() runs for the claimed boot only", () => {
  using home = openHome();
  const { state } = home;
  const key = state.claimCreate(claimOf("x"));
  let runs = 0;
  state.whileClaimed(key, () => void runs++);
  assert.equal(runs, 1);
  const refused = { code: "sandboxNotFound" };
  assert.throws(() => state.whileClaimed({ ...key, bootNumber: 2 }, () => void runs++), refused);
  state.transition(key, "crashed");
  assert.throws(() => state.whileClaimed(key, () => void runs++), refused);
  assert.throws(() => state.whileClaimed({ id: "none", bootNumber: 1 }, () => void runs++), refused);
  assert.equal(runs, 1);
});

test("StateStore.whileClaimed() passes on what its action throws, and stays usable", () => {
  using home = openHome();
  const { state } = home;
  const key = state.claimCreate(claimOf("x"));
  assert.throws(() => state.whileClaimed(key, () => assert.fail("disk on fire")), /disk on fire/);
  assert.equal(state.transition(key, "ready"), true);
});

test("StateStore.remove() keeps the sandbox if its directory cannot be moved", () => {
  using home = openHome();
  const { state, path } = home;
  const key = sandboxIn(state, "stopped", "x");
  mkdirSync(join(path, "x"));
  const move = { from: join(path, "x"), to: join(path, "no", "such", "place") };
  writeFileSync(join(path, "no"), "a file"); // ENOTDIR
  assert.throws(() => state.remove(key.id, move), { code: "io", errno: "ENOTDIR" });
  assert.equal(state.find("x")?.status, "stopped");
  assert.equal(state.eventLog.latest(key.id, ["removed"]), undefined);
});

test("StateStore.get() rejects with SandboxNotFoundError", () => {
  using home = openHome();
  assert.throws(() => home.state.get("absent"), { code: "sandboxNotFound", sandbox: "absent" });
});

test("StateStore.list() gives every sandbox once, page by page, though others come and go", () => {
  using home = openHome();
  const { state, path } = home;
  for (let i = 0; i < 25; i++) sandboxIn(state, "stopped", `s${i}`);
  const seen: string[] = [];
  let after: { createdAtMs: number; id: string } | undefined;
  for (;;) {
    const page = state.list({ limit: 4, after });
    seen.push(...page.map(({ name }) => name));
    const last = page.at(-1);
    if (last === undefined) break;
    after = { createdAtMs: last.createdAt.getTime(), id: last.id };
    // What was seen is removed, the cursor's own sandbox included.
    for (const { id } of page) state.remove(id, { from: join(path, "none"), to: join(path, "trash") });
  }
  assert.equal(seen.length, 25);
  assert.equal(new Set(seen).size, 25);
});

test("StateStore.list() keeps those with all labels and one of the statuses", () => {
  using home = openHome();
  const { state } = home;
  const create = (name: string, labels: Record<string, string>) =>
    state.claimCreate(claimOf(name, { labels }));
  create("blue", { team: "blue" });
  create("blue-db", { team: "blue", role: "db" });
  state.transition(create("red-db", { team: "red", role: "db" }), "ready");
  const names = (options: Parameters<StateStore["list"]>[0]) =>
    state
      .list(options)
      .map(({ name }) => name)
      .sort();
  assert.deepEqual(names({ labels: { team: "blue" } }), ["blue", "blue-db"]);
  assert.deepEqual(names({ labels: { team: "blue", role: "db" } }), ["blue-db"]);
  assert.deepEqual(names({ labels: { team: "blue", role: "web" } }), []);
  assert.deepEqual(names({ labels: { "team' OR 1=1 --": "x" } }), []);
  assert.deepEqual(names({ statuses: ["running"] }), ["red-db"]);
  assert.deepEqual(names({ statuses: ["running", "creating"] }), ["blue", "blue-db", "red-db"]);
  assert.deepEqual(names({ statuses: [] }), []);
  assert.equal(state.list({ limit: 2 }).length, 2);
});

test("StateStore.imageDigestsInUse() knows sandboxes and claims of living processes", () => {
  using home = openHome();
  const { state } = home;
  state.claimCreate(claimOf("x", { imageDigest: "used" }));
  state.claimImage("claimed", ownProcess());
  state.claimImage("abandoned", { ...ownProcess(), startTime: "1.another" });
  state.claimImage("abandoned", { ...ownProcess(), startTime: "1.another" });
  assert.deepEqual([...state.imageDigestsInUse()].sort(), ["claimed", "used"]);
  state.releaseImage("claimed", ownProcess());
  assert.deepEqual([...state.imageDigestsInUse()], ["used"]);
});

test("StateStore.releaseImage() leaves the claims of the same process's other creations", () => {
  using home = openHome();
  const { state } = home;
  state.claimImage("shared", ownProcess());
  state.claimImage("shared", ownProcess());
  state.releaseImage("shared", ownProcess()); // one of the two has failed, the other has no row yet
  assert.deepEqual([...state.imageDigestsInUse()], ["shared"]);
  state.releaseImage("shared", ownProcess());
  assert.deepEqual([...state.imageDigestsInUse()], []);
});

test("StateStore sees at once what another connection wrote", () => {
  using home = openHome();
  const other = new StateStore(home.path);
  const key = home.state.claimCreate(claimOf("x"));
  assert.equal(other.find("x")?.status, "creating");
  other.transition(key, "ready");
  assert.equal(home.state.find("x")?.status, "running");
  other.close();
});
