/**
 * Makes run directories, and finds those that nobody will need again.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { IoError } from "../base/errors.ts";
import { isSameProcess, ownProcess } from "../platform/process_identity.ts";
import { ensureRunRoot } from "../platform/run_root.ts";
import { RunFile, readIdentity, removeRunDirectory } from "./run_directory.ts";

/** Makes a run directory under a name that nobody else has. @throws {IoError} */
export function createRunDirectory(home: string): string {
  const directory = join(ensureRunRoot(home), randomBytes(8).toString("hex"));
  try {
    mkdirSync(directory, { mode: 0o700 });
    writeFileSync(join(directory, RunFile.creator), JSON.stringify(ownProcess()), { mode: 0o600 });
  } catch (error) {
    throw new IoError(`create ${directory}`, directory, error);
  }
  return directory;
}

/**
 * Removes the directories of those who were killed before their VM host process had claimed a sandbox: no record leads to
 * them. `known` says which ones records lead to; it is asked behind the look at what there is.
 */
export function sweepRunDirectories(home: string, known: () => ReadonlySet<string | undefined>): void {
  const root = ensureRunRoot(home);
  const orphans = readdirSync(root)
    .map((name) => join(root, name))
    .filter((directory) => {
      const creator = readIdentity(join(directory, RunFile.creator));
      return creator !== undefined && !isSameProcess(creator);
    });
  if (orphans.length === 0) return;
  const claimed = known();
  for (const directory of orphans) if (!claimed.has(directory)) removeRunDirectory(directory);
}
