import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { homePaths } from "../../../../src/platform/home.ts";
import { RETRY_INTERVAL_MS } from "../../../../src/vmm/host/activity_events.ts";
import type { StopCause, StopSequence } from "../../../../src/vmm/host/stop_sequence.ts";
import { Supervision } from "../../../../src/vmm/host/usage_limits.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { closed, exited, start } from "../../../support/guest/program_frames.ts";
import { test } from "../../../support/harness.ts";
import { claimOf } from "../../../support/home/claims.ts";
import { failEvents } from "../../../support/home/fail_events.ts";
import { openHome } from "../../../support/home/open_home.ts";

/** A sandbox that runs, and what supervises it. */
class Supervised implements Disposable {
  readonly home = openHome();
  readonly key = this.home.state.claimCreate(claimOf("x"));
  readonly clock = new FakeClock();
  readonly stops: StopCause[] = [];
  readonly supervision: Supervision;

  constructor() {
    this.home.state.transition(this.key, "ready");
    const stop: Pick<StopSequence, "begun" | "begin"> = {
      begun: new Promise(() => {}),
      begin: (cause) => void this.stops.push(cause),
    };
    const limits = { maxDurationMs: undefined, idleTimeoutMs: undefined };
    const { state } = this.home;
    this.supervision = new Supervision(state, this.key, stop as StopSequence, limits, 1000, this.clock);
  }

  get status(): string {
    return this.home.state.get("x").status;
  }

  [Symbol.dispose](): void {
    this.home[Symbol.dispose]();
  }
}

/** Another process in the middle of a write transaction, until what this returns is called. */
function lockRegistry(home: string): () => void {
  const raw = new DatabaseSync(homePaths(home).state);
  raw.exec("BEGIN IMMEDIATE");
  return () => {
    raw.exec("ROLLBACK");
    raw.close();
  };
}

test("Supervision records the use of a sandbox later, while another process locks the state", () => {
  using supervised = new Supervised();
  const { supervision, clock, home, key } = supervised;
  const unlock = lockRegistry(home.path);
  supervision.activity.toAgent(start(1));
  clock.advance(0);
  supervision.activity.fromAgent(exited(1, 5));
  assert.equal(home.state.eventLog.latest(key.id, ["running", "idle"]), undefined);
  unlock();
  clock.advance(RETRY_INTERVAL_MS);
  const { events } = home.state.eventLog.read({ after: 0, limit: 100, sandboxId: key.id });
  assert.deepEqual(
    events.slice(-2).map(({ action, attributes }) => [action, attributes]),
    [
      ["running", {}],
      ["idle", { exitCode: 5 }],
    ],
  );
});

test("Supervision.drain() refuses new programs, and stops when those that run have ended", () => {
  using supervised = new Supervised();
  const { supervision, stops } = supervised;
  supervision.activity.toAgent(start(1));
  supervision.drain();
  assert.equal(supervised.status, "draining");
  assert.equal(supervision.activity.admits(start(2)), false);
  assert.deepEqual(stops, []);
  supervision.activity.fromAgent(closed(1));
  assert.deepEqual(stops, ["drained"]);
});

test("Supervision.drain() comes to its end though the state cannot be written", () => {
  using supervised = new Supervised();
  const repair = failEvents(supervised.home.path);
  supervised.supervision.drain();
  assert.deepEqual(supervised.stops, ["drained"]);
  repair();
});
