/** Entries of a log as text and as JSON. @module */
import { isUtf8 } from "node:buffer";
import type { LogEntry } from "../../mod.ts";
import type { Output } from "./output.ts";

/**
 * What a program wrote, byte for byte; a line of the system's own has an end and stands out. With `timestamps` each line
 * has the time of its entry before it.
 */
export function formatLogEntry(entry: LogEntry, output: Output, timestamps: boolean): string | Uint8Array {
  const isSystem = entry.source === "system";
  if (!timestamps && !isSystem) return entry.data;
  const time = timestamps ? `${output.style("dim", entry.timestamp.toISOString())} ` : "";
  const lines = entry
    .text()
    .replace(/\r?\n$/, "")
    .split("\n");
  return lines.map((line) => `${time}${isSystem ? output.style("dim", line) : line}\n`).join("");
}

/** The keys of `exec.log`, and the cursor just behind the entry. */
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
