/**
 * Creates run directories, and removes those that no process needs any more.
 *
 * @module
 */
import { mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { IoError } from "../../base/errors.ts";
import { namesIfPresent } from "../../platform/if_present.ts";
import { ensureRunRoot, existingRunRoots } from "../../platform/run_root.ts";
import { isHeld, stagingName, stagingOwner } from "../../platform/staging.ts";
import { keepRunDirectory, RunFile, readIdentity, removeRunDirectory } from "./run_directory.ts";

/** A directory without a holder, as a power cut may leave it, is abandoned once it is this old. */
const UNKEPT_AGE_MS_MAX = 60_000;

/** Creates a run directory under a unique name, which appears together with its holder. @throws {IoError} */
export function createRunDirectory(home: string): string {
  const root = ensureRunRoot(home);
  const directory = join(root, Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString("hex"));
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
 * Removes the directories whose holders are dead and which no record names. They are left when a process is killed before
 * its VM host process has claimed a sandbox, or a VM host process after its sandbox was removed. Also removes what was
 * half created or half removed when a process was killed.
 *
 * @param known The directories that records name. Called after the run roots have been read, so that a sandbox claimed
 *   in between is among them.
 * @throws {IoError} if it cannot be told whether a holder is alive.
 */
export function sweepRunDirectories(home: string, known: () => ReadonlySet<string | undefined>): void {
  const orphans = existingRunRoots(home).flatMap((root) =>
    namesIfPresent(root)
      .filter((name) => isAbandoned(root, name))
      .map((name) => join(root, name)),
  );
  if (orphans.length === 0) return;
  const claimed = known();
  for (const directory of orphans) if (!claimed.has(directory)) removeRunDirectory(directory);
}

function isAbandoned(root: string, name: string): boolean {
  const path = join(root, name);
  const holder = stagingOwner(name) ?? readIdentity(join(path, RunFile.keeper));
  return holder === undefined ? isOld(path) : !isHeld(path, holder);
}

function isOld(directory: string): boolean {
  const status = statSync(directory, { throwIfNoEntry: false }); // another process may sweep as well
  return status !== undefined && Date.now() - status.mtimeMs > UNKEPT_AGE_MS_MAX;
}
