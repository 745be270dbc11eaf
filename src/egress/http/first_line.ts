/** Tells HTTP from other protocols by the first line that a client sends. @module */
import { KiB } from "../../base/bytes.ts";
import { HEAD_BYTES_MAX } from "./parse_head.ts";

/** A first line that is longer, and does not begin as a request does, belongs to another protocol. */
const OTHER_LINE_BYTES_MAX = 8 * KiB;

/** A method and the start of a target: servers take targets of any length, and the name stands behind them. */
const START_OF_REQUEST = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} +[^ ]/;

/** What a client's first bytes come to. `undefined` as long as they can be either: then they hold no whole first line. */
export function speechOf(bytes: Uint8Array): "http" | "other" | undefined {
  const { buffer, byteOffset, length } = bytes;
  const text = Buffer.from(buffer, byteOffset, Math.min(length, HEAD_BYTES_MAX)).toString("latin1");
  // A carriage return alone ends no line: some servers take it for a space.
  const [start = "", line = ""] = /^[\r\n \t]*([^\n]*)/.exec(text) ?? [];
  if (hasControl(line)) return "other";
  if (/HTTP\//i.test(line)) return "http";
  if (start.length < text.length) return "other"; // a line feed follows
  if (length < OTHER_LINE_BYTES_MAX) return undefined;
  if (!START_OF_REQUEST.test(line)) return "other";
  return length < HEAD_BYTES_MAX ? undefined : "http"; // its head is too long, which those who read it say
}

function hasControl(line: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no request line holds one
  return /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(line);
}
