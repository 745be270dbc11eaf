/**
 * Makes run directories, and finds those that nobody will need again.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { IoError } from "../base/errors.ts";
import { isSameProcess } from "../platform/process_identity.ts";
import { ensureRunRoot } from "../platform/run_root.ts";
import { keepRunDirectory, RunFile, readIdentity, removeRunDirectory } from "./run_directory.ts";

/** A directory without a keeper is about to get one, unless it is this old. */
const UNKEPT_AGE_MS_MAX = 60_000;

/** Makes a run directory under a name that nobody else has. @throws {IoError} */
export function createRunDirectory(home: string): string {
  const directory = join(ensureRunRoot(home), randomBytes(8).toString("hex"));
  try {
    mkdirSync(directory, { mode: 0o700 });
    keepRunDirectory(directory);
  } catch (error) {
    throw new IoError(`create ${directory}`, directory, error);
  }
  return directory;
}

/**
 * Removes the directories to which no record leads, and whose keepers are dead: of those who were killed before their VM
 * host process had claimed a sandbox, and of VM host processes that were killed after their sandbox was removed. `known`
 * says which ones records lead to; it is asked behind the look at what there is.
 */
export function sweepRunDirectories(home: string, known: () => ReadonlySet<string | undefined>): void {
  const root = ensureRunRoot(home);
  const orphans = readdirSync(root)
    .map((name) => join(root, name))
    .filter((directory) => {
      const keeper = readIdentity(join(directory, RunFile.keeper));
      return keeper === undefined ? isOld(directory) : !isSameProcess(keeper);
    });
  if (orphans.length === 0) return;
  const claimed = known();
  for (const directory of orphans) if (!claimed.has(directory)) removeRunDirectory(directory);
}

function isOld(directory: string): boolean {
  const status = statSync(directory, { throwIfNoEntry: false }); // others sweep, too
  return status !== undefined && Date.now() - status.mtimeMs > UNKEPT_AGE_MS_MAX;
}
