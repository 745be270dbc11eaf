/**
 * The directories of sandboxes: where they are, and how they go.
 *
 * A directory goes in the same transaction as its row. But the disk is no part of a transaction: a process that is killed
 * in between leaves the row, and the directory at {@linkcode removalPath}, where the next process that sees it finishes the removal.
 *
 * @module
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { homePaths } from "../../platform/home.ts";
import { begunRemovals, removalPath, stagingPath } from "../../platform/staging.ts";
import type { StateStore } from "../../state/state_store.ts";
import { removeSandboxLock } from "../../vmm/run_directory/sandbox_lock.ts";

/** Where the sandbox called `name` keeps its disk and its logs. */
export function sandboxDirectory(home: string, name: string): string {
  return join(homePaths(home).sandboxes, name);
}

export function logDirectory(home: string, name: string): string {
  return join(sandboxDirectory(home, name), "logs");
}

/** Name of the writable disk in a sandbox's directory. */
export const UPPER_NAME = "upper.ext4";

/** Directories that {@linkcode setAside} keeps. The oldest goes when there is one more. */
export const LOST_KEPT_MAX = 10;

/**
 * Makes room for the directory of a new sandbox. If the state database was lost, that of another may be there, with a disk
 * that somebody wants back: it is moved away, not deleted.
 *
 * @returns Where it is now; `undefined` if there was no disk.
 */
export function setAside(home: string, name: string): string | undefined {
  const place = sandboxDirectory(home, name);
  if (!existsSync(join(place, UPPER_NAME))) {
    rmSync(place, { recursive: true, force: true });
    return undefined;
  }
  const { lost } = homePaths(home);
  mkdirSync(lost, { recursive: true, mode: 0o700 });
  const directory = join(lost, `${new Date().toISOString().replaceAll(":", "-")}-${name}`);
  renameSync(place, directory);
  return directory;
}

/** Deletes all but the newest directories that were set aside. */
export function sweepLost(home: string): void {
  const names = readdirSync(homePaths(home).lost).sort(); // by time, with which they begin
  for (const name of names.slice(0, -LOST_KEPT_MAX))
    rmSync(join(homePaths(home).lost, name), { recursive: true, force: true });
}

/** Takes back a creation, its directory included. Does nothing if the boot is not that creation's any more. */
export function discardCreation(state: StateStore, key: { id: string; name: string }, reason: string): void {
  const trash = stagingPath(state.home);
  state.abandonCreate(
    { id: key.id, bootNumber: 1 },
    { reason, move: { from: sandboxDirectory(state.home, key.name), to: trash } },
  );
  rmSync(trash, { recursive: true, force: true });
  if (state.findById(key.id) === undefined) removeSandboxLock(state.home, key.id);
}

/** Forgets a sandbox that does not run, and deletes its directory. */
export function discard(
  state: StateStore,
  { id, name }: { readonly id: string; readonly name: string },
): "removed" | "live" | "absent" {
  const trash = removalPath(state.home, id);
  const outcome = state.remove(id, { from: sandboxDirectory(state.home, name), to: trash });
  if (outcome === "removed") {
    rmSync(trash, { recursive: true, force: true });
    removeSandboxLock(state.home, id);
  }
  return outcome;
}

/** Goes on with the removals that processes had begun that were killed on the way. */
export function finishRemovals(state: StateStore): void {
  for (const id of begunRemovals(state.home)) {
    const record = state.findById(id);
    if (record !== undefined) discard(state, record);
    else rmSync(removalPath(state.home, id), { recursive: true, force: true });
  }
}
