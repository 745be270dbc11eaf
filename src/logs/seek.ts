/**
 * Search by time in one file. Stamps do not run backwards within a file that has a header, so a dozen small reads find
 * the place, whatever the size.
 *
 * @module
 */
import { KiB } from "../base/bytes.ts";
import type { GenerationFile } from "./generations.ts";
import { lastLineTime, lineTime } from "./header.ts";
import { READ_BACK_BYTES, READ_CHUNK_BYTES, SEEK_PROBE_BYTES } from "./limits.ts";
import type { LogFormat } from "./log_files.ts";
import { readAt } from "./read_file.ts";

const LINE_FEED = 0x0a;
/** Reading this much is cheaper than looking further. */
const NEAR_BYTES = 64 * KiB;
/** Enough for any stamp at the beginning of a line. */
const STAMP_PROBE_BYTES = 64;

/** A line that has a time. */
interface StampedLine {
  startBytes: number;
  timeMs: number;
}

/**
 * Offset of a line before which all are older than `sinceMs`, and which is near to the first that is not; `undefined`
 * if the whole file is older. 0 for a file without a header, of whose order nothing is known.
 */
export async function seekTime(
  format: LogFormat,
  file: GenerationFile,
  sinceMs: number,
): Promise<number | undefined> {
  if (!file.hasHeader) return 0;
  const { descriptor, status } = file;
  const tail = await readAt(descriptor, Math.max(0, status.sizeBytes - READ_BACK_BYTES), READ_BACK_BYTES);
  const newestMs = lastLineTime(format, tail);
  const unfinishedMs = lineTime(format, tail.subarray(tail.lastIndexOf(LINE_FEED) + 1));
  if (newestMs !== undefined && newestMs < sinceMs && !(unfinishedMs >= sinceMs)) return undefined;
  let low = 0; // a line begins here, and all before it are older
  let high = status.sizeBytes; // a line that begins from here on is not the first one
  while (high - low > NEAR_BYTES) {
    const middle = Math.floor((low + high) / 2);
    const line = await firstStampedLine(format, descriptor, middle, high);
    if (line !== undefined && line.timeMs < sinceMs) low = line.startBytes;
    else high = middle;
  }
  return low;
}

/** The first line with a time that begins in `[from, end)`. */
async function firstStampedLine(
  format: LogFormat,
  descriptor: number,
  from: number,
  end: number,
): Promise<StampedLine | undefined> {
  let startBytes = await lineStart(descriptor, from, end);
  while (startBytes < end) {
    const timeMs = lineTime(format, await readAt(descriptor, startBytes, STAMP_PROBE_BYTES));
    if (!Number.isNaN(timeMs)) return { startBytes, timeMs };
    startBytes = await lineStart(descriptor, startBytes + 1, end); // torn, or another program's
  }
  return undefined;
}

/** Where the first line at or after `from` begins; `end` or more if none does before it. */
async function lineStart(descriptor: number, from: number, end: number): Promise<number> {
  if (from === 0) return 0;
  let offset = from - 1; // the byte before decides whether a line begins exactly at `from`
  for (let length = SEEK_PROBE_BYTES; offset < end; length = Math.min(2 * length, READ_CHUNK_BYTES)) {
    const bytes = await readAt(descriptor, offset, length);
    const lineFeed = bytes.indexOf(LINE_FEED);
    if (lineFeed >= 0) return offset + lineFeed + 1;
    if (bytes.length === 0) return end;
    offset += bytes.length;
  }
  return end;
}
