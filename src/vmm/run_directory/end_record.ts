/**
 * How a boot ended, written into its run directory when the state database cannot be written, as on a full disk. The
 * process that looks next finds it there, and does not take the end for a crash.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FILE = "end.json";

export interface RecordedEnd {
  readonly action: "stopped" | "crashed";
  readonly reason: string;
}

/** Writes an end down. The directory has to stay, then. */
export function recordEnd(runDirectory: string, end: RecordedEnd): void {
  writeFileSync(join(runDirectory, FILE), JSON.stringify(end), { mode: 0o600 });
}

/** The end that was written down; `undefined` if there is none, or a kill cut it short. */
export function recordedEnd(runDirectory: string): RecordedEnd | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(join(runDirectory, FILE), "utf8"));
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || !("action" in parsed) || !("reason" in parsed))
    return undefined;
  const { action, reason } = parsed;
  const isKnown = (action === "stopped" || action === "crashed") && typeof reason === "string";
  return isKnown ? { action, reason } : undefined;
}
