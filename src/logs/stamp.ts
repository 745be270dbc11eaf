/**
 * Time stamps as the logs have them: RFC 3339, UTC, milliseconds, 24 characters (`2026-01-31T12:00:00.000Z`).
 * Stamps of this exact shape are read by hand, since every record has one; other shapes of RFC 3339, which other
 * writers use, take the slow path.
 *
 * @module
 */

/** Characters of a stamp that {@linkcode formatStamp} makes. */
export const STAMP_CHARS = 24;

/** Longest stamp of another writer that is tried: `2026-01-31T12:00:00.123456789+00:00` has 35 characters. */
const STAMP_CHARS_MAX = 40;
const DAY_MS = 86_400_000;
const DIGIT_ZERO = 0x30;

let formattedMs = Number.NaN;
let formatted = "";

/** Many records share a millisecond, so the last text is kept. */
export function formatStamp(timeMs: number): string {
  if (timeMs !== formattedMs) {
    formatted = new Date(timeMs).toISOString();
    formattedMs = timeMs;
  }
  return formatted;
}

/** Milliseconds since 1970 of the 24 bytes at `offset`; `NaN` if they are not a stamp. */
export function parseStamp(bytes: Uint8Array, offset: number): number {
  if (
    bytes.length < offset + STAMP_CHARS ||
    bytes[offset + 4] !== 0x2d || // -
    bytes[offset + 7] !== 0x2d ||
    bytes[offset + 10] !== 0x54 || // T
    bytes[offset + 13] !== 0x3a || // :
    bytes[offset + 16] !== 0x3a ||
    bytes[offset + 19] !== 0x2e || // .
    bytes[offset + 23] !== 0x5a // Z
  ) {
    return Number.NaN;
  }
  const year = twoDigits(bytes, offset) * 100 + twoDigits(bytes, offset + 2);
  const month = twoDigits(bytes, offset + 5);
  const day = twoDigits(bytes, offset + 8);
  const hour = twoDigits(bytes, offset + 11);
  const minute = twoDigits(bytes, offset + 14);
  const second = twoDigits(bytes, offset + 17);
  const millisecond = digit(bytes, offset + 20) * 100 + twoDigits(bytes, offset + 21);
  // Negated so that NaN fails too.
  if (!(month >= 1 && month <= 12 && day >= 1 && hour <= 23 && minute <= 59 && second <= 59))
    return Number.NaN;
  if (day > daysInMonth(year, month)) return Number.NaN;
  return (
    daysSince1970(year, month, day) * DAY_MS +
    hour * 3_600_000 +
    minute * 60_000 +
    second * 1000 +
    millisecond
  );
}

/** Any RFC 3339 date-time; `NaN` if `text` is something else. */
export function parseForeignStamp(text: string): number {
  if (text.length > STAMP_CHARS_MAX) return Number.NaN;
  const match = /^(.{19})(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/.exec(text);
  if (match === null) return Number.NaN;
  const [, time = "", fraction = "", sign = "+", hours = "00", minutes = "00"] = match;
  const localMs = parseStamp(Buffer.from(`${time}.${`${fraction}000`.slice(0, 3)}Z`), 0);
  const offsetMs = Number(hours) * 3_600_000 + Number(minutes) * 60_000;
  return sign === "-" ? localMs + offsetMs : localMs - offsetMs;
}

function digit(bytes: Uint8Array, offset: number): number {
  const value = bytes[offset]! - DIGIT_ZERO;
  return value >= 0 && value <= 9 ? value : Number.NaN;
}

function twoDigits(bytes: Uint8Array, offset: number): number {
  return digit(bytes, offset) * 10 + digit(bytes, offset + 1);
}

function daysInMonth(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
}

/** The proleptic Gregorian calendar, with years that begin in March so that the leap day comes last. */
function daysSince1970(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  return 365 * y + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) + dayOfYear - 719_468;
}
