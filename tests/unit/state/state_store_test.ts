import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ownProcess } from "../../../src/platform/process_identity.ts";
import { EVENTS_MAX } from "../../../src/state/event_log.ts";
import { type BootKey, Registry } from "../../../src/state/state_store.ts";
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

function statusOf(registry: Registry, { id }: BootKey): SandboxStatus | undefined {
  return registry.findById(id)?.status;
}

/** A sandbox in `status`. */
function sandboxIn(registry: Registry, status: SandboxStatus, name = `in-${status}`): BootKey {
  const key = registry.claimCreate(claimOf(name));
  for (const step of WAYS[status]) assert.equal(registry.transition(key, step), true);
  assert.equal(statusOf(registry, key), status);
  return key;
}

for (const [status, outcomes] of Object.entries(OUTCOMES) as [
  SandboxStatus,
  (typeof OUTCOMES)["running"],
][]) {
  test(`Registry.transition() of a ${status} sandbox leads where the table says, and nowhere else`, () => {
    using home = openHome();
    const { registry } = home;
    for (const step of STEPS) {
      const key = sandboxIn(registry, status, `${status}-${step}`);
      const expected = outcomes[step];
      const before = registry.eventLog.range().newest;
      assert.equal(registry.transition(key, step, { reason: "why" }), expected !== undefined, step);
      assert.equal(statusOf(registry, key), expected ?? status, step);
      const events = registry.eventLog.read({ after: before, limit: 10 }).events;
      assert.deepEqual(
        events.map(({ action, attributes }) => [action, attributes]),
        expected === undefined ? [] : [[step, { reason: "why" }]],
      );
    }
  });

  test(`Registry.claimStart() of a ${status} sandbox ${outcomes.starting ? "makes its next boot" : "is refused"}`, () => {
    using home = openHome();
    const { registry } = home;
    const key = sandboxIn(registry, status);
    const next = registry.claimStart(key, { ...BOOT, runDirectory: "/run/next" });
    assert.deepEqual(next, outcomes.starting ? { id: key.id, bootNumber: 2 } : undefined);
    const record = registry.findById(key.id)!;
    assert.equal(record.status, outcomes.starting ?? status);
    assert.equal(record.runDirectory, outcomes.starting ? "/run/next" : "/run/x");
  });

  test(`Registry.remove() of a ${status} sandbox ${isLive(status) ? "is refused" : "removes it"}`, () => {
    using home = openHome();
    const { registry, path } = home;
    const key = sandboxIn(registry, status);
    const move = { from: join(path, "place"), to: join(path, "trash") };
    mkdirSync(move.from);
    assert.equal(registry.remove(key.id, move), isLive(status) ? "live" : "removed");
    assert.equal(existsSync(move.from), isLive(status));
    assert.equal(existsSync(move.to), !isLive(status));
    assert.equal(registry.remove("no such id", move), "absent");
  });
}

test("LIVE_STATUSES are those that cannot be started", () => {
  for (const [status, outcomes] of Object.entries(OUTCOMES) as [
    SandboxStatus,
    (typeof OUTCOMES)["running"],
  ][])
    assert.equal(LIVE_STATUSES.includes(status), outcomes.starting === undefined, status);
});

test("Registry.claimCreate() records everything that it was told", () => {
  using home = openHome();
  const { registry } = home;
  const claim = claimOf("full", {
    configJson: '{"a":1}',
    imageDigest: "sha",
    labels: { team: "blue", "a.b/c": "ünï" },
    host: { pid: 77, startTime: "5.x" },
  });
  const before = Date.now();
  const key = registry.claimCreate(claim);
  const record = registry.get("full");
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

test("Registry.claimCreate() refuses a taken name in any status, and leaves no trace of the attempt", () => {
  using home = openHome();
  const { registry } = home;
  for (const status of Object.keys(WAYS) as SandboxStatus[]) {
    sandboxIn(registry, status, status);
    const before = registry.eventLog.range().newest;
    assert.throws(() => registry.claimCreate(claimOf(status, { labels: { a: "b" } })), {
      code: "sandboxAlreadyExists",
      sandbox: status,
    });
    assert.equal(registry.eventLog.range().newest, before);
  }
  assert.deepEqual(registry.list({ labels: { a: "b" } }), []);
});

test("Registry.transition() takes no late event of an earlier boot", () => {
  using home = openHome();
  const { registry } = home;
  const first = sandboxIn(registry, "crashed");
  const second = registry.claimStart(first, BOOT)!;
  registry.transition(second, "ready");
  for (const step of STEPS) assert.equal(registry.transition(first, step), false, step);
  assert.equal(registry.transition({ ...second, bootNumber: 3 }, "stopped"), false);
  assert.equal(statusOf(registry, second), "running");
  registry.note(first, [{ action: "idle", attributes: {} }]);
  assert.notEqual(registry.eventLog.latest(first.id, ["idle", "ready"])?.action, "idle");
});

test("Registry.transition() does nothing to a sandbox that is gone", () => {
  using home = openHome();
  const { registry, path } = home;
  const key = sandboxIn(registry, "stopped");
  registry.remove(key.id, { from: join(path, "none"), to: join(path, "trash") });
  const before = registry.eventLog.range().newest;
  assert.equal(registry.transition(key, "crashed"), false);
  assert.equal(registry.claimStart(key, BOOT), undefined);
  registry.note(key, [{ action: "idle", attributes: {} }]);
  assert.equal(registry.eventLog.range().newest, before);
});

test("Registry.claimStart() is refused to whoever has not seen the end of the last boot", () => {
  using home = openHome();
  const { registry } = home;
  const first = sandboxIn(registry, "stopped", "x");
  const second = registry.claimStart(first, BOOT)!;
  registry.transition(second, "stopped");
  assert.equal(registry.claimStart(first, BOOT), undefined);
  assert.equal(statusOf(registry, first), "stopped");
  assert.deepEqual(registry.claimStart(second, BOOT), { id: first.id, bootNumber: 3 });
});

test("Registry.claimStart() forgets why the boot before ended", () => {
  using home = openHome();
  const { registry } = home;
  const key = registry.claimCreate(claimOf("x"));
  registry.transition(key, "crashed", { reason: "it fell over" });
  assert.equal(registry.get("x").statusReason, "it fell over");
  registry.claimStart(key, BOOT);
  assert.equal(registry.get("x").statusReason, undefined);
});

test("Registry.abandonCreate() takes back a creation and its directory, and tells why", () => {
  using home = openHome();
  const { registry, path } = home;
  const key = registry.claimCreate(claimOf("x", { labels: { a: "b" } }));
  const move = { from: join(path, "x"), to: join(path, "trash") };
  mkdirSync(move.from);
  registry.abandonCreate(key, { reason: "no kernel", move });
  assert.equal(registry.find("x"), undefined);
  assert.equal(existsSync(move.from), false);
  assert.deepEqual(registry.eventLog.latest(key.id, ["failed"])?.attributes, { error: "no kernel" });
  assert.deepEqual(registry.list({ labels: { a: "b" } }), []);
  registry.abandonCreate(key, { reason: "again", move }); // nothing is left to take back
  assert.equal(registry.eventLog.latest(key.id, ["failed"])?.attributes["error"], "no kernel");
});

test("Registry.abandonCreate() removes a sandbox that came up and was ended by others: it did not fail", () => {
  using home = openHome();
  const { registry, path } = home;
  for (const [end, action] of [
    ["stopped", "removed"],
    ["crashed", "removed"],
    [undefined, "failed"], // nobody but its creator knows that its VM host process is gone
  ] as const) {
    const key = registry.claimCreate(claimOf("x"));
    registry.transition(key, "ready");
    if (end !== undefined) registry.transition(key, end);
    registry.abandonCreate(key, { reason: "late", move: { from: join(path, "x"), to: join(path, "trash") } });
    assert.equal(registry.find("x"), undefined);
    assert.equal(registry.eventLog.latest(key.id, ["failed", "removed"])?.action, action);
  }
});

test("Registry.abandonCreate() leaves a sandbox that has been booted again, and a namesake", () => {
  using home = openHome();
  const { registry, path } = home;
  const move = { from: join(path, "x"), to: join(path, "trash") };
  mkdirSync(move.from);
  const restarted = sandboxIn(registry, "stopped", "x");
  registry.claimStart(restarted, BOOT);
  registry.abandonCreate(restarted, { reason: "late", move });
  registry.abandonCreate({ ...restarted, bootNumber: 2 }, { reason: "a start is no creation", move });
  registry.abandonCreate({ id: "never was", bootNumber: 1 }, { reason: "late", move });
  assert.equal(registry.find("x")?.id, restarted.id);
  assert.equal(existsSync(move.from), true);
});

test("Registry.whileClaimed() runs for the claimed boot only", () => {
  using home = openHome();
  const { registry } = home;
  const key = registry.claimCreate(claimOf("x"));
  let runs = 0;
  registry.whileClaimed(key, () => void runs++);
  assert.equal(runs, 1);
  const refused = { code: "sandboxNotFound" };
  assert.throws(() => registry.whileClaimed({ ...key, bootNumber: 2 }, () => void runs++), refused);
  registry.transition(key, "crashed");
  assert.throws(() => registry.whileClaimed(key, () => void runs++), refused);
  assert.throws(() => registry.whileClaimed({ id: "none", bootNumber: 1 }, () => void runs++), refused);
  assert.equal(runs, 1);
});

test("Registry.whileClaimed() passes on what its action throws, and stays usable", () => {
  using home = openHome();
  const { registry } = home;
  const key = registry.claimCreate(claimOf("x"));
  assert.throws(() => registry.whileClaimed(key, () => assert.fail("disk on fire")), /disk on fire/);
  assert.equal(registry.transition(key, "ready"), true);
});

test("Registry.remove() keeps the sandbox if its directory cannot be moved", () => {
  using home = openHome();
  const { registry, path } = home;
  const key = sandboxIn(registry, "stopped", "x");
  mkdirSync(join(path, "x"));
  const move = { from: join(path, "x"), to: join(path, "no", "such", "place") };
  writeFileSync(join(path, "no"), "a file"); // ENOTDIR
  assert.throws(() => registry.remove(key.id, move), { code: "io", errno: "ENOTDIR" });
  assert.equal(registry.find("x")?.status, "stopped");
  assert.equal(registry.eventLog.latest(key.id, ["removed"]), undefined);
});

test("Registry.get() rejects with SandboxNotFoundError", () => {
  using home = openHome();
  assert.throws(() => home.registry.get("absent"), { code: "sandboxNotFound", sandbox: "absent" });
});

test("Registry.list() gives every sandbox once, page by page, though others come and go", () => {
  using home = openHome();
  const { registry, path } = home;
  for (let i = 0; i < 25; i++) sandboxIn(registry, "stopped", `s${i}`);
  const seen: string[] = [];
  let after: { createdAtMs: number; id: string } | undefined;
  for (;;) {
    const page = registry.list({ limit: 4, after });
    seen.push(...page.map(({ name }) => name));
    const last = page.at(-1);
    if (last === undefined) break;
    after = { createdAtMs: last.createdAt.getTime(), id: last.id };
    // What was seen is removed, the cursor's own sandbox included.
    for (const { id } of page) registry.remove(id, { from: join(path, "none"), to: join(path, "trash") });
  }
  assert.equal(seen.length, 25);
  assert.equal(new Set(seen).size, 25);
});

test("Registry.list() keeps those with all labels and one of the statuses", () => {
  using home = openHome();
  const { registry } = home;
  const create = (name: string, labels: Record<string, string>) =>
    registry.claimCreate(claimOf(name, { labels }));
  create("blue", { team: "blue" });
  create("blue-db", { team: "blue", role: "db" });
  registry.transition(create("red-db", { team: "red", role: "db" }), "ready");
  const names = (options: Parameters<Registry["list"]>[0]) =>
    registry
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
  assert.equal(registry.list({ limit: 2 }).length, 2);
});

test("Registry.imageDigestsInUse() knows sandboxes and claims of living processes", () => {
  using home = openHome();
  const { registry } = home;
  registry.claimCreate(claimOf("x", { imageDigest: "used" }));
  registry.claimImage("claimed", ownProcess());
  registry.claimImage("abandoned", { ...ownProcess(), startTime: "1.another" });
  registry.claimImage("abandoned", { ...ownProcess(), startTime: "1.another" });
  assert.deepEqual([...registry.imageDigestsInUse()].sort(), ["claimed", "used"]);
  registry.releaseImage("claimed", ownProcess());
  assert.deepEqual([...registry.imageDigestsInUse()], ["used"]);
});

test("Registry.releaseImage() leaves the claims of the same process's other creations", () => {
  using home = openHome();
  const { registry } = home;
  registry.claimImage("shared", ownProcess());
  registry.claimImage("shared", ownProcess());
  registry.releaseImage("shared", ownProcess()); // one of the two has failed, the other has no row yet
  assert.deepEqual([...registry.imageDigestsInUse()], ["shared"]);
  registry.releaseImage("shared", ownProcess());
  assert.deepEqual([...registry.imageDigestsInUse()], []);
});

test("Registry keeps the last 100,000 events", () => {
  using home = openHome();
  const { registry, path } = home;
  const key = registry.claimCreate(claimOf("x")); // events 1 and 2
  const raw = new DatabaseSync(join(path, "registry.sqlite"));
  raw.exec(`UPDATE sqlite_sequence SET seq = ${EVENTS_MAX} WHERE name = 'event'`);
  raw.close();
  registry.transition(key, "ready"); // EVENTS_MAX + 1: the first is one too many
  assert.deepEqual(registry.eventLog.range(), { oldest: 2, newest: EVENTS_MAX + 1 });
  registry.transition(key, "stopped");
  assert.deepEqual(registry.eventLog.range(), { oldest: EVENTS_MAX + 1, newest: EVENTS_MAX + 2 });
});

test("Registry sees at once what another connection wrote", () => {
  using home = openHome();
  const other = new Registry(home.path);
  const key = home.registry.claimCreate(claimOf("x"));
  assert.equal(other.find("x")?.status, "creating");
  other.transition(key, "ready");
  assert.equal(home.registry.find("x")?.status, "running");
  other.close();
});
