/**
 * Linux names as strings of one byte a character (see {@linkcode ByteString}): into bytes, from bytes, for people.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { ByteString } from "./tree.ts";

export type { ByteString } from "./tree.ts";

/** Longest text that {@linkcode displayName} gives, in characters. */
const DISPLAY_CHARACTERS_MAX = 200;

/** Bytes as a string in which every character is one byte. */
export function byteString(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/**
 * The same string with characters of its own. A slice would keep all of the string that it was cut from in memory: for
 * what is kept long.
 */
export function compact(text: ByteString): ByteString {
  return byteString(bytesOf(text));
}

/** The UTF-8 bytes of ordinary text. */
export function byteStringOfText(text: string): ByteString {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** The bytes that the string stands for. */
export function bytesOf(text: ByteString): Buffer {
  return Buffer.from(text, "latin1");
}

/** For messages: read as UTF-8, control characters escaped, long names shortened in the middle. */
export function displayName(name: ByteString): string {
  const text = bytesOf(name)
    .toString("utf8")
    .replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
  if (text.length <= DISPLAY_CHARACTERS_MAX) return text;
  const half = DISPLAY_CHARACTERS_MAX / 2;
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}
