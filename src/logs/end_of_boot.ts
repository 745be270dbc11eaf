/**
 * The last record of a boot whose writer was killed: without it, a follower of the log could not tell a sandbox that
 * has crashed from logs that were taken away while something was still to come.
 *
 * @module
 */
import { closeSync, constants, fstatSync, readSync } from "node:fs";
import { join } from "node:path";
import { ifPresent } from "../platform/if_present.ts";
import { openRegularSync } from "../platform/regular_file.ts";
import { openExecLogWriter } from "./exec_log_writer.ts";
import { READ_BACK_BYTES } from "./limits.ts";
import { isEndOfBoot } from "./line_parser.ts";
import { EXEC_LOG } from "./log_files.ts";
import type { LogDirectory } from "./log_source.ts";
import { type EndOfBoot, endOfBootText } from "./markers.ts";

const LINE_FEED = 0x0a;

/** Writes how the boot ended that wrote last, unless its end is in the log already, or nothing is. */
export function noteEnd(logs: LogDirectory, end: EndOfBoot, reason: string): void {
  const line = readLastLine(join(logs.directory, EXEC_LOG.filename));
  if (line === undefined || isEndOfBoot(line)) return;
  using writer = openExecLogWriter(logs);
  writer.system(endOfBootText(end, reason));
  writer.sync();
}

/** What is after the line feed before last, cut if it is very long; `undefined` if there is no file. */
function readLastLine(path: string): Uint8Array | undefined {
  const file = ifPresent(() => openRegularSync(path, constants.O_RDONLY));
  if (file === undefined) return undefined;
  try {
    const tail = new Uint8Array(READ_BACK_BYTES);
    const count = readSync(file, tail, 0, tail.length, Math.max(0, fstatSync(file).size - tail.length));
    if (tail[count - 1] !== LINE_FEED) return tail.subarray(0, count); // torn
    const before = count < 2 ? -1 : tail.lastIndexOf(LINE_FEED, count - 2);
    return tail.subarray(before + 1, count - 1);
  } finally {
    closeSync(file);
  }
}
