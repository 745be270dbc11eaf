/**
 * Keeps the disks of users for one VM while it lives. The kernel takes the locks back when this process ends.
 *
 * @module
 */
import { realpathSync, statSync } from "node:fs";
import { IoError } from "../../base/errors.ts";
import { pollUntil } from "../../base/wait.ts";
import { tryLockFile } from "../../platform/file_lock.ts";
import type { StateStore } from "../../state/state_store.ts";
import { DiskInUseError } from "../errors.ts";
import type { DiskConfig } from "../host_protocol.ts";
import { holdVolume } from "./volume_holds.ts";

/** How long to try: a look at a lock holds it for less than a millisecond, a VM that ends a little longer. */
const LOCK_WAIT_MS_MAX = 1_000;
const LOCK_POLL_MS = 10;

/**
 * Takes the locks, and looks that the paths still lead to the disks.
 *
 * @throws {DiskInUseError}
 */
export async function holdDisks(state: StateStore, disks: readonly DiskConfig[]): Promise<void> {
  for (const { path, readOnly, lockPath } of disks) {
    if (lockPath === undefined) continue;
    const lock = await pollUntil(() => tryLockFile(lockPath, readOnly ? "shared" : "exclusive"), {
      everyMs: LOCK_POLL_MS,
      timeoutMs: LOCK_WAIT_MS_MAX,
    });
    if (lock === undefined) throw new DiskInUseError(path);
    holdVolume(state, path);
    checkPath(path);
  }
}

/** The path was resolved when the sandbox was created: what lies on it since then, a guest may have made. @throws {IoError} */
function checkPath(path: string): void {
  try {
    if (realpathSync(path) !== path) throw new Error("a symbolic link has come to lie on the path");
    if (!statSync(path).isFile()) throw new Error("it is no regular file any more");
  } catch (error) {
    throw new IoError(`use the disk ${path}`, path, error);
  }
}
