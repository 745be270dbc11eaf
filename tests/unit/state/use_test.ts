/** What a sandbox's row says of its use, for longer than its events are kept. @module */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { homePaths } from "../../../src/platform/home.ts";
import { type SandboxRecord, StateStore } from "../../../src/state/state_store.ts";
import { test } from "../../support/harness.ts";
import { BOOT, claimOf } from "../../support/home/claims.ts";
import { openHome } from "../../support/home/open_home.ts";

type Use = Pick<SandboxRecord, "readyAt" | "isBusy" | "idleAt" | "idleExitCode">;

function useOf(state: StateStore, name: string): Use {
  const { readyAt, isBusy, idleAt, idleExitCode } = state.get(name);
  return { readyAt, isBusy, idleAt, idleExitCode };
}

/** Drops all events, as others would that come after them. */
function pushOut(state: StateStore, home: string): void {
  const raw = new DatabaseSync(homePaths(home).state);
  raw.exec("DELETE FROM event");
  raw.close();
  state.claimCreate(claimOf(`other-${crypto.randomUUID()}`));
}

test("StateStore knows of a sandbox's use when its events are not kept any more", () => {
  using home = openHome();
  const { state, path } = home;
  const key = state.claimCreate(claimOf("x"));
  const neighbour = state.claimCreate(claimOf("neighbour"));
  state.transition(key, "ready");
  const readyAt = state.eventLog.latest(key.id, ["ready"])?.timestamp;
  const [startedAt, idleAt] = [new Date(5_000), new Date(7_000)];
  state.note(key, [{ action: "running", attributes: {}, timestamp: startedAt }]);
  pushOut(state, path);
  assert.equal(state.eventLog.latest(key.id, ["ready", "running"]), undefined);
  assert.ok(readyAt !== undefined);
  assert.deepEqual(useOf(state, "x"), {
    readyAt,
    isBusy: true,
    idleAt: undefined,
    idleExitCode: undefined,
  });
  state.note(key, [{ action: "idle", attributes: { exitCode: 3 }, timestamp: idleAt }]);
  pushOut(state, path);
  assert.deepEqual(useOf(state, "x"), { readyAt, isBusy: false, idleAt, idleExitCode: 3 });
  state.note(key, [{ action: "idle", attributes: {}, timestamp: idleAt }]);
  assert.equal(state.get("x").idleExitCode, undefined, "it never started");
  assert.equal(state.findById(neighbour.id)?.readyAt, undefined);
});

test("StateStore takes a sandbox for idle that is booted again", () => {
  using home = openHome();
  const { state } = home;
  const key = state.claimCreate(claimOf("x"));
  state.transition(key, "ready");
  state.note(key, [{ action: "running", attributes: {} }]);
  state.transition(key, "crashed");
  const next = state.claimStart(key, BOOT);
  assert.ok(next !== undefined);
  state.transition(next, "ready");
  assert.equal(state.get("x").isBusy, false);
});

test("StateStore finds in the events of an older state how its sandboxes are used", () => {
  using home = openHome();
  const { state, path } = home;
  const actions = { idle: ["ready", "running", "idle"], busy: ["ready", "idle", "running"], fresh: [] };
  for (const [name, events] of Object.entries(actions)) {
    const key = state.claimCreate(claimOf(name));
    for (const [index, action] of events.entries()) {
      const attributes = action === "idle" ? { exitCode: 9 } : {};
      state.eventLog.append({
        sandboxId: key.id,
        name,
        action,
        attributes,
        timestamp: new Date(index + 1),
      });
    }
  }
  makeOlder(path);
  const migrated = new StateStore(path);
  const time = (milliseconds: number) => new Date(milliseconds);
  const of = (name: string) => useOf(migrated, name);
  assert.deepEqual(of("idle"), { readyAt: time(1), isBusy: false, idleAt: time(3), idleExitCode: 9 });
  assert.deepEqual(of("busy"), { readyAt: time(1), isBusy: true, idleAt: time(2), idleExitCode: 9 });
  assert.deepEqual(of("fresh"), {
    readyAt: undefined,
    isBusy: false,
    idleAt: undefined,
    idleExitCode: undefined,
  });
  migrated.close();
});

/** Makes of a state database what it was in version 2 of its schema. */
function makeOlder(home: string): void {
  const raw = new DatabaseSync(homePaths(home).state);
  for (const trigger of ["event_of_use", "event_appended", "event_dropped", "job_lost"])
    raw.exec(`DROP TRIGGER ${trigger}`);
  for (const table of ["event_tally", "job", "volume"]) raw.exec(`DROP TABLE ${table}`);
  for (const column of ["ready_at", "is_busy", "idle_at", "idle_exit_code"])
    raw.exec(`ALTER TABLE sandbox DROP COLUMN ${column}`);
  raw.exec("ALTER TABLE image_claim DROP COLUMN uses");
  raw.exec("PRAGMA user_version = 2");
  raw.close();
}
