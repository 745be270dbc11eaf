/**
 * Child processes whose life is tied to this one's.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { IoError } from "../base/errors.ts";
import { findProgram } from "./program.ts";

/**
 * Runs a program that the kernel kills when this process ends, however it ends; without util-linux's setpriv, whoever
 * starts it has to see to that. Its output goes to the descriptor `output`.
 *
 * @throws {IoError} if it cannot be started.
 */
export async function spawnBound(
  program: string,
  args: readonly string[],
  output: number,
): Promise<ChildProcess> {
  const setpriv = findProgram("setpriv");
  const [file, before] =
    setpriv === undefined ? [program, []] : [setpriv, ["--pdeathsig", "KILL", "--", program]];
  const child = spawn(file, [...before, ...args], { stdio: ["ignore", output, output] });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", () => resolve());
    child.once("error", (cause) => reject(new IoError(`run ${program}`, program, cause)));
  });
  return child;
}
