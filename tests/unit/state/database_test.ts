import assert from "node:assert/strict";
import { chmodSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { homePaths } from "../../../src/platform/home.ts";
import { Database } from "../../../src/state/database.ts";
import { StateStore } from "../../../src/state/state_store.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { claimOf } from "../../support/home/claims.ts";
import { openHome } from "../../support/home/open_home.ts";

test("Database refuses a state that a newer release wrote, and leaves it as it is", () => {
  using directory = temporaryDirectory();
  const path = homePaths(directory.path).state;
  mkdirSync(dirname(path));
  const raw = new DatabaseSync(path);
  raw.exec("CREATE TABLE future (x); PRAGMA user_version = 999");
  raw.close();
  assert.throws(() => new StateStore(directory.path), {
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
  const { state } = homePaths(directory.path);
  mkdirSync(dirname(state));
  writeFileSync(state, "this is not a database, and long enough to tell".repeat(20));
  assert.throws(() => new StateStore(directory.path), { code: "database" });
  writeFileSync(join(directory.path, "file"), "");
  assert.throws(() => new StateStore(join(directory.path, "file", "home")), { code: "database" });
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
  const database = new Database(homePaths(home.path).state);
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

test("Database.transaction() waits for others as long as it is told, and the next as long as ever", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "x.sqlite");
  const database = new Database(path);
  const other = new Database(path);
  other.transaction(() => {
    const fault = { code: "database", message: /locked/ };
    assert.throws(() => database.transaction(() => assert.fail("it began"), { busyTimeoutMs: 1 }), fault);
  });
  assert.deepEqual(Object.values(database.get("PRAGMA busy_timeout") ?? {}), [10_000]);
  assert.equal(
    database.transaction(() => "its turn", { busyTimeoutMs: 1 }),
    "its turn",
  );
  other.close();
  database.close();
});

test("Database keeps its files and their directory from other users, whatever the umask and their modes were", () => {
  using directory = temporaryDirectory();
  const home = join(directory.path, "home");
  const { state: path } = homePaths(home);
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const first = new StateStore(home);
  first.claimCreate(claimOf("x"));
  const files = ["", "-wal", "-shm"].map((suffix) => `${path}${suffix}`);
  assert.deepEqual(files.map(modeOf), [0o600, 0o600, 0o600]);
  assert.equal(modeOf(dirname(path)), 0o700);
  for (const file of files) chmodSync(file, 0o644); // as earlier releases left them
  new StateStore(home).close();
  assert.deepEqual(files.map(modeOf), [0o600, 0o600, 0o600]);
  first.close();
});

const modeOf = (path: string) => statSync(path).mode & 0o777;
