/** Finds out which of two sides speaks first, and whether it speaks HTTP. @module */
import { KiB } from "../../base/bytes.ts";
import type { MessageReader } from "./message_reader.ts";

/** A first line that is longer, and has no version of HTTP in it, belongs to another protocol. */
const FIRST_LINE_BYTES_MAX = 8 * KiB;

/** What a connection carries. */
export type Speech =
  /** The guest begins with a request of HTTP, or what has to be taken for one. */
  | "http"
  /** The guest begins with something else, or the server speaks first. */
  | "other"
  /** It ended before anything was said. */
  | "nothing";

/**
 * Tells what a connection carries, from the first bytes of whichever side sends some. Nothing is lost: they stay with their
 * reader. There is no time limit: a line that was begun is waited for, as a guest could otherwise hide a request behind a pause.
 *
 * @param serverSpeaks Resolves with `true` when the server has sent bytes.
 */
export async function listenFirst(guest: MessageReader, serverSpeaks: Promise<boolean>): Promise<Speech> {
  const spoken = await Promise.race([
    guest.look().then((isThere) => (isThere ? "guest" : "nothing")),
    serverSpeaks.then((isThere) => (isThere ? "server" : new Promise<never>(() => {}))),
  ]);
  if (spoken === "server") return "other";
  if (spoken === "nothing") return "nothing";
  for (;;) {
    const speech = speechOf(guest.buffered);
    if (speech !== undefined) return speech;
    if (!(await guest.lookFurther())) return "other";
  }
}

/** `undefined` as long as it can be either. */
function speechOf(bytes: Uint8Array): Speech | undefined {
  const text = Buffer.from(
    bytes.buffer,
    bytes.byteOffset,
    Math.min(bytes.length, FIRST_LINE_BYTES_MAX),
  ).toString("latin1");
  const line = /^[\r\n \t]*([^\r\n]*)/.exec(text)?.[1] ?? "";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no request line holds one
  if (/[\x00-\x08\x0b\x0c\x0e-\x1f]/.test(line)) return "other";
  if (/HTTP\//i.test(line)) return "http";
  const isComplete = text.trimStart().includes("\n");
  return isComplete || bytes.length >= FIRST_LINE_BYTES_MAX ? "other" : undefined;
}
