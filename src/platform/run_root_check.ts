/**
 * Which directories are run roots and run directories of ours. A module of its own because every VM host process asks
 * this, and never chooses a run root.
 *
 * @module
 */
import { lstatSync } from "node:fs";
import { basename, dirname } from "node:path";
import { isTrusted, ownUid } from "./trust.ts";

/**
 * Whether `path` is a directory of ours in a run root of ours. No other directory is used as a run directory, even if a
 * record names it: the files in it name a process to kill, and it is deleted in the end.
 *
 * The run root may differ from the one this process would choose, because the process that started the VM may have had
 * another `XDG_RUNTIME_DIR`.
 */
export function isRunDirectory(path: string): boolean {
  return isRunRoot(dirname(path)) && isOwnDirectory(path);
}

/** Whether a directory is ours, and has a name that `run_root.ts` gives, for any home. */
export function isRunRoot(directory: string): boolean {
  const [, uid] = /^msb-(\d+)-[0-9a-f]{12}(?:-\d)?$/.exec(basename(directory)) ?? [];
  return uid === String(ownUid()) && isOwnDirectory(directory) && isTrusted(directory);
}

function isOwnDirectory(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found?.isDirectory() === true && found.uid === ownUid();
}
