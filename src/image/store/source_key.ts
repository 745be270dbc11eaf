/**
 * Whether a local path is still what it was, without reading its contents.
 *
 * The key is a hash of every file's identity and status: name, device, inode, type and mode, owner, size, link count,
 * modification time **and status change time**. The kernel sets the last one whenever data, attributes or names of a
 * file change, and no program can set it back; so an equal key means equal contents, but for a change in the same tick
 * of the kernel's clock. {@linkcode SourceKey.isSettled} tells of that case.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { type BigIntStats, lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { IoError } from "../../base/errors.ts";
import { Pace } from "../stream/yielding.ts";

/** A change this close to the look at it could be followed by one that leaves no trace. */
export const SETTLING_MS = 2000;
/** Most files that are looked at: a larger tree is taken as new each time. */
export const SOURCE_FILES_MAX = 1_000_000;

/** What a path is now. */
export interface SourceKey {
  readonly key: string;
  /** Whether the newest change is old enough for the key to be relied on. */
  readonly isSettled: boolean;
}

/** Looks at a file, or at a directory and all below it. Symbolic links below are not followed. */
export async function readSourceKey(path: string, signal: AbortSignal | undefined): Promise<SourceKey> {
  const nowMs = Date.now();
  const hash = createHash("sha256");
  const pace = new Pace("looking at a local image", signal);
  let newestMs = 0;
  let count = 0;
  let isExact = true;
  const note = (name: string, stats: BigIntStats): void => {
    // A runtime or file system without this time cannot tell of changes.
    if (stats.ctimeMs <= 0n) isExact = false;
    newestMs = Math.max(newestMs, Number(stats.ctimeMs));
    count++;
    addStats(hash, name, stats);
  };
  try {
    const root = realpathSync(path);
    const stats = statSync(root, { bigint: true });
    note(root, stats);
    const pending = stats.isDirectory() ? [root] : [];
    for (let next = pending.pop(); next !== undefined && count <= SOURCE_FILES_MAX; next = pending.pop()) {
      for (const name of readdirSync(next).sort()) {
        const child = join(next, name);
        const found = lstatSync(child, { bigint: true });
        note(child, found);
        if (found.isDirectory()) pending.push(child);
        if (pace.step()) await pace.turn();
      }
    }
  } catch (error) {
    throw error instanceof Error && "code" in error && typeof error.code === "string" && !("hint" in error)
      ? new IoError(`read ${path}`, path, error)
      : error;
  }
  const isSettled = isExact && count <= SOURCE_FILES_MAX && nowMs - newestMs > SETTLING_MS;
  return { key: hash.digest("hex"), isSettled };
}

function addStats(hash: Hash, name: string, stats: BigIntStats): void {
  const { dev, ino, mode, uid, gid, size, nlink, rdev, mtimeNs, ctimeNs, ctimeMs } = stats;
  hash.update(
    `${name}\0${dev}:${ino}:${mode}:${uid}:${gid}:${size}:${nlink}:${rdev}:${mtimeNs}:${ctimeNs}:${ctimeMs}\n`,
  );
}
