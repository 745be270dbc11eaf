/**
 * The SQLite file that holds the state of all sandboxes, through `node:sqlite`, which both runtimes have built in.
 *
 * @module
 */
import { chmodSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { errnoOf, messageOf } from "../base/errors.ts";
import { DatabaseError } from "./errors.ts";
import { MIGRATIONS } from "./schema.ts";

/** How long a statement waits for another process's transaction by default. Ours take milliseconds. */
export const BUSY_TIMEOUT_MS = 10_000;
const WAL_RETRY_MS = 5;

/** One row as SQLite gives it. */
export type Row = Readonly<Record<string, unknown>>;
/** What can be bound to a `?`. */
export type Parameter = string | number | null;

/** How a transaction goes. */
export interface TransactionOptions {
  /** How long it waits for those of other processes. @default {10_000} */
  readonly busyTimeoutMs?: number;
}

/** The open state database: statements, and transactions that several processes may race for. */
export class Database {
  readonly #database: DatabaseSync;
  /** What to do once the open transaction is committed; `undefined` without one. */
  #afterCommit: Set<() => void> | undefined;

  /**
   * Opens the file, creates it if necessary, and brings its schema up to date. Only this user can read it, as it holds
   * the environment of every sandbox.
   *
   * No other code may open the file: closing any descriptor of it takes SQLite's locks away from the whole process
   * (fcntl(2)). Therefore its mode is set by path, and nothing may watch its directory.
   *
   * @throws {DatabaseError}
   */
  constructor(path: string) {
    let database: DatabaseSync | undefined;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      database = new DatabaseSync(path);
      this.#database = database;
      makePrivate(path);
      this.#setBusyTimeout(BUSY_TIMEOUT_MS);
      enterWalMode(this.#database);
      this.#database.exec("PRAGMA synchronous = NORMAL");
      this.#database.exec("PRAGMA foreign_keys = ON");
      this.#migrate(path);
    } catch (cause) {
      database?.close();
      if (cause instanceof DatabaseError) throw cause;
      throw new DatabaseError(`Cannot open the state database ${path}: ${messageOf(cause)}`, { cause });
    }
  }

  close(): void {
    this.#database.close();
  }

  /** Runs a statement; returns how many rows it changed. */
  run(sql: string, ...parameters: Parameter[]): number {
    return Number(attempt(() => this.#database.prepare(sql).run(...parameters)).changes);
  }

  get(sql: string, ...parameters: Parameter[]): Row | undefined {
    // Bun answers null where there is no row, Deno undefined.
    const row = attempt(() => this.#database.prepare(sql).get(...parameters));
    return (row as Row | null | undefined) ?? undefined;
  }

  all(sql: string, ...parameters: Parameter[]): Row[] {
    return attempt(() => this.#database.prepare(sql).all(...parameters)) as Row[];
  }

  /** Runs `body` as one write transaction: no other process writes in that time, and a `body` that throws changes nothing. */
  transaction<T>(body: () => T, { busyTimeoutMs = BUSY_TIMEOUT_MS }: TransactionOptions = {}): T {
    this.#begin(busyTimeoutMs);
    const actions = new Set<() => void>();
    let result: T;
    this.#afterCommit = actions;
    try {
      result = body();
      attempt(() => this.#database.exec("COMMIT"));
    } catch (error) {
      this.#rollBack();
      throw error;
    } finally {
      this.#afterCommit = undefined;
    }
    for (const action of actions) action();
    return result;
  }

  /** Runs `body` as one read transaction: all its statements see the database as it was at one moment. */
  snapshot<T>(body: () => T): T {
    attempt(() => this.#database.exec("BEGIN"));
    try {
      return body();
    } finally {
      this.#rollBack(); // there is nothing to commit
    }
  }

  /** Runs `action` once the open transaction is committed: once, however often it is passed. Without one, at once. */
  afterCommit(action: () => void): void {
    if (this.#afterCommit === undefined) action();
    else this.#afterCommit.add(action);
  }

  /** All that a write transaction waits for, it waits for here. */
  #begin(busyTimeoutMs: number): void {
    if (busyTimeoutMs === BUSY_TIMEOUT_MS) return attempt(() => this.#database.exec("BEGIN IMMEDIATE"));
    this.#setBusyTimeout(busyTimeoutMs);
    try {
      attempt(() => this.#database.exec("BEGIN IMMEDIATE"));
    } finally {
      this.#setBusyTimeout(BUSY_TIMEOUT_MS);
    }
  }

  #setBusyTimeout(timeoutMs: number): void {
    attempt(() => this.#database.exec(`PRAGMA busy_timeout = ${timeoutMs}`));
  }

  #rollBack(): void {
    try {
      this.#database.exec("ROLLBACK");
    } catch {
      // SQLite has rolled back by itself, as it does when the disk is full: what was thrown says why
    }
  }

  #migrate(path: string): void {
    if (this.#version() === MIGRATIONS.length) return;
    this.transaction(() => {
      const version = this.#version(); // again: another process may have migrated while we waited
      if (version > MIGRATIONS.length) {
        throw new DatabaseError(
          `Cannot use the state database ${path}: a newer release has written it (version ${version})`,
          {
            hint: "update microsandbox, or choose another home with MSB_HOME",
          },
        );
      }
      for (const statements of MIGRATIONS.slice(version)) this.#database.exec(statements);
      this.#database.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    });
  }

  #version(): number {
    return Number(this.get("PRAGMA user_version")?.["user_version"]);
  }
}

/** SQLite gives the files beside the database the mode of the database, but leaves those that are there as they are. */
function makePrivate(path: string): void {
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    try {
      chmodSync(file, 0o600);
    } catch (error) {
      if (errnoOf(error) !== "ENOENT" || file === path) throw error;
    }
  }
}

/**
 * Only the first to open a file changes its journal. SQLite does not wait for others who are doing the same, since each
 * holds what the other needs: all but one fail at once, and come again.
 */
function enterWalMode(database: DatabaseSync): void {
  const deadline = performance.now() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      return database.exec("PRAGMA journal_mode = WAL");
    } catch (error) {
      if (!messageOf(error).includes("locked") || performance.now() > deadline) throw error;
      pauseFor(WAL_RETRY_MS);
    }
  }
}

/** Blocks this thread, as SQLite itself does while it waits. For a few milliseconds only. */
export function pauseFor(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/** @throws {DatabaseError} for whatever SQLite says. */
function attempt<T>(statement: () => T): T {
  try {
    return statement();
  } catch (cause) {
    throw new DatabaseError(`The sandbox database failed: ${messageOf(cause)}`, { cause });
  }
}
