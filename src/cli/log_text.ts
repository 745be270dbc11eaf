/** Entries of a log as text and as JSON. @module */
import { isUtf8 } from "node:buffer";
import type { LogEntry } from "../../mod.ts";
import type { Output } from "./output.ts";

/**
 * Formats an entry for people: a program's output byte for byte, an entry of another source as a dimmed line. With `timestamps`, each
 * line begins with the time of its entry.
 */
export function formatLogEntry(
  entry: Pick<LogEntry, "data" | "source" | "timestamp">,
  output: Output,
  timestamps: boolean,
): string | Uint8Array {
  const isSystem = entry.source === "system" || entry.source === "network";
  if (!timestamps && !isSystem) return entry.data;
  const time = timestamps ? `${output.style("dim", entry.timestamp.toISOString())} ` : "";
  const lines = new TextDecoder()
    .decode(entry.data)
    .replace(/\r?\n$/, "")
    .split("\n");
  return lines.map((line) => `${time}${isSystem ? output.style("dim", line) : line}\n`).join("");
}

/** Formats an entry with the keys of `exec.log`, plus the cursor right after it. */
export function formatLogJson({ timestamp, source, sessionId, data, cursor }: LogEntry): string {
  const isText = isUtf8(data);
  return JSON.stringify({
    t: timestamp.toISOString(),
    s: source,
    ...(sessionId === null ? {} : { id: sessionId }),
    ...(isText ? {} : { e: "b64" }),
    d: Buffer.from(data).toString(isText ? "utf8" : "base64"),
    cursor,
  });
}
