/**
 * Tells whether a local path has changed, without reading its contents.
 *
 * The key is a hash of every file's identity and status: name, device, inode, type and mode, owner, size, link count,
 * modification time **and status change time**. The kernel updates the last one whenever data, attributes or names of a
 * file change, and no program can set it back. An equal key therefore means equal contents, except for a change within
 * the same tick of the kernel's clock; {@linkcode SourceKey.isSettled} tells of that case.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { type BigIntStats, lstatSync, readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { IoError } from "../../base/errors.ts";
import { Pace } from "../stream/yielding.ts";

/** A change this recent could be followed by another that leaves no trace, in milliseconds. */
export const SETTLING_MS = 2000;
/** Most files to check; a larger tree always counts as changed. */
export const SOURCE_FILES_MAX = 1_000_000;

/** Current state of a path. */
export interface SourceKey {
  readonly key: string;
  /** Whether the newest change is old enough for the key to be reliable. */
  readonly isSettled: boolean;
}

/**
 * Computes the key of a file, or of a directory and everything below it. Does not follow symbolic links below the path.
 */
export async function readSourceKey(path: string, signal: AbortSignal | undefined): Promise<SourceKey> {
  const nowMs = Date.now();
  const hash = createHash("sha256");
  const pace = new Pace("looking at a local image", signal);
  let newestMs = 0;
  let count = 0;
  let isExact = true;
  const note = (name: string, stats: BigIntStats): void => {
    // Without this time, changes cannot be detected.
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
