/**
 * The cursor by which caches tell one live request from the next (protocol, section 10.1): the number of a 20 s interval,
 * which clients send back. It has nothing to do with log cursors.
 *
 * @module
 */

const EPOCH_MS = Date.UTC(2024, 9, 9);
const INTERVAL_MS = 20_000;
/** A client that was as far already is moved on by up to an hour, at random. */
const JITTER_MS_MAX = 3_600_000;
/** Numbers of so many digits are exact, also after the jitter. */
export const COLLAPSE_CURSOR_PATTERN: RegExp = /^\d{1,15}$/;

/** The cursor of a live answer to a client that sent `clientCursor`: always greater than that. */
export function nextCollapseCursor(
  clientCursor: number | undefined,
  nowMs: number = Date.now(),
  random: () => number = Math.random,
): string {
  const interval = Math.floor((nowMs - EPOCH_MS) / INTERVAL_MS);
  if (clientCursor === undefined || clientCursor < interval) return String(interval);
  const jitter = Math.ceil((random() * JITTER_MS_MAX) / INTERVAL_MS);
  return String(clientCursor + Math.max(1, jitter));
}
