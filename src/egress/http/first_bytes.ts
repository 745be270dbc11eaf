/** Finds out which of two sides speaks first, and whether it speaks HTTP. @module */
import { speechOf } from "./first_line.ts";
import type { MessageReader } from "./message_reader.ts";

/** What a connection carries. */
export type Speech =
  /** The guest begins with a request of HTTP, or something that must be treated as one. */
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
