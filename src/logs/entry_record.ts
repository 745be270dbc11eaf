/** An entry as JSON: an object with the keys of `exec.log`. @module */
import { isUtf8 } from "node:buffer";
import type { LogEntry } from "./types.ts";

/** `t`, `s`, `id`, `e` and `d` of `entry`. */
export function toRecord({ timestamp, source, sessionId, data }: LogEntry): Record<string, unknown> {
  const isText = isUtf8(data);
  return {
    t: timestamp.toISOString(),
    s: source,
    ...(sessionId === null ? {} : { id: sessionId }),
    ...(isText ? {} : { e: "b64" }),
    d: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString(isText ? "utf8" : "base64"),
  };
}

/** The same with its `cursor`. */
export function toRecordWithCursor(entry: LogEntry): Record<string, unknown> {
  return { ...toRecord(entry), cursor: entry.cursor };
}
