/** Files and directories that need not be there. @module */
import { readdirSync, readFileSync, renameSync } from "node:fs";
import { errnoOf, IoError } from "../base/errors.ts";

/** Whether `error` says that a path does not exist, or something that is no directory stands in its way. */
export function isAbsence(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === "ENOENT" || errno === "ENOTDIR";
}

/** What `action` returns; `undefined` if what it reads does not exist. */
export function ifPresent<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

/** The names in a directory; none if it does not exist. Something else in its place is a failure. @throws {IoError} */
export function namesIfPresent(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw new IoError(`list ${directory}`, directory, error);
  }
}

/** The text of a file; `undefined` if it does not exist. @throws {IoError} */
export function textIfPresent(path: string): string | undefined {
  try {
    return ifPresent(() => readFileSync(path, "utf8"));
  } catch (error) {
    throw new IoError(`read ${path}`, path, error);
  }
}

/**
 * Renames what is at `from`; another process may be faster. Returns whether it was there.
 *
 * @throws the system error if it cannot be moved to `to`.
 */
export function renameIfPresent(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false; // ENOTDIR would be about `to`
    throw error;
  }
}
