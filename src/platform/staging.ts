/**
 * A directory for what is being made or being deleted, so that what has its final name is always whole.
 *
 * Entries are named after the process that works on them; those of a dead process are swept at the next occasion.
 *
 * @module
 */
import { randomInt } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { homePaths } from "./home.ts";
import { isSameProcess, ownProcess, type ProcessIdentity } from "./process_identity.ts";

/** Of what {@linkcode removalPath} gives; no {@linkcode stagingName} begins so. */
const REMOVED = "removed-";

/** From where names are counted: a process has this module in each of its Workers, and none knows of the others. */
const COUNT_BEGIN_MAX = 2 ** 47;

const own = ownProcess();
let count = randomInt(COUNT_BEGIN_MAX);

/** A path in the staging directory of `home` that nobody else uses. Nothing is made there. */
export function stagingPath(home: string): string {
  const directory = homePaths(home).trash;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return join(directory, stagingName());
}

/** A name that nobody else gives anything; it says that this process works on what has it. */
export function stagingName(): string {
  return `${own.pid}-${own.startTime}-${count++}`;
}

/** The process that works on what has this name; `undefined` if it is no {@linkcode stagingName}. */
export function stagingOwner(name: string): ProcessIdentity | undefined {
  const [, pid, startTime] = /^(\d+)-(.*)-\d+$/.exec(name) ?? [];
  return startTime === undefined ? undefined : { pid: Number(pid), startTime };
}

/**
 * Where the directory of the sandbox `id` goes when that is removed. A process that is killed between this and the removal
 * of the sandbox's row leaves it there, and whoever sees it goes on with what was begun.
 */
export function removalPath(home: string, id: string): string {
  mkdirSync(homePaths(home).trash, { recursive: true, mode: 0o700 });
  return removedPath(home, id);
}

/** Whether the directory of the sandbox `id` has gone there. */
export function isRemovalBegun(home: string, id: string): boolean {
  return existsSync(removedPath(home, id));
}

/** Ids of the sandboxes whose directories are out of the way. Of most, nothing else is left either. */
export function begunRemovals(home: string): string[] {
  const names = namesIn(home).filter((name) => name.startsWith(REMOVED));
  return names.map((name) => name.slice(REMOVED.length));
}

function removedPath(home: string, id: string): string {
  return join(homePaths(home).trash, `${REMOVED}${id}`);
}

/** Deletes what dead processes left, but for removals. */
export function sweepStaging(home: string): void {
  for (const name of namesIn(home)) {
    if (name.startsWith(REMOVED)) continue;
    const owner = stagingOwner(name);
    if (owner !== undefined && isSameProcess(owner)) continue;
    rmSync(join(homePaths(home).trash, name), { recursive: true, force: true });
  }
}

function namesIn(home: string): string[] {
  try {
    return readdirSync(homePaths(home).trash);
  } catch {
    return []; // never used
  }
}
