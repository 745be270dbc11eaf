/**
 * The directory of one boot: its sockets, and what the engine writes. Made by whoever starts the VM, removed by whoever
 * sees that the VM is gone.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { IoError } from "../base/errors.ts";
import { ensureRunRoot } from "../platform/home.ts";
import {
  isSameProcess,
  killProcess,
  ownProcess,
  type ProcessIdentity,
} from "../platform/process_identity.ts";

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
  /** Identity of the process that made the directory. */
  creator: "creator.json",
} as const;

/** Makes a run directory under a name that nobody else has. @throws {IoError} */
export function createRunDirectory(home: string): string {
  const directory = join(ensureRunRoot(home), randomBytes(8).toString("hex"));
  try {
    mkdirSync(directory, { mode: 0o700 });
    writeFileSync(join(directory, RunFile.creator), JSON.stringify(ownProcess()), { mode: 0o600 });
  } catch (error) {
    throw new IoError(`create ${directory}`, directory, error);
  }
  return directory;
}

/** Notes the engine's process, so that it can be ended even if its VM host process was killed. */
export function recordMachine(directory: string, machine: ProcessIdentity): void {
  writeFileSync(join(directory, RunFile.machine), JSON.stringify(machine), { mode: 0o600 });
}

/** Ends what a dead VM host process left running, and removes the directory. */
export function removeRunDirectory(directory: string): void {
  const machine = readIdentity(join(directory, RunFile.machine));
  if (machine !== undefined) killProcess(machine);
  forgetRunDirectory(directory);
}

/** Removes the directory only: the engine's process is in good hands. */
export function forgetRunDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

/**
 * Removes the directories of those who were killed before their VM host process had claimed a sandbox: no record leads to
 * them. `known` says which ones records lead to; it is asked behind the look at what there is.
 */
export function sweepRunDirectories(home: string, known: () => ReadonlySet<string | undefined>): void {
  const root = ensureRunRoot(home);
  const orphans = readdirSync(root)
    .map((name) => join(root, name))
    .filter((directory) => {
      const creator = readIdentity(join(directory, RunFile.creator));
      return creator !== undefined && !isSameProcess(creator);
    });
  if (orphans.length === 0) return;
  const claimed = known();
  for (const directory of orphans) if (!claimed.has(directory)) removeRunDirectory(directory);
}

function readIdentity(path: string): ProcessIdentity | undefined {
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
