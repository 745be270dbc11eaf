/**
 * Offsets: cursors that sort. The protocol lets clients compare offsets as text, and cursors do not sort: they begin with a
 * mark of the sandbox, and their numbers have no fixed length. So an offset is
 *
 *     the sum of the generations | the sum of the offsets in them | "." | the cursor
 *
 * with each sum in hexadecimal, behind one character that says its number of digits. Both sums are over all files of the
 * cursor. A reader that goes on raises one generation, or none and one of the offsets; so of two places in the same
 * reading the later one has the greater text, also where several files are read at once.
 *
 * A bare cursor is an offset, too, for clients that keep the cursor of an entry.
 *
 * @module
 */
import { decodeAnyCursor } from "../cursor.ts";
import { InvalidCursorError } from "../errors.ts";
import type { LogCursor } from "../types.ts";

const SEPARATOR = ".";

/** The offset for the place of `cursor`. */
export function encodeOffset(cursor: LogCursor): string {
  return `${rankOf(cursor)}${SEPARATOR}${cursor}`;
}

/**
 * The cursor of an offset. Whether it is one of the log in question shows when that is opened.
 *
 * @throws InvalidCursorError if it is no offset
 */
export function decodeOffset(offset: string): LogCursor {
  const cursor = offset.slice(offset.indexOf(SEPARATOR) + 1);
  const rank = rankOf(cursor);
  if (cursor !== offset && offset !== `${rank}${SEPARATOR}${cursor}`)
    throw new InvalidCursorError("content", "what stands before its cursor does not belong to it");
  return cursor;
}

function rankOf(cursor: LogCursor): string {
  let generations = 0n;
  let offsetBytes = 0n;
  for (const position of decodeAnyCursor(cursor).positions.values()) {
    generations += BigInt(position.generation);
    offsetBytes += BigInt(position.offsetBytes);
  }
  return sortable(generations) + sortable(offsetBytes);
}

/** Text that sorts as the numbers do. */
function sortable(value: bigint): string {
  const digits = value.toString(16);
  return digits.length.toString(36) + digits;
}
