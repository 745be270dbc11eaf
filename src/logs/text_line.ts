/**
 * One line of `kernel.log` or `runtime.log`: the stamp of its capture, a space, and the line as it came.
 *
 * @module
 */
import { parseForeignStamp, parseStamp, STAMP_CHARS } from "./stamp.ts";

/** Where the parts of one line lie. Reused from line to line. */
export interface TextFields {
  /** `NaN` if the line has no stamp. */
  timeMs: number;
  /** Where the text begins. */
  dataStart: number;
}

const SPACE = 0x20;
/** Shortest stamp of another writer: `2026-01-31T12:00:00Z`. */
const FOREIGN_STAMP_CHARS_MIN = 20;
const FOREIGN_STAMP_CHARS_MAX = 40;

/** Reads the line `bytes[start, end)`, without its line feed, into `fields`. Never throws. */
export function scanTextLine(bytes: Uint8Array, start: number, end: number, fields: TextFields): void {
  fields.timeMs = Number.NaN;
  fields.dataStart = start;
  if (end - start > STAMP_CHARS && bytes[start + STAMP_CHARS] === SPACE) {
    fields.timeMs = parseStamp(bytes, start);
    if (!Number.isNaN(fields.timeMs)) fields.dataStart = start + STAMP_CHARS + 1;
  }
  if (Number.isNaN(fields.timeMs)) scanForeignStamp(bytes, start, end, fields);
}

function scanForeignStamp(bytes: Uint8Array, start: number, end: number, fields: TextFields): void {
  const limit = Math.min(end, start + FOREIGN_STAMP_CHARS_MAX + 1);
  let space = start;
  while (space < limit && bytes[space] !== SPACE) space++;
  if (space === limit || space - start < FOREIGN_STAMP_CHARS_MIN) return;
  const timeMs = parseForeignStamp(Buffer.from(bytes.subarray(start, space)).toString("latin1"));
  if (Number.isNaN(timeMs)) return;
  fields.timeMs = timeMs;
  while (space < end && bytes[space] === SPACE) space++;
  fields.dataStart = space;
}
