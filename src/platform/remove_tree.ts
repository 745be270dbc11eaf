/**
 * Removes trees that a guest has written. It may have left directories that their owner may not look into or write to, and some
 * that lie deeper than a path can reach.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { chmodSync, readdirSync, renameSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";

const WHOLE = { recursive: true, force: true } as const;
const OWNER_ONLY = 0o700;
/** Bytes of a path past which a directory is moved up: well below what the kernel takes, with a name behind it. */
const PATH_LENGTH_MAX = 2048;

/** Removes a directory with all that is in it, while other work goes on. @throws the system error if something stays. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, WHOLE);
  } catch {
    openUp(path);
    await rm(path, WHOLE);
  }
}

/** {@linkcode removeTree} that blocks this thread, for few files. */
export function removeTreeNow(path: string): void {
  try {
    rmSync(path, WHOLE);
  } catch {
    openUp(path);
    rmSync(path, WHOLE);
  }
}

/** Gives this user all rights to the directories of a tree that no other process works in. A failure shows when the tree is removed. */
function openUp(top: string): void {
  const waiting = [top];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    try {
      chmodSync(path, OWNER_ONLY);
      const near = Buffer.byteLength(path) > PATH_LENGTH_MAX ? join(top, randomUUID()) : path;
      if (near !== path) renameSync(path, near);
      for (const entry of readdirSync(near, { withFileTypes: true }))
        if (entry.isDirectory()) waiting.push(join(near, entry.name));
    } catch {
      // the others still become free
    }
  }
}
