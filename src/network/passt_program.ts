/** Finds passt, the program behind network mode `user`. @module */
import { UnsupportedError } from "../base/errors.ts";
import { findProgram } from "../platform/find_program.ts";

/** @throws {UnsupportedError} if it is not installed. @throws {UntrustedPathError} as `findProgram()` does. */
export function findPasst(): string {
  const program = findProgram("passt");
  if (program !== undefined) return program;
  throw new UnsupportedError("passt is not installed, and network mode user needs it", {
    hint: "apt-get install passt",
  });
}
