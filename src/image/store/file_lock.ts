/**
 * Locks between processes, which the kernel releases when the holder dies, however it dies.
 *
 * Neither runtime has `flock`. Both have SQLite, which takes POSIX locks on a database file and also keeps them apart
 * within a process. A lock here is an open transaction on an empty database; nothing is ever written to it.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { AbortedError, IoError, TimeoutError } from "../../base/errors.ts";
import { sha256Digest } from "../oci/digest.ts";

/** Time limit of a wait for a lock: longer than any pull that makes progress should take. */
export const LOCK_WAIT_MS_MAX = 60 * 60 * 1000;
const POLL_FIRST_MS = 2;
const POLL_MS_MAX = 100;
/** Number of hex digits of a key's hash that choose its lock file: 256 files per kind, which are never removed. */
const STRIPE_DIGITS = 2;

/** Shared locks exclude exclusive ones; exclusive locks exclude all. */
export type LockMode = "shared" | "exclusive";

/**
 * What is locked. A holder of several locks takes them in this order, at most one of the first three at a time, and
 * waits for nothing else while it holds a `"blob"`. So there is no deadlock, although keys share files.
 */
export type LockKind = "store" | "source" | "image" | "blob";

/** A lock that is held. */
export interface FileLock extends Disposable {
  readonly mode: LockMode;
}

/** Locks in one directory. */
export class FileLocks {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Waits for the lock.
   *
   * @throws {AbortedError | TimeoutError | IoError}
   */
  async acquire(kind: LockKind, key: string, mode: LockMode, signal?: AbortSignal): Promise<FileLock> {
    const deadline = performance.now() + LOCK_WAIT_MS_MAX;
    for (let pauseMs = POLL_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, POLL_MS_MAX)) {
      if (signal?.aborted) throw new AbortedError(`waiting for ${kind} ${key}`, signal.reason);
      const lock = this.tryAcquire(kind, key, mode);
      if (lock !== undefined) return lock;
      if (performance.now() > deadline) {
        throw new TimeoutError(
          `waiting for another process to be done with ${kind} ${key}`,
          LOCK_WAIT_MS_MAX,
        );
      }
      await delay(pauseMs, undefined, signal === undefined ? {} : { signal }).catch(() => {}); // seen above
    }
  }

  /** Returns the lock, or `undefined` if another holder has it. @throws {IoError} */
  tryAcquire(kind: LockKind, key: string, mode: LockMode): FileLock | undefined {
    const path = join(this.#directory, `${kind}-${stripeOf(key)}.lock`);
    let database: DatabaseSync | undefined;
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      database = new DatabaseSync(path);
      database.exec("PRAGMA busy_timeout = 0");
      // A shared lock is taken by the first read of a transaction.
      database.exec(mode === "exclusive" ? "BEGIN EXCLUSIVE" : "BEGIN; SELECT count(*) FROM sqlite_schema");
      const held = database;
      return { mode, [Symbol.dispose]: () => held.close() };
    } catch (error) {
      database?.close();
      if (error instanceof Error && /database is locked/.test(error.message)) return undefined;
      throw new IoError(`lock ${path}`, path, error);
    }
  }
}

function stripeOf(key: string): string {
  return sha256Digest(key).slice("sha256:".length, "sha256:".length + STRIPE_DIGITS);
}
