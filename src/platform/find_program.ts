/** Programs of the host. @module */
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { checkTrusted, UntrustedPathError } from "./trust.ts";

/**
 * Finds the first executable file of that name in `PATH` that no other user could have created or could replace. Skips
 * entries of `PATH` that are not absolute.
 *
 * @returns `undefined` if there is no file of that name.
 * @throws {UntrustedPathError} if there are such files, and none of them can be trusted.
 */
export function findProgram(name: string): string | undefined {
  let refusal: UntrustedPathError | undefined;
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    if (!isAbsolute(directory)) continue;
    const path = join(directory, name);
    if (!isProgram(path)) continue;
    try {
      checkTrusted(path);
      return path;
    } catch (error) {
      if (error instanceof UntrustedPathError) refusal ??= error; // the others went away just now
    }
  }
  if (refusal !== undefined) throw refusal;
  return undefined;
}

/** Whether this user can execute the file at `path`. */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // absent, or not for us
  }
}
