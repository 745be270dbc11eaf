/**
 * Cleans up after a boot whose VM host process is gone: finds that out, saves its last messages, removes its directory.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pollUntil } from "../../base/wait.ts";
import { noteEnd } from "../../logs/end_of_boot.ts";
import type { EndOfBoot } from "../../logs/markers.ts";
import { openTextLogWriter } from "../../logs/text_log_writer.ts";
import { isSameProcess, isZombie, killProcess } from "../../platform/process_identity.ts";
import { isRunDirectory } from "../../platform/run_root_check.ts";
import { isListening } from "../../platform/unix_socket.ts";
import { RunFile, readIdentity, removeRunDirectory } from "./run_directory.ts";
import { spoolRest } from "./spool.ts";

/** What the engine's process may need to disappear after SIGKILL: the kernel has its memory to free. */
const MACHINE_EXIT_MS = 5_000;
const POLL_MS = 10;

/** The socket at which a boot serves its clients. */
export function relayPath(runDirectory: string): string {
  return join(runDirectory, RunFile.relay);
}

/** Whether the VM host process of a boot is alive. Only a connection proves it: a pid may have been reused. */
export function isBootAlive(runDirectory: string | undefined): Promise<boolean> {
  return runDirectory === undefined ? Promise.resolve(false) : isListening(relayPath(runDirectory));
}

/**
 * Kills the engine's process of a boot whose VM host process is gone, and resolves when it has let go of the disks: until
 * then another boot cannot open them. Does nothing if that process is gone.
 *
 * @throws {IoError} if it is unclear which process to kill.
 */
export async function endMachine(runDirectory: string | undefined): Promise<void> {
  if (runDirectory === undefined || !isRunDirectory(runDirectory)) return;
  const machine = readIdentity(join(runDirectory, RunFile.machine));
  if (machine === undefined) return;
  killProcess(machine);
  const isGone = () => !isSameProcess(machine) && !isZombie(machine);
  await pollUntil(isGone, { everyMs: POLL_MS, timeoutMs: MACHINE_EXIT_MS });
}

/**
 * Moves what the engine wrote last into the sandbox's logs, marks the end of the boot there if that is missing, kills the
 * engine's process, and removes the run directory. Does nothing if that is gone, or is not in a run root of ours.
 *
 * @param end How the boot ended, as the state database has it.
 */
export function buryBoot(
  runDirectory: string,
  logs: { readonly directory: string; readonly sandboxId: string },
  end: EndOfBoot,
): void {
  if (!isRunDirectory(runDirectory)) return;
  for (const [spool, filename] of [
    [RunFile.console, "kernel.log"],
    [RunFile.diagnostics, "runtime.log"],
  ] as const) {
    const rest = spoolRest(join(runDirectory, spool));
    if (rest.length === 0 || !existsSync(logs.directory)) continue;
    using writer = openTextLogWriter({ ...logs, filename });
    writer.write(rest);
  }
  noteEnd(logs, end, "its VM host process ended without a word"); // last: readers take it as the end
  removeRunDirectory(runDirectory);
}
