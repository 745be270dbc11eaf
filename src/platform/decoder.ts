/** Decoders of compressed streams. @module */
import type { Transform } from "node:stream";

/**
 * The decoder, whose errors reach only those who listen.
 *
 * Deno decodes beside the program, and reports damage even when the stream has been destroyed meanwhile. Whoever read
 * from it listens no more by then, and an error that nobody takes ends the program.
 */
export function withQuietErrors<T extends Transform>(decoder: T): T {
  return decoder.on("error", () => {});
}
