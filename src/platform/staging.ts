/**
 * A directory for what is being made or being deleted, so that what has its final name is always whole.
 *
 * Entries are named after the process that works on them; those of a dead process are swept at the next occasion.
 *
 * @module
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { homePaths } from "./home.ts";
import { isSameProcess, ownProcess } from "./process_identity.ts";

const own = ownProcess();
let count = 0;

/** A path in the staging directory of `home` that nobody else uses. Nothing is made there. */
export function stagingPath(home: string): string {
  const directory = homePaths(home).trash;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return join(directory, `${own.pid}-${own.startTime}-${count++}`);
}

/** Deletes what dead processes left. */
export function sweepStaging(home: string): void {
  const directory = homePaths(home).trash;
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return; // never used
  }
  for (const name of names) {
    const [pid, startTime] = name.split("-");
    if (isSameProcess({ pid: Number(pid), startTime: startTime ?? "" })) continue;
    rmSync(join(directory, name), { recursive: true, force: true });
  }
}
