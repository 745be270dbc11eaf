/**
 * The directory of one boot: its sockets, and what the engine writes. Made by whoever starts the VM
 * (`run_directories.ts`), removed by whoever sees that the VM is gone.
 *
 * @module
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf } from "../../base/errors.ts";
import { killProcess, ownProcess, type ProcessIdentity } from "../../platform/process_identity.ts";
import { stagingName } from "../../platform/staging.ts";

/** Names inside a run directory. */
export const RunFile = {
  /** Where clients connect; alive as long as the VM host process is. */
  relay: "relay.sock",
  /** The host's end of the guest's agent port. */
  agent: "agent.sock",
  /** What the guest kernel prints. */
  console: "console",
  /** What the engine, the runtime and libkrun print. */
  diagnostics: "diagnostics",
  /** Where passt listens, in network mode `user`. */
  passt: "passt.sock",
  /** Identity of the engine's own process, where it has one. */
  machine: "machine.json",
  /** Identity of the process that answers for the directory: who made it, and then the VM host process. */
  keeper: "keeper.json",
} as const;

/** Notes the engine's process, so that it can be ended even if its VM host process was killed. */
export function recordMachine(directory: string, machine: ProcessIdentity): void {
  writeFileSync(join(directory, RunFile.machine), JSON.stringify(machine), { mode: 0o600 });
}

/** From now on this process answers for the directory. */
export function keepRunDirectory(directory: string): void {
  const path = join(directory, RunFile.keeper);
  writeFileSync(`${path}.new`, JSON.stringify(ownProcess()), { mode: 0o600 });
  renameSync(`${path}.new`, path); // a kill leaves the one or the other
}

/** Ends what a dead VM host process left running, and removes the directory. */
export function removeRunDirectory(directory: string): void {
  const machine = readIdentity(join(directory, RunFile.machine));
  if (machine !== undefined) killProcess(machine);
  forgetRunDirectory(directory);
}

/** Removes the directory only: the engine's process is in good hands. */
export function forgetRunDirectory(directory: string): void {
  // Out of the way first: what a kill leaves half deleted has no keeper any more that would tell.
  const leaving = join(dirname(directory), stagingName());
  try {
    renameSync(directory, leaving);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return; // somebody else was faster
    throw error;
  }
  rmSync(leaving, { recursive: true, force: true });
}

/** The process that a file in a run directory names. */
export function readIdentity(path: string): ProcessIdentity | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined; // there never was one, or the file was cut short by a kill
  }
  if (typeof parsed !== "object" || parsed === null || !("pid" in parsed) || !("startTime" in parsed))
    return undefined;
  const { pid, startTime } = parsed;
  return typeof pid === "number" && typeof startTime === "string" ? { pid, startTime } : undefined;
}
