/** What a VM that crashed said last. @module */
import { join } from "node:path";
import { RunFile } from "./run_directory.ts";
import { spoolTail } from "./spool.ts";

/** Characters of each file's last messages that are kept: a long one must not push out the other. */
const LAST_WORDS_MAX = 1_000;

/** Why a VM crashed, for people: `reason`, with the last lines of its kernel console and its engine. */
export function crashReason(reason: string, runDirectory: string): string {
  const tails = [RunFile.console, RunFile.diagnostics].map((name) =>
    spoolTail(join(runDirectory, name)).slice(-LAST_WORDS_MAX),
  );
  const words = tails.filter((text) => text !== "").join("\n");
  return words === "" ? reason : `${reason}; last seen:\n${words}`;
}
