import assert from "node:assert/strict";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Database } from "../../../src/registry/database.ts";
import { type BootKey, Registry } from "../../../src/registry/registry.ts";
import { isLive, type SandboxAction, type SandboxStatus } from "../../../src/registry/status.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { BOOT, claimOf } from "./claims.ts";

/** A registry in a home of its own. */
function openHome(): Disposable & { registry: Registry; path: string } {
  const directory = temporaryDirectory();
  const registry = new Registry(directory.path);
  return {
    registry,
    path: directory.path,
    [Symbol.dispose]() {
      registry.close();
      directory[Symbol.dispose]();
    },
  };
}

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
    const next = registry.claimStart(key.id, { ...BOOT, runDirectory: "/run/next" });
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

test("Database refuses a registry that a newer release wrote, and leaves it as it is", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "registry.sqlite");
  const raw = new DatabaseSync(path);
  raw.exec("CREATE TABLE future (x); PRAGMA user_version = 999");
  raw.close();
  assert.throws(() => new Registry(directory.path), {
    code: "database",
    message: /version 999/,
    hint: /MSB_HOME/,
  });
  const after = new DatabaseSync(path);
  assert.equal(after.prepare("PRAGMA user_version").get()?.["user_version"], 999);
  assert.deepEqual(
    after
      .prepare("SELECT name FROM sqlite_schema")
      .all()
      .map(({ name }) => name),
    ["future"],
  );
  after.close();
});

test("Database refuses a file that is none, and a place where it cannot be made", () => {
  using directory = temporaryDirectory();
  writeFileSync(
    join(directory.path, "registry.sqlite"),
    "this is not a database, and long enough to tell".repeat(20),
  );
  assert.throws(() => new Registry(directory.path), { code: "database" });
  writeFileSync(join(directory.path, "file"), "");
  assert.throws(() => new Registry(join(directory.path, "file", "home")), { code: "database" });
});

test("Database reports faults of statements as DatabaseError", () => {
  using directory = temporaryDirectory();
  const database = new Database(join(directory.path, "x.sqlite"));
  const fault = { code: "database" };
  assert.throws(() => database.run("INSERT INTO absent VALUES (1)"), fault);
  assert.throws(() => database.get("SELECT * FROM absent"), fault);
  assert.throws(() => database.all("SELECT * FROM absent"), fault);
  assert.throws(() => database.transaction(() => database.run("INSERT INTO absent VALUES (1)")), fault);
  database.close();
  assert.throws(() => database.transaction(() => {}), fault);
});

test("Database.transaction() leaves no trace of a body that throws", () => {
  using home = openHome();
  const database = new Database(join(home.path, "registry.sqlite"));
  assert.throws(
    () =>
      database.transaction(() => {
        database.run("INSERT INTO image_claim (digest, pid, start_time) VALUES ('d', 1, 's')");
        throw new RangeError("no");
      }),
    RangeError,
  );
  assert.deepEqual(database.all("SELECT * FROM image_claim"), []);
  database.close();
});

test("Database makes its directory for this user only", () => {
  using directory = temporaryDirectory();
  const home = join(directory.path, "home");
  new Registry(home).close();
  assert.equal(statSync(home).mode & 0o777, 0o700);
});
