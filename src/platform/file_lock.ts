/**
 * Locks on files that the kernel takes back when their holder dies, however it dies, and that processes see across PID
 * namespaces and mount points.
 *
 * Neither runtime has `flock`; SQLite, which both have, takes POSIX locks on a database file and keeps them apart within
 * one process. A lock here is an open transaction on an empty database: nothing is ever written to it. No other code may
 * open the file, since closing any descriptor of it takes the lock away (fcntl(2)).
 *
 * @module
 */
import { chmodSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { IoError } from "../base/errors.ts";

/** Shared holders exclude exclusive ones, and those exclude all. */
export type LockMode = "shared" | "exclusive";

/** A lock that is held, until it is disposed of or the process ends. */
export interface FileLock extends Disposable {
  readonly mode: LockMode;
}

/** What is held is kept from the garbage collector, which would close it. */
const held = new Set<DatabaseSync>();

/** The lock, or `undefined` while another holder excludes it. Never waits. Creates the file if necessary. @throws {IoError} */
export function tryLockFile(path: string, mode: LockMode): FileLock | undefined {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    database = new DatabaseSync(path);
    chmodSync(path, 0o600);
    database.exec("PRAGMA busy_timeout = 0");
    // A shared lock is taken by the first read of a transaction.
    database.exec(mode === "exclusive" ? "BEGIN EXCLUSIVE" : "BEGIN; SELECT count(*) FROM sqlite_schema");
  } catch (error) {
    database?.close();
    if (isLockedError(error)) return undefined;
    throw new IoError(`lock ${path}`, path, error);
  }
  const opened = database;
  held.add(opened);
  return {
    mode,
    [Symbol.dispose]() {
      if (held.delete(opened)) opened.close();
    },
  };
}

/** Removes a file that no process is to lock any more, and the empty one that SQLite leaves beside it when a holder is killed. */
export function removeLockFile(path: string): void {
  for (const file of [path, `${path}-journal`]) rmSync(file, { force: true });
}

/** How often a look starts over because the file came or went in between. */
const LOOKS_MAX = 10;

/** Whether a holder of an exclusive lock has the file. Creates nothing; a file that is absent has none. @throws {IoError} */
export function isFileLocked(path: string): boolean {
  for (let look = 1; ; look++) {
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path, { readOnly: true });
      database.exec("PRAGMA busy_timeout = 0");
      database.exec("BEGIN; SELECT count(*) FROM sqlite_schema");
      return false;
    } catch (error) {
      if (isLockedError(error)) return true;
      if (!existsSync(path)) return false;
      if (look === LOOKS_MAX) throw new IoError(`look at the lock ${path}`, path, error);
    } finally {
      database?.close();
    }
  }
}

function isLockedError(error: unknown): boolean {
  return error instanceof Error && /database is locked/.test(error.message);
}
