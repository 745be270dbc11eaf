/**
 * A directory for what is being made or deleted, so that everything under its final name is always whole.
 *
 * Entries are named after the process that works on them; those of dead processes are swept on the next occasion.
 *
 * @module
 */
import { existsSync, lstatSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { homePaths } from "./home.ts";
import { namesIfPresent } from "./if_present.ts";
import { isElsewhere, isSameProcess, ownProcess, type ProcessIdentity } from "./process_identity.ts";

/** Prefix of the names that {@linkcode removalPath} gives; no {@linkcode stagingName} has it. */
const REMOVED = "removed-";

const own = ownProcess();
/** Counted from a random number, as each Worker of a process has its own copy of this module. */
let count = randomCount();

/** At most 2 ** 47, so that counting on stays exact. */
function randomCount(): number {
  const [random = 0n] = crypto.getRandomValues(new BigUint64Array(1));
  return Number(random >> 17n);
}

/** A new path in the staging directory of `home`. Creates nothing at it. */
export function stagingPath(home: string): string {
  const directory = homePaths(home).trash;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return join(directory, stagingName());
}

/** A unique name, which says that this process works on the entry that has it. */
export function stagingName(): string {
  return `${own.pid}-${own.startTime}-${count++}`;
}

/** The process that works on the entry of this name; `undefined` for names that are not from {@linkcode stagingName}. */
export function stagingOwner(name: string): ProcessIdentity | undefined {
  const [, pid, startTime] = /^(\d+)-(.*)-\d+$/.exec(name) ?? [];
  return startTime === undefined ? undefined : { pid: Number(pid), startTime };
}

/**
 * Where the directory of sandbox `id` is moved when the sandbox is removed. If the process is killed before it has removed
 * the sandbox's row, the directory stays there, and the next process that sees it completes the removal.
 */
export function removalPath(home: string, id: string): string {
  mkdirSync(homePaths(home).trash, { recursive: true, mode: 0o700 });
  return removedPath(home, id);
}

/** Whether the directory of sandbox `id` has been moved to {@linkcode removalPath}. */
export function isRemovalBegun(home: string, id: string): boolean {
  return existsSync(removedPath(home, id));
}

/** Ids of the sandboxes whose removal was begun. Most of them are gone completely. */
export function begunRemovals(home: string): string[] {
  const names = namesIfPresent(homePaths(home).trash).filter((name) => name.startsWith(REMOVED));
  return names.map((name) => name.slice(REMOVED.length));
}

function removedPath(home: string, id: string): string {
  return join(homePaths(home).trash, `${REMOVED}${id}`);
}

/**
 * How long what a process of another PID namespace works on counts as held, as only a process there can tell whether that
 * one lives. Longer than anything takes that is staged.
 */
const ELSEWHERE_MS_MAX = 24 * 60 * 60 * 1000;

/** Whether the process that works on `path`, or holds it, is alive, or may be. @throws {IoError} if it cannot be told. */
export function isHeld(path: string, holder: ProcessIdentity, nowMs: number = Date.now()): boolean {
  if (isSameProcess(holder)) return true;
  if (!isElsewhere(holder)) return false;
  const status = lstatSync(path, { throwIfNoEntry: false });
  return status !== undefined && nowMs - status.ctimeMs < ELSEWHERE_MS_MAX; // a new name is a change, too
}

/** Deletes what dead processes left, except removals that were begun. */
export function sweepStaging(home: string): void {
  for (const name of namesIfPresent(homePaths(home).trash)) {
    if (name.startsWith(REMOVED)) continue;
    const path = join(homePaths(home).trash, name);
    const owner = stagingOwner(name);
    if (owner !== undefined && isHeld(path, owner)) continue;
    rmSync(path, { recursive: true, force: true });
  }
}
