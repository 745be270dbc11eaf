/**
 * The directory of one boot, with its sockets and what the engine writes. The process that starts the VM creates it
 * (`create_and_sweep.ts`); any process that finds the VM gone removes it.
 *
 * @module
 */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { renameIfPresent, textIfPresent } from "../../platform/if_present.ts";
import { killProcess, ownProcess, type ProcessIdentity } from "../../platform/process_identity.ts";
import { isRunDirectory } from "../../platform/run_root_check.ts";
import { stagingName } from "../../platform/staging.ts";

/** Names inside a run directory. */
export const RunFile = {
  /** Where clients connect; alive as long as the VM host process is. */
  relay: "relay.sock",
  /** Where the creator of a sandbox connects to work on its files before any other process can reach it. */
  prepare: "prepare.sock",
  /** The host's end of the guest's agent port. */
  agent: "agent.sock",
  /** The host's end of the guest's port to the directory that its root is on. */
  root: "root.sock",
  /** What the guest kernel prints. */
  console: "console",
  /** What the engine, the runtime and libkrun print. */
  diagnostics: "diagnostics",
  /** Where passt listens, in network mode `user`. */
  passt: "passt.sock",
  /** Identity of the engine's own process, where it has one. */
  machine: "machine.json",
  /** Identity of the process that holds the directory: its creator at first, then the VM host process. */
  keeper: "keeper.json",
} as const;

/** Records the engine's process, so that it can be ended even if its VM host process was killed. */
export function recordMachine(directory: string, machine: ProcessIdentity): void {
  writeFileSync(join(directory, RunFile.machine), JSON.stringify(machine), { mode: 0o600 });
}

/** Makes this process the holder of the directory. */
export function keepRunDirectory(directory: string): void {
  const path = join(directory, RunFile.keeper);
  writeFileSync(`${path}.new`, JSON.stringify(ownProcess()), { mode: 0o600 });
  renameSync(`${path}.new`, path); // a kill leaves the old one or the new one
}

/**
 * Kills what a dead VM host process left running, and removes the directory. Does nothing if the directory is gone, or is
 * not in a run root of ours.
 *
 * @throws {IoError} if it cannot be told which process to kill.
 */
export function removeRunDirectory(directory: string): void {
  if (!isRunDirectory(directory)) return;
  const machine = readIdentity(join(directory, RunFile.machine));
  if (machine !== undefined) killProcess(machine);
  forgetRunDirectory(directory);
}

/** Removes the directory only, and leaves the engine's process to the caller. */
export function forgetRunDirectory(directory: string): void {
  // Renamed first: half deleted, it may have lost the file that names its holder.
  const leaving = join(dirname(directory), stagingName());
  renameIfPresent(directory, leaving); // another process may be faster
  rmSync(leaving, { recursive: true, force: true });
}

/**
 * The process that a file in a run directory names; `undefined` if there is no such file, or a kill or a power cut has
 * cut it short.
 *
 * @throws {IoError} if it cannot be read.
 */
export function readIdentity(path: string): ProcessIdentity | undefined {
  const text = textIfPresent(path);
  if (text === undefined) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined; // cut short
  }
  if (typeof parsed !== "object" || parsed === null || !("pid" in parsed) || !("startTime" in parsed))
    return undefined;
  const { pid, startTime } = parsed;
  return typeof pid === "number" && typeof startTime === "string" ? { pid, startTime } : undefined;
}
