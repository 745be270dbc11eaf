/**
 * What is left of a boot whose VM host process is gone: whether it is gone, its last words, and its removal.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { noteEnd } from "../../logs/end_of_boot.ts";
import type { EndOfBoot } from "../../logs/markers.ts";
import { openTextLogWriter } from "../../logs/text_log_writer.ts";
import { isListening } from "../../platform/unix_socket.ts";
import { RunFile, removeRunDirectory } from "./run_directory.ts";
import { spoolRest, spoolTail } from "./spool.ts";

export { sweepRunDirectories } from "./create_and_sweep.ts";

/** The socket of a boot. */
export function relayPath(runDirectory: string): string {
  return join(runDirectory, RunFile.relay);
}

/** Whether the VM host process of a boot is alive. A connection that works is the proof; a pid would be none. */
export function isBootAlive(runDirectory: string | undefined): Promise<boolean> {
  return runDirectory === undefined ? Promise.resolve(false) : isListening(relayPath(runDirectory));
}

/** Characters of the last words that are kept. */
const LAST_WORDS_MAX = 2_000;

/** Why a VM crashed, for people: `reason`, and the last lines of its kernel console and engine if there are any. */
export function crashReason(reason: string, runDirectory: string): string {
  const tails = [RunFile.console, RunFile.diagnostics].map((name) => spoolTail(join(runDirectory, name)));
  const words = tails.filter((text) => text !== "").join("\n");
  return words === "" ? reason : `${reason}; last seen:\n${words.slice(-LAST_WORDS_MAX)}`;
}

/**
 * Moves what the engine had written last into the sandbox's logs, writes the boot's end there if nobody has, ends the
 * engine's process, and removes the run directory. `end` is how the boot ended as far as the state database knows.
 */
export function buryBoot(
  runDirectory: string,
  logs: { readonly directory: string; readonly sandboxId: string },
  end: EndOfBoot,
): void {
  if (!existsSync(runDirectory)) return;
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
