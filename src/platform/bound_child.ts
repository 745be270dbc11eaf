/**
 * Child processes whose life is tied to this one's.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { IoError } from "../base/errors.ts";
import { findProgram } from "./find_program.ts";

/**
 * The command by which a program runs that the kernel kills when this process ends, however it ends; without util-linux's
 * setpriv it is the program itself.
 */
export function boundCommand(program: string, args: readonly string[]): readonly [string, readonly string[]] {
  const setpriv = findProgram("setpriv");
  if (setpriv === undefined) return [program, args];
  // This process may end before the kernel is asked for that signal: then the child has another parent already.
  const unlessOrphaned = `[ "$PPID" = ${process.pid} ] && exec "$0" "$@"`;
  return [setpriv, ["--pdeathsig", "KILL", "--", "/bin/sh", "-c", unlessOrphaned, program, ...args]];
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
): Promise<ChildProcess> {
  const [file, rest] = boundCommand(program, args);
  const child = spawn(file, rest, { stdio: ["ignore", output, output] });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", () => resolve());
    child.once("error", (cause) => reject(new IoError(`run ${program}`, program, cause)));
  });
  return child;
}
