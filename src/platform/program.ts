/** Programs of the host. @module */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Where `PATH` has an executable of that name. */
export function findProgram(name: string): string | undefined {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here
    }
  }
  return undefined;
}
