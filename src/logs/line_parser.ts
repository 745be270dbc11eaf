/** Turns the lines of one log into entries, leaving out what the reader did not ask for. @module */
import { type EntryOrigin, StoredEntry } from "./entry.ts";
import { parseHeaderLine } from "./header.ts";
import type { LogFileSpec } from "./log_files.ts";
import { END_MARKS, JOB_OUTPUT_OVER_TEXT } from "./markers.ts";
import { newRecordFields, scanRecord } from "./record.ts";
import { scanTextLine, type TextFields } from "./text_line.ts";
import type { LogSource } from "./types.ts";

const END_MARK_BYTES = END_MARKS.map((mark) => Buffer.from(mark));
const OUTPUT_OVER_BYTES = Buffer.from(JOB_OUTPUT_OVER_TEXT);

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Which entries are wanted. */
export interface EntryFilter {
  readonly sources: ReadonlySet<LogSource>;
  /** Inclusive. */
  readonly sinceMs: number;
  /** Exclusive. */
  readonly untilMs: number;
  /** Only entries of this session; all without. */
  readonly sessionId?: number | undefined;
}

export interface LineParser {
  /** The last record so far said that the sandbox has come to its end. */
  readonly sawStop: boolean;
  /** There was the record that the output of the one session that is read is complete. */
  readonly isOver: boolean;
  /** The entry in `bytes[start, end)`; `undefined` if there is none, or it is not wanted. */
  parse(
    bytes: Uint8Array,
    start: number,
    end: number,
    nextOffset: number,
    origin: EntryOrigin,
  ): StoredEntry | undefined;
}

/** `undatedMs` is the time of text lines that have none and follow none that has. */
export function newLineParser(spec: LogFileSpec, filter: EntryFilter, undatedMs: number): LineParser {
  return spec.format === "record" ? recordParser(filter) : textParser(filter, undatedMs);
}

function recordParser({ sources, sinceMs, untilMs, sessionId: wanted }: EntryFilter): Mutable<LineParser> {
  const fields = newRecordFields();
  return {
    sawStop: false,
    isOver: false,
    parse(bytes, start, end, nextOffset, origin) {
      if (!scanRecord(bytes, start, end, fields)) return undefined;
      const { timeMs, source, sessionId, decoded } = fields;
      this.sawStop = source === "system" && isEndMark(bytes, fields.dataStart);
      if (wanted !== undefined) {
        if (sessionId !== wanted) return undefined;
        this.isOver ||= source === "system" && startsWith(bytes, fields.dataStart, OUTPUT_OVER_BYTES);
      }
      if (timeMs < sinceMs || timeMs >= untilMs || !sources.has(source)) return undefined;
      if (decoded !== undefined)
        return unusualEntry(timeMs, source, sessionId, decoded, fields.encoding, origin, nextOffset);
      const { dataStart, dataEnd, encoding } = fields;
      return new StoredEntry(
        timeMs,
        source,
        sessionId,
        bytes,
        dataStart,
        dataEnd,
        encoding,
        origin,
        nextOffset,
      );
    },
  };
}

/** Whether `line`, without its line feed, is the last record of a boot. */
export function isEndOfBoot(line: Uint8Array): boolean {
  const fields = newRecordFields();
  if (!scanRecord(line, 0, line.length, fields)) return false;
  return fields.source === "system" && isEndMark(line, fields.dataStart);
}

function isEndMark(bytes: Uint8Array, start: number): boolean {
  return END_MARK_BYTES.some((mark) => startsWith(bytes, start, mark));
}

function startsWith(bytes: Uint8Array, start: number, mark: Uint8Array): boolean {
  return mark.every((byte, index) => bytes[start + index] === byte);
}

/** The data was decoded with the rest of the line; it is put back into the form that entries keep. */
function unusualEntry(
  timeMs: number,
  source: LogSource,
  sessionId: number | null,
  decoded: string,
  encoding: "json" | "base64",
  origin: EntryOrigin,
  nextOffset: number,
): StoredEntry {
  const raw = Buffer.from(encoding === "base64" ? decoded : JSON.stringify(decoded).slice(1, -1));
  return new StoredEntry(timeMs, source, sessionId, raw, 0, raw.length, encoding, origin, nextOffset);
}

function textParser({ sources, sinceMs, untilMs }: EntryFilter, undatedMs: number): LineParser {
  const fields: TextFields = { timeMs: 0, dataStart: 0 };
  let lastMs = undatedMs;
  return {
    sawStop: false,
    isOver: false,
    parse(bytes, start, end, nextOffset, origin) {
      const isFirst = nextOffset === end - start + 1;
      if (isFirst && parseHeaderLine("text", bytes.subarray(start, end)) !== undefined) return undefined;
      scanTextLine(bytes, start, end, fields);
      const timeMs = Number.isNaN(fields.timeMs) ? lastMs : fields.timeMs;
      lastMs = timeMs;
      if (timeMs < sinceMs || timeMs >= untilMs || !sources.has("system")) return undefined;
      return new StoredEntry(
        timeMs,
        "system",
        null,
        bytes,
        fields.dataStart,
        end,
        "text",
        origin,
        nextOffset,
      );
    },
  };
}
