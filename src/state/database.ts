/**
 * The SQLite file that holds the state of all sandboxes, through `node:sqlite`, which both runtimes have built in.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../base/errors.ts";
import { DatabaseError } from "./errors.ts";

/** How long a statement waits for another process's transaction, if not told. Ours take milliseconds. */
const BUSY_TIMEOUT_MS = 10_000;
const WAL_RETRY_MS = 5;

/** Statements that lead from one schema version to the next; entry n makes version n + 1. Never edited, only added to. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE sandbox (
     id TEXT PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     status TEXT NOT NULL,
     status_reason TEXT,
     boot_number INTEGER NOT NULL,
     config TEXT NOT NULL,
     image_digest TEXT NOT NULL,
     run_directory TEXT,
     host_pid INTEGER,
     host_start_time TEXT,
     created_at INTEGER NOT NULL,
     updated_at INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE label (
     sandbox_id TEXT NOT NULL REFERENCES sandbox (id) ON DELETE CASCADE,
     key TEXT NOT NULL,
     value TEXT NOT NULL,
     PRIMARY KEY (sandbox_id, key)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX label_by_key ON label (key, value);
   CREATE TABLE event (
     sequence INTEGER PRIMARY KEY AUTOINCREMENT,
     sandbox_id TEXT NOT NULL,
     name TEXT NOT NULL,
     action TEXT NOT NULL,
     timestamp INTEGER NOT NULL,
     attributes TEXT NOT NULL
   ) STRICT;
   CREATE INDEX event_by_sandbox ON event (sandbox_id, sequence);
   CREATE TABLE image_claim (
     digest TEXT NOT NULL,
     pid INTEGER NOT NULL,
     start_time TEXT NOT NULL,
     PRIMARY KEY (digest, pid, start_time)
   ) STRICT, WITHOUT ROWID;`,
  // Without a reference to the sandbox: a lease may begin before it, and end after it.
  `CREATE TABLE lease (
     sandbox_id TEXT PRIMARY KEY,
     address INTEGER NOT NULL UNIQUE,
     device TEXT NOT NULL UNIQUE,
     network TEXT NOT NULL,
     holder_pid INTEGER NOT NULL,
     holder_start_time TEXT NOT NULL,
     is_routed INTEGER NOT NULL
   ) STRICT;`,
  // What has to be known of a sandbox for longer than its events are kept. By a trigger, as VM host processes of the
  // release before go on writing events.
  `ALTER TABLE sandbox ADD COLUMN ready_at INTEGER;
   ALTER TABLE sandbox ADD COLUMN is_busy INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE sandbox ADD COLUMN idle_at INTEGER;
   ALTER TABLE sandbox ADD COLUMN idle_exit_code INTEGER;
   CREATE TRIGGER event_of_use AFTER INSERT ON event WHEN NEW.action IN ('ready', 'running', 'idle') BEGIN
     UPDATE sandbox SET is_busy = NEW.action = 'running' WHERE id = NEW.sandbox_id;
     UPDATE sandbox SET ready_at = NEW.timestamp WHERE id = NEW.sandbox_id AND NEW.action = 'ready';
     UPDATE sandbox SET idle_at = NEW.timestamp, idle_exit_code = json_extract(NEW.attributes, '$.exitCode')
       WHERE id = NEW.sandbox_id AND NEW.action = 'idle';
   END;
   UPDATE sandbox SET
     ready_at = (SELECT timestamp FROM event WHERE sandbox_id = sandbox.id AND action = 'ready'
       ORDER BY sequence DESC LIMIT 1),
     is_busy = coalesce((SELECT action = 'running' FROM event WHERE sandbox_id = sandbox.id
       AND action IN ('ready', 'running', 'idle') ORDER BY sequence DESC LIMIT 1), 0),
     (idle_at, idle_exit_code) = (SELECT timestamp, json_extract(attributes, '$.exitCode') FROM event
       WHERE sandbox_id = sandbox.id AND action = 'idle' ORDER BY sequence DESC LIMIT 1);`,
  // A process may be creating several sandboxes of an image at once.
  `ALTER TABLE image_claim ADD COLUMN uses INTEGER NOT NULL DEFAULT 1;`,
];

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

  /** Opens the file, makes it if need be, and brings its schema up to date. @throws {DatabaseError} */
  constructor(path: string) {
    let database: DatabaseSync | undefined;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      database = new DatabaseSync(path);
      this.#database = database;
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

  /** Runs `body` as one write transaction: nobody else writes meanwhile, and what throws leaves no trace. */
  transaction<T>(body: () => T, { busyTimeoutMs = BUSY_TIMEOUT_MS }: TransactionOptions = {}): T {
    this.#begin(busyTimeoutMs);
    try {
      const result = body();
      attempt(() => this.#database.exec("COMMIT"));
      return result;
    } catch (error) {
      this.#rollBack();
      throw error;
    }
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
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAL_RETRY_MS);
    }
  }
}

/** @throws {DatabaseError} for whatever SQLite says. */
function attempt<T>(statement: () => T): T {
  try {
    return statement();
  } catch (cause) {
    throw new DatabaseError(`The sandbox database failed: ${messageOf(cause)}`, { cause });
  }
}
