/**
 * The directories of sandboxes: where they are, and how they go.
 *
 * A directory goes in the same transaction as its row. But the disk is no part of a transaction: a process that is killed
 * in between leaves the row, and the directory at {@linkcode removalPath}, from where whoever sees it goes on.
 *
 * @module
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { homePaths } from "../../platform/home.ts";
import { begunRemovals, removalPath, stagingPath } from "../../platform/staging.ts";
import type { Registry } from "../../state/state_store.ts";

/** Where the sandbox called `name` keeps its disk and its logs. */
export function sandboxDirectory(home: string, name: string): string {
  return join(homePaths(home).sandboxes, name);
}

export function logDirectory(home: string, name: string): string {
  return join(sandboxDirectory(home, name), "logs");
}

/** Takes back a creation, its directory included. Does nothing if the boot is not that creation's any more. */
export function discardCreation(registry: Registry, key: { id: string; name: string }, reason: string): void {
  const trash = stagingPath(registry.home);
  registry.abandonCreate(
    { id: key.id, bootNumber: 1 },
    { reason, move: { from: sandboxDirectory(registry.home, key.name), to: trash } },
  );
  rmSync(trash, { recursive: true, force: true });
}

/** Forgets a sandbox that does not run, and deletes its directory. */
export function discard(
  registry: Registry,
  { id, name }: { readonly id: string; readonly name: string },
): "removed" | "live" | "absent" {
  const trash = removalPath(registry.home, id);
  const outcome = registry.remove(id, { from: sandboxDirectory(registry.home, name), to: trash });
  if (outcome === "removed") rmSync(trash, { recursive: true, force: true });
  return outcome;
}

/** Goes on with the removals that processes had begun that were killed on the way. */
export function finishRemovals(registry: Registry): void {
  for (const id of begunRemovals(registry.home)) {
    const record = registry.findById(id);
    if (record !== undefined) discard(registry, record);
    else rmSync(removalPath(registry.home, id), { recursive: true, force: true });
  }
}
