/**
 * The number by which the log knows one run of a program. Both sides know what it is made of, so it is never sent.
 *
 * @module
 */

/** More than there are streams: their numbers are u32. */
const STREAMS_PER_BOOT = 2 ** 32;

/** The boot in which a session was. */
export function bootNumberOf(sessionId: number): number {
  return Math.floor(sessionId / STREAMS_PER_BOOT);
}

/** Unique in a sandbox's log, across its boots; exact for the first two million of them. */
export function logSessionId(bootNumber: number, stream: number): number {
  return bootNumber * STREAMS_PER_BOOT + stream;
}
