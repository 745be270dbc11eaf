/**
 * Volumes that this process serves to its guest: each is locked, so that it is not removed. The kernel takes the locks back
 * when this process ends.
 *
 * @module
 */
import { MicrosandboxError } from "../../base/errors.ts";
import type { FileLock } from "../../platform/file_lock.ts";
import type { StateStore } from "../../state/state_store.ts";
import { tryLockVolume, volumeIdOf } from "../../volume/volume_place.ts";

/** Volumes of a sandbox that is coming up; `undefined` once it has. */
let unsettled: Set<string> | undefined = new Set();

/** Keeps the volumes that were made for this sandbox: it has come up. */
export function settleVolumes(state: StateStore): void {
  for (const id of unsettled ?? []) state.volumes.settle(id);
  unsettled = undefined;
}

/** Keeps the volume that `path` lies in: a running sandbox has mounted it. */
export function settleVolume(state: StateStore, path: string): void {
  const id = unsettled === undefined ? volumeIdOf(state.home, path) : undefined;
  if (id !== undefined) state.volumes.settle(id);
}

/**
 * Locks the volume that `path` lies in, until the result is disposed of; `undefined` if it lies in none.
 *
 * @throws {MicrosandboxError} `volumeNotFound` if the volume is gone, or is being removed.
 */
export function holdVolume(state: StateStore, path: string): FileLock | undefined {
  const id = volumeIdOf(state.home, path);
  if (id === undefined) return undefined;
  const lock = tryLockVolume(state.home, id, "use", "shared");
  if (lock !== undefined && state.volumes.findById(id) !== undefined) {
    unsettled?.add(id);
    return lock;
  }
  lock?.[Symbol.dispose]();
  throw new MicrosandboxError("volumeNotFound", `The volume of ${path} has been removed`);
}
