/**
 * Makes run directories, and finds those that nobody will need again.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { IoError } from "../../base/errors.ts";
import { isSameProcess } from "../../platform/process_identity.ts";
import { ensureRunRoot } from "../../platform/run_root.ts";
import { stagingName, stagingOwner } from "../../platform/staging.ts";
import { keepRunDirectory, RunFile, readIdentity, removeRunDirectory } from "./run_directory.ts";

/** A directory whose keeper cannot be read, as after a power cut, is nobody's when it is this old. */
const UNKEPT_AGE_MS_MAX = 60_000;

/** Makes a run directory under a name that nobody else has; it appears with its keeper. @throws {IoError} */
export function createRunDirectory(home: string): string {
  const root = ensureRunRoot(home);
  const directory = join(root, randomBytes(8).toString("hex"));
  const coming = join(root, stagingName());
  try {
    mkdirSync(coming, { mode: 0o700 });
    keepRunDirectory(coming);
    renameSync(coming, directory);
  } catch (error) {
    throw new IoError(`create ${directory}`, directory, error);
  }
  return directory;
}

/**
 * Removes the directories to which no record leads, and whose keepers are dead: of those who were killed before their VM
 * host process had claimed a sandbox, and of VM host processes that were killed after their sandbox was removed. Also
 * what a kill left half made or half removed. `known` says which ones records lead to; it is asked behind the look at
 * what there is.
 */
export function sweepRunDirectories(home: string, known: () => ReadonlySet<string | undefined>): void {
  const root = ensureRunRoot(home);
  const orphans = readdirSync(root)
    .filter((name) => {
      const keeper = stagingOwner(name) ?? readIdentity(join(root, name, RunFile.keeper));
      return keeper === undefined ? isOld(join(root, name)) : !isSameProcess(keeper);
    })
    .map((name) => join(root, name));
  if (orphans.length === 0) return;
  const claimed = known();
  for (const directory of orphans) if (!claimed.has(directory)) removeRunDirectory(directory);
}

function isOld(directory: string): boolean {
  const status = statSync(directory, { throwIfNoEntry: false }); // others sweep, too
  return status !== undefined && Date.now() - status.mtimeMs > UNKEPT_AGE_MS_MAX;
}
