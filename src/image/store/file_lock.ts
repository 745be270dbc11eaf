/**
 * The locks of the image store between processes, by what is locked.
 *
 * @module
 */
import { join } from "node:path";
import { TimeoutError } from "../../base/errors.ts";
import { pollUntil } from "../../base/wait.ts";
import { type FileLock, type LockMode, tryLockFile } from "../../platform/file_lock.ts";
import { sha256Digest } from "../oci/digest.ts";

/** Time limit of a wait for a lock: longer than any pull that makes progress should take. */
export const LOCK_WAIT_MS_MAX = 60 * 60 * 1000;
const POLL_FIRST_MS = 2;
const POLL_MS_MAX = 100;
/** Number of hex digits of a key's hash that choose its lock file: 256 files per kind, which are never removed. */
const STRIPE_DIGITS = 2;

/**
 * What is locked. A holder of several locks takes them in this order, at most one of the first three at a time, and
 * waits for nothing else while it holds a `"blob"`. So there is no deadlock, although keys share files.
 */
export type LockKind = "store" | "source" | "image" | "blob";

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
    const lock = await pollUntil(() => this.tryAcquire(kind, key, mode), {
      ...{ everyMs: POLL_FIRST_MS, everyMsMax: POLL_MS_MAX, timeoutMs: LOCK_WAIT_MS_MAX },
      ...{ action: `waiting for ${kind} ${key}`, signal },
    });
    if (lock !== undefined) return lock;
    throw new TimeoutError(`waiting for another process to be done with ${kind} ${key}`, LOCK_WAIT_MS_MAX);
  }

  /** Returns the lock, or `undefined` if another holder has it. @throws {IoError} */
  tryAcquire(kind: LockKind, key: string, mode: LockMode): FileLock | undefined {
    const path = join(this.#directory, `${kind}-${stripeOf(key)}.lock`);
    return tryLockFile(path, mode);
  }
}

function stripeOf(key: string): string {
  return sha256Digest(key).slice("sha256:".length, "sha256:".length + STRIPE_DIGITS);
}
