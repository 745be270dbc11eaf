/**
 * Child processes whose life is tied to this one's.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { IoError } from "../base/errors.ts";
import { findProgram } from "./find_program.ts";

/**
 * The command that runs a program which the kernel kills when this process ends, however it ends; without util-linux's
 * setpriv it is the program itself.
 *
 * @param privileges Options of setpriv(1) that take privileges from the program.
 */
export function boundCommand(
  program: string,
  args: readonly string[],
  privileges: readonly string[] = [],
): readonly [string, readonly string[]] {
  const setpriv = findProgram("setpriv");
  if (setpriv === undefined) return [program, args];
  // This process may end before the kernel is asked for that signal: then the child has another parent already.
  const unlessOrphaned = `[ "$PPID" = ${process.pid} ] && exec "$0" "$@"`;
  const bound = ["--pdeathsig", "KILL", ...privileges, "--"];
  return [setpriv, [...bound, "/bin/sh", "-c", unlessOrphaned, program, ...args]];
}

/**
 * Runs a program by its {@linkcode boundCommand}. Its output goes to the descriptor `output`.
 *
 * @throws {IoError} if it cannot be started.
 */
export async function spawnBound(
  program: string,
  args: readonly string[],
  output: number,
  privileges: readonly string[] = [],
): Promise<ChildProcess> {
  const [file, rest] = boundCommand(program, args, privileges);
  const child = spawn(file, rest, { stdio: ["ignore", output, output] });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", () => resolve());
    child.once("error", (cause) => reject(new IoError(`run ${program}`, program, cause)));
  });
  return child;
}
