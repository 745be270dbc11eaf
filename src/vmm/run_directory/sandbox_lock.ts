/**
 * The lock of a sandbox: a VM host process holds it from before it claims a boot until it ends, and the kernel takes it
 * back. So it is a sign of life that other PID namespaces see, where pids say nothing and the run directory may not be
 * mounted; and no second VM opens the sandbox's disk, whatever the state database says.
 *
 * @module
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { pollUntil } from "../../base/wait.ts";
import { type FileLock, isFileLocked, removeLockFile, tryLockFile } from "../../platform/file_lock.ts";
import { homePaths } from "../../platform/home.ts";
import { namesIfPresent } from "../../platform/if_present.ts";

/** How long a VM host process tries: those that look hold the lock for less than a millisecond. */
const LOCK_WAIT_MS_MAX = 5_000;
const LOCK_POLL_MS = 5;
/** A lock file that leads to no sandbox may belong to one that is about to be created, unless it is this old. */
const ORPHAN_AGE_MS_MIN = 60_000;
const SUFFIX = ".lock";

/**
 * Takes the lock for the life of this process.
 *
 * @param isClaimable Asked while another process has the lock: `false` ends the wait.
 * @returns `undefined` if another VM host process holds it.
 */
export async function holdSandboxLock(
  home: string,
  id: string,
  isClaimable: () => boolean,
): Promise<FileLock | undefined> {
  const outcome = await pollUntil(
    () => tryLockFile(lockPath(home, id), "exclusive") ?? (isClaimable() ? undefined : "refused"),
    { everyMs: LOCK_POLL_MS, timeoutMs: LOCK_WAIT_MS_MAX },
  );
  return outcome === "refused" ? undefined : outcome;
}

/** Whether a VM host process of the sandbox is alive. Those of earlier releases take no lock. */
export function isSandboxLocked(home: string, id: string): boolean {
  return isFileLocked(lockPath(home, id));
}

/** For a sandbox that is gone: no other ever has its id. */
export function removeSandboxLock(home: string, id: string): void {
  removeLockFile(lockPath(home, id));
}

function removeIfFree(path: string): void {
  try {
    using lock = tryLockFile(path, "exclusive");
    if (lock !== undefined) removeLockFile(path);
  } catch (error) {
    if (existsSync(path)) throw error; // else another process has removed it
  }
}

/** Removes the locks of sandboxes that were never created. `known` are the ids of those that were. */
export function sweepSandboxLocks(home: string, known: () => ReadonlySet<string>): void {
  const names = lockNames(home);
  if (names.length === 0) return;
  const expected = new Set([...known()].map((id) => lockPath(home, id)));
  for (const name of names) {
    const path = join(homePaths(home).locks, name);
    const status = statSync(path, { throwIfNoEntry: false }); // other processes sweep, too
    if (status === undefined || expected.has(path) || Date.now() - status.mtimeMs < ORPHAN_AGE_MS_MIN)
      continue;
    removeIfFree(path);
  }
}

function lockNames(home: string): string[] {
  return namesIfPresent(homePaths(home).locks).filter((name) => name.endsWith(SUFFIX));
}

function lockPath(home: string, id: string): string {
  return join(homePaths(home).locks, `${encodeURIComponent(id)}${SUFFIX}`);
}
