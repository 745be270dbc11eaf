/**
 * Where the state database of a home lies, and its move there.
 *
 * It has a directory of its own, which nothing watches: on Deno, watching a directory opens and closes each file that
 * changes in it, and closing any descriptor of a database takes SQLite's locks away from the process. Earlier releases
 * had it directly in the home, which their own processes watch.
 *
 * An old database is moved at a moment when no other process has it open; until then all processes use it where it is.
 * It is copied, not renamed: a process that has just opened the old file would otherwise write beside it. The old file
 * stays as a marker that earlier releases refuse to open, instead of creating an empty database there. The steps, each
 * of which can be the last one before a crash:
 *
 * 1. Copy to `moving.sqlite`, and flush it. The old database still counts.
 * 2. Empty the old one and mark it as moved, in one transaction. From now on `moving.sqlite` counts.
 * 3. Rename `moving.sqlite` to its final name, which whichever process comes next can do as well.
 *
 * @module
 */
import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../base/errors.ts";
import { homePaths } from "../platform/home.ts";
import { renameIfPresent } from "../platform/if_present.ts";
import { BUSY_TIMEOUT_MS, Database, pauseFor } from "./database.ts";
import { DatabaseError } from "./errors.ts";
import { MIGRATIONS } from "./schema.ts";

/** `user_version` of an old database that was moved: newer than any release, so that earlier ones refuse it. */
export const MOVED_VERSION = 2_000_000_000;
/** How often a move is tried while others have the old database open: several that try at once keep each other from it. */
const MOVE_ATTEMPTS_MAX = 5;
/** The longest pause between two attempts; each is a random part of it. */
const MOVE_PAUSE_MS_MAX = 10;

/**
 * - `moved`: what the old database held is in the new one.
 * - `inUse`: another process has it open.
 * - `unknown`: a newer release wrote it.
 */
type MoveOutcome = "moved" | "inUse" | "unknown";

/** Opens the state database of a home, which is created if necessary. @throws {DatabaseError} */
export function openDatabase(home: string): Database {
  const { state, formerState } = homePaths(home);
  try {
    mkdirSync(dirname(state), { recursive: true, mode: 0o700 });
    chmodSync(dirname(state), 0o700);
  } catch (cause) {
    throw new DatabaseError(`Cannot open the state database ${state}: ${messageOf(cause)}`, { cause });
  }
  return existsSync(formerState) ? openWithFormer(state, formerState) : new Database(state);
}

/** Opens the database in its new place; in its old place while other processes use it there. */
function openWithFormer(state: string, former: string): Database {
  const deadline = performance.now() + BUSY_TIMEOUT_MS;
  for (let attempt = 1; ; attempt++) {
    const outcome = move(state, former);
    if (outcome === "moved") return new Database(state);
    if (attempt >= MOVE_ATTEMPTS_MAX || outcome === "unknown") {
      const opened = openFormer(state, former, deadline);
      if (opened !== undefined) return opened;
    }
    pauseFor(Math.random() * MOVE_PAUSE_MS_MAX);
  }
}

/** `undefined` if another process has moved it, or is about to. */
function openFormer(state: string, former: string, deadline: number): Database | undefined {
  if (existsSync(state)) {
    if (performance.now() < deadline) return undefined;
    throw twoDatabases(state, former);
  }
  try {
    return new Database(former); // while it is open, no other process can move it
  } catch (error) {
    if (performance.now() < deadline && versionOf(former) === MOVED_VERSION) return undefined;
    throw error;
  }
}

/** @throws {DatabaseError} */
function move(state: string, former: string): MoveOutcome {
  const coming = join(dirname(state), "moving.sqlite");
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(former);
    const version = readVersion(database);
    if (version === MOVED_VERSION) return finish(state, coming);
    if (version > MIGRATIONS.length) return "unknown";
    lockForGood(database);
    // Again: what was read before the lock may have changed since.
    if (readVersion(database) === MOVED_VERSION) return finish(state, coming);
    if (existsSync(state)) {
      if (hasSandboxes(database)) throw twoDatabases(state, former);
      markMoved(database);
      return "moved";
    }
    copy(database, coming);
    markMoved(database);
    return finish(state, coming);
  } catch (cause) {
    if (cause instanceof DatabaseError) throw cause;
    if (/locked|busy/.test(messageOf(cause))) return "inUse";
    throw new DatabaseError(`Cannot move the state database ${former} to ${state}: ${messageOf(cause)}`, {
      cause,
    });
  } finally {
    database?.close();
  }
}

/** Locks the database until the connection is closed. Throws "database is locked" if another process has it open. */
function lockForGood(database: DatabaseSync): void {
  database.exec("PRAGMA busy_timeout = 0");
  database.exec("PRAGMA locking_mode = EXCLUSIVE");
  // Only the sole user of a database can take its write-ahead log away; what is in the log goes into the file.
  database.exec("PRAGMA journal_mode = DELETE");
  database.exec("BEGIN EXCLUSIVE; COMMIT");
}

function copy(database: DatabaseSync, path: string): void {
  for (const file of [path, `${path}-journal`]) rmSync(file, { force: true }); // half of an earlier attempt
  database.prepare("VACUUM INTO ?").run(path);
  chmodSync(path, 0o600);
  flush(path);
  flush(dirname(path));
}

function markMoved(database: DatabaseSync): void {
  database.exec("PRAGMA foreign_keys = OFF; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; BEGIN");
  const tables = database
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    .all();
  for (const { name } of tables) database.exec(`DROP TABLE "${String(name)}"`);
  database.exec(`PRAGMA user_version = ${MOVED_VERSION}; COMMIT`);
}

/** Gives the copy its final name, unless another process has. */
function finish(state: string, coming: string): "moved" {
  if (existsSync(state)) return "moved";
  if (renameIfPresent(coming, state)) flush(dirname(state)); // else another process was faster
  return "moved";
}

function hasSandboxes(database: DatabaseSync): boolean {
  const schema = database.prepare("SELECT count(*) AS count FROM sqlite_schema WHERE name = 'sandbox'").get();
  if (schema?.["count"] !== 1) return false; // an earlier release was about to create it
  return database.prepare("SELECT count(*) AS count FROM sandbox").get()?.["count"] !== 0;
}

function versionOf(path: string): number {
  const database = new DatabaseSync(path);
  try {
    database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    return readVersion(database);
  } finally {
    database.close();
  }
}

function readVersion(database: DatabaseSync): number {
  return Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
}

/** For files and directories that no process has open as a database. */
function flush(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function twoDatabases(state: string, former: string): DatabaseError {
  return new DatabaseError(`The home has two state databases, ${state} and ${former}`, {
    hint: `an earlier release has created sandboxes there: remove them with that release, or move ${former} away`,
  });
}
