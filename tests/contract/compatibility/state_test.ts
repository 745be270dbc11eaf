/** A home of 0.8 opens: its database, and what sandboxes were created with. @module */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { parseStoredConfig } from "../../../src/options/sandbox_options.ts";
import { homePaths } from "../../../src/platform/home.ts";
import { StateStore } from "../../../src/state/state_store.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { restoreState, sample, WEB_ID } from "./samples.ts";

test("StateStore opens a database of 0.8, with its sandboxes, labels and events", () => {
  using home = temporaryDirectory();
  restoreState(home.path);
  const state = new StateStore(home.path);
  try {
    const web = state.get("web");
    assert.deepEqual(
      [web.id, web.status, web.statusReason, web.bootNumber, web.labels, web.createdAt.getTime()],
      [WEB_ID, "stopped", "requested", 1, { team: "blue" }, 1_795_934_390_211],
    );
    assert.deepEqual(
      state.list({}).map(({ name, status, statusReason }) => [name, status, statusReason]),
      [
        ["web", "stopped", "requested"],
        ["job", "stopped", "killed"],
      ],
    );
    const { events } = state.eventLog.read({ after: 0, limit: 100, name: "web" });
    assert.deepEqual(
      events.map(({ sequence, action }) => [sequence, action]),
      [
        [1, "created"],
        [2, "starting"],
        [3, "ready"],
        [4, "running"],
        [5, "stopping"],
        [6, "idle"],
        [7, "stopped"],
      ],
    );
    const host = { pid: process.pid, startTime: "1" };
    assert.deepEqual(state.claimStart({ id: WEB_ID, bootNumber: 1 }, { runDirectory: "/run/x", host }), {
      id: WEB_ID,
      bootNumber: 2,
    });
  } finally {
    state.close();
  }
});

test("StateStore brings a database of 0.8 to the same schema as a new one", () => {
  using old = temporaryDirectory();
  using fresh = temporaryDirectory();
  restoreState(old.path);
  for (const home of [old.path, fresh.path]) new StateStore(home).close();
  assert.deepEqual(schemaOf(homePaths(old.path).state), schemaOf(homePaths(fresh.path).state));
});

test("parseStoredConfig() reads what a sandbox of 0.8 was created with", () => {
  const config = parseStoredConfig(sample("config.json.txt"));
  const expected = JSON.parse(sample("config.json.txt")) as Record<string, unknown>;
  const said = Object.fromEntries(
    Object.keys(expected).map((key) => [key, config[key as keyof typeof config]]),
  );
  assert.deepEqual(said, expected);
});

/** Each table, index and trigger with its definition, spaces aside; and the number of the schema. */
function schemaOf(path: string): unknown[] {
  const database = new DatabaseSync(path);
  try {
    const rows = database
      .prepare("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
      .all();
    const version = database.prepare("PRAGMA user_version").get();
    const plain = (sql: unknown) =>
      String(sql)
        .replaceAll(/["\s]+/g, " ")
        .replaceAll(/ ?([(),]) ?/g, "$1");
    return [...rows.map(({ name, sql }) => [name, plain(sql)]), { ...version }];
  } finally {
    database.close();
  }
}
