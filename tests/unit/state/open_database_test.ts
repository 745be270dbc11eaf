/** Where the state database is opened, and how that of an earlier release gets there. @module */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { homePaths } from "../../../src/platform/home.ts";
import { Database } from "../../../src/state/database.ts";
import { MOVED_VERSION, openDatabase } from "../../../src/state/open_database.ts";
import { StateStore } from "../../../src/state/state_store.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { claimOf } from "../../support/home/claims.ts";

const INSERT = "INSERT INTO image_claim (digest, pid, start_time) VALUES (?, 1, 's')";

/** A home as an earlier release left it, with the database still open. */
function formerHome(): Disposable & { readonly path: string; readonly former: Database } {
  const directory = temporaryDirectory();
  const former = new Database(homePaths(directory.path).formerState);
  former.run(INSERT, "former");
  return {
    path: directory.path,
    former,
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

const digestsIn = (database: Database) =>
  database.all("SELECT digest FROM image_claim ORDER BY digest").map(({ digest }) => digest);

test("openDatabase() moves an old database, its write-ahead log included", () => {
  using home = formerHome();
  // As a killed process leaves it: what is committed is in the log alone.
  using crashed = temporaryDirectory();
  const { formerState, state } = homePaths(crashed.path);
  for (const suffix of ["", "-wal"])
    cpSync(`${homePaths(home.path).formerState}${suffix}`, `${formerState}${suffix}`);
  home.former.close();
  assert.ok(statSync(`${formerState}-wal`).size > 0);
  const database = openDatabase(crashed.path);
  assert.deepEqual(digestsIn(database), ["former"]);
  database.close();
  assert.ok(existsSync(state));
  assert.ok(!existsSync(`${formerState}-wal`));
});

test("openDatabase() uses an old database where it is while another process has it open, and moves it later", () => {
  using home = formerHome();
  const [first, second] = [openDatabase(home.path), openDatabase(home.path)];
  first.run(INSERT, "first");
  home.former.run(INSERT, "late");
  assert.deepEqual(digestsIn(second), ["first", "former", "late"]);
  assert.ok(!existsSync(homePaths(home.path).state));
  home.former.close();
  first.close();
  second.close();
  const moved = openDatabase(home.path);
  assert.ok(existsSync(homePaths(home.path).state));
  assert.deepEqual(digestsIn(moved), ["first", "former", "late"]);
  moved.close();
});

test("openDatabase() leaves in the old place what an earlier release refuses, with nothing of its content", () => {
  using home = formerHome();
  home.former.close();
  const { formerState } = homePaths(home.path);
  openDatabase(home.path).close();
  assert.throws(() => new Database(formerState), {
    code: "database",
    message: /newer release/,
    hint: /update/,
  });
  const marker = new DatabaseSync(formerState);
  assert.equal(marker.prepare("PRAGMA user_version").get()?.["user_version"], MOVED_VERSION);
  assert.deepEqual(marker.prepare("SELECT name FROM sqlite_schema WHERE name = 'image_claim'").all(), []);
  marker.close();
  const again = openDatabase(home.path);
  assert.deepEqual(digestsIn(again), ["former"]);
  again.close();
});

test("openDatabase() finishes a move that was cut short before the new database had its name", () => {
  using home = formerHome();
  home.former.close();
  openDatabase(home.path).close();
  const { state } = homePaths(home.path);
  renameSync(state, join(dirname(state), "moving.sqlite"));
  const database = openDatabase(home.path);
  assert.deepEqual(digestsIn(database), ["former"]);
  database.close();
});

test("openDatabase() begins a move again that was cut short while it copied", () => {
  using home = formerHome();
  home.former.close();
  const { state } = homePaths(home.path);
  mkdirSync(dirname(state));
  const half = new DatabaseSync(join(dirname(state), "moving.sqlite"));
  half.exec("CREATE TABLE half (x)");
  half.close();
  const database = openDatabase(home.path);
  assert.deepEqual(digestsIn(database), ["former"]);
  database.close();
});

test("openDatabase() does not overlook sandboxes that an earlier release has created beside the new database", () => {
  using directory = temporaryDirectory();
  const home = directory.path;
  const { formerState } = homePaths(home);
  new StateStore(home).close();
  new Database(formerState).close(); // empty: nothing is lost when it is marked
  new StateStore(home).close();
  assert.throws(() => new Database(formerState), /newer release/);

  using other = temporaryDirectory();
  const store = new StateStore(other.path);
  store.claimCreate(claimOf("x"));
  store.close();
  cpSync(homePaths(other.path).state, formerState);
  assert.throws(() => openDatabase(home), {
    code: "database",
    message: /two state databases/,
    hint: /move .* away/,
  });
});
