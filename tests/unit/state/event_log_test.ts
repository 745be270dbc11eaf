/** How many events are kept, and what readers hear of those that are not. @module */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Sandbox } from "../../../mod.ts";
import { homePaths } from "../../../src/platform/home.ts";
import { EVENTS_MAX, SANDBOX_EVENTS_MAX } from "../../../src/state/event_log.ts";
import { test } from "../../support/harness.ts";
import { claimOf } from "../../support/home/claims.ts";
import { openHome } from "../../support/home/open_home.ts";
import { StateHome } from "../../support/home/state_home.ts";

const note = { action: "running", attributes: {} };

/** Makes the log count `kept` events already: of all sandboxes, or of one. */
function setTally(home: string, kept: number, sandboxId = ""): void {
  using raw = new DatabaseSync(homePaths(home).state);
  raw.prepare("UPDATE event_tally SET kept = ? WHERE sandbox_id = ?").run(kept, sandboxId);
}

test("EventLog.append() keeps the last 100,000 events", () => {
  using home = openHome();
  const { state, path } = home;
  const key = state.claimCreate(claimOf("x")); // events 1 and 2
  setTally(path, EVENTS_MAX - 1);
  state.transition(key, "ready");
  assert.deepEqual(state.eventLog.range(), { oldest: 1, newest: 3 });
  state.transition(key, "stopping"); // one too many
  assert.deepEqual(state.eventLog.range(), { oldest: 2, newest: 4 });
  state.transition(key, "stopped");
  assert.deepEqual(state.eventLog.range(), { oldest: 3, newest: 5 });
});

test("EventLog.append() drops the oldest events of a sandbox that has too many, and keeps the others'", () => {
  using home = openHome();
  const { state } = home;
  const quiet = state.claimCreate(claimOf("quiet"));
  const flapping = state.claimCreate(claimOf("flapping"));
  state.note(flapping, Array(SANDBOX_EVENTS_MAX - 2).fill(note));
  const count = (id: string) =>
    state.eventLog.read({ sandboxId: id, after: 0, limit: EVENTS_MAX }).events.length;
  assert.equal(count(flapping.id), SANDBOX_EVENTS_MAX);
  state.note(flapping, Array(100).fill(note));
  assert.equal(count(flapping.id), SANDBOX_EVENTS_MAX);
  assert.equal(count(quiet.id), 2);
});

test("Sandbox.events() tells a reader what a sandbox with too many events dropped between two that are kept", async () => {
  using home = new StateHome();
  const quiet = home.create("quiet"); // 1 and 2
  const flapping = home.create("flapping"); // 3 and 4
  setTally(home.path, SANDBOX_EVENTS_MAX - 1, flapping.id);
  home.state.note(flapping, [note, note, note]); // 5 to 7; 3 and 4 are dropped
  home.state.transition(quiet, "ready"); // 8
  const read = async (options: Parameters<typeof Sandbox.events>[0]) => {
    const events: (string | number)[][] = [];
    for await (const { name, action, sequence, attributes } of Sandbox.events(options))
      events.push([sequence, action === "missed" ? Number(attributes["count"]) : name]);
    return events;
  };
  const rest = [5, 6, 7].map((sequence) => [sequence, "flapping"]);
  assert.deepEqual(await read({ since: 1 }), [[2, "quiet"], [4, 2], ...rest, [8, "quiet"]]);
  assert.deepEqual(await read({ since: 1, name: "quiet" }), [
    [2, "quiet"],
    [8, "quiet"],
  ]);
  assert.deepEqual(await read({ since: 1, id: flapping.id }), [[4, 2], ...rest]);
  // Who asks for what is kept has missed nothing.
  assert.deepEqual(await read({}), [[1, "quiet"], [2, "quiet"], ...rest, [8, "quiet"]]);
  assert.deepEqual(await read({ since: new Date(0), name: "flapping" }), rest);
});
