/** Tells HTTP from other protocols by the first line that a client sends. @module */
import { KiB } from "../../base/bytes.ts";
import { HEAD_BYTES_MAX } from "./parse_head.ts";

/** A longer first line that is one word belongs to another protocol. */
const WORD_BYTES_MAX = 8 * KiB;

/** A method, and what servers take for the space behind it (RFC 9112 section 3), if it has come to that. */
const START_OF_REQUEST = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]*(?:[ \t\v\f\r]|$)/;

/**
 * Classifies a client's first bytes. `undefined` while they can be either: then the name in a request comes after them,
 * however long its target is.
 */
export function speechOf(bytes: Uint8Array): "http" | "other" | undefined {
  const { buffer, byteOffset, length } = bytes;
  const text = Buffer.from(buffer, byteOffset, Math.min(length, HEAD_BYTES_MAX)).toString("latin1");
  // A carriage return alone does not end a line: some servers read it as a space.
  const [start = "", line = ""] = /^[ \t\v\f\r\n]*([^\n]*)/.exec(text) ?? [];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no request line holds one
  if (/[\x00-\x08\x0e-\x1f\x7f]/.test(line)) return "other";
  if (/HTTP\//i.test(line)) return "http";
  const isWhole = start.length < text.length; // a line feed follows
  if (isWhole || !START_OF_REQUEST.test(line)) return "other";
  if (length < WORD_BYTES_MAX) return undefined;
  if (!/[ \t\v\f\r]/.test(line)) return "other";
  return length < HEAD_BYTES_MAX ? undefined : "http"; // its head is too long, which its reader reports
}
