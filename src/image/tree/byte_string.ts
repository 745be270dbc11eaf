/**
 * Conversions of Linux names, which are strings with one byte per character (see {@linkcode ByteString}), to and from
 * bytes, and to readable text.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { ByteString } from "./tree.ts";

export type { ByteString } from "./tree.ts";

/** Longest result of {@linkcode displayName}, in characters. */
const DISPLAY_CHARACTERS_MAX = 200;

/** Returns bytes as a string in which every character is one byte. */
export function byteString(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/**
 * Returns a copy of `text` with its own characters. A slice would keep the whole string that it was cut from in memory,
 * so compact what is kept for long.
 */
export function compact(text: ByteString): ByteString {
  return byteString(bytesOf(text));
}

/** Returns the UTF-8 bytes of ordinary text as a byte string. */
export function byteStringOfText(text: string): ByteString {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** Returns the bytes that the string stands for. */
export function bytesOf(text: ByteString): Buffer {
  return Buffer.from(text, "latin1");
}

/**
 * Returns a name for messages: decoded as UTF-8, with control characters escaped and long names shortened in the
 * middle.
 */
export function displayName(name: ByteString): string {
  const text = bytesOf(name)
    .toString("utf8")
    .replace(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
  if (text.length <= DISPLAY_CHARACTERS_MAX) return text;
  const half = DISPLAY_CHARACTERS_MAX / 2;
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}
