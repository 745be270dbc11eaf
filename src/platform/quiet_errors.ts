/** Streams of Node's kind whose errors end no program. @module */

/**
 * The stream, whose errors reach only those who listen.
 *
 * For streams that can fail when no listener is left, where an error would end the program: a decoder that is
 * destroyed while it works (Deno decodes beside the program, and reports damage even then), and an entry of an archive
 * whose pipeline tells of the fault.
 */
export function withQuietErrors<T extends NodeJS.EventEmitter>(stream: T): T {
  return stream.on("error", () => {});
}
