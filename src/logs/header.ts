/**
 * The first line of each log file. It gives the file an identity that survives renaming, which inode numbers do not
 * (they are reused): the generation, one higher with each rotation and never used again.
 *
 *     exec.log    {"t":"2026-01-31T12:00:00.000Z","s":"header","v":1,"g":7,"sandbox":"…","previous":10485611}
 *     others      2026-01-31T12:00:00.000Z #microsandbox {"v":1,"g":7,"sandbox":"…","previous":10485611}
 *
 * Programs that do not know the header skip it: the source `header` is none of theirs.
 *
 * @module
 */
import type { LogFormat } from "./log_files.ts";
import { parseJsonObject } from "./record.ts";
import { formatStamp, parseStamp, STAMP_CHARS } from "./stamp.ts";
import { scanTextLine, type TextFields } from "./text_line.ts";

export interface LogHeader {
  /** 1 or more. */
  readonly generation: number;
  readonly sandboxId: string;
  /** Final size of the file of the generation before this one; `undefined` where it was not known. */
  readonly previousSizeBytes: number | undefined;
}

const HEADER_VERSION = 1;
const TEXT_MARK = " #microsandbox ";
const LINE_FEED = 0x0a;

/** The header line, with its line feed. */
export function formatHeader(format: LogFormat, timeMs: number, header: LogHeader): string {
  const stamp = formatStamp(timeMs);
  const fields = {
    v: HEADER_VERSION,
    g: header.generation,
    sandbox: header.sandboxId,
    ...(header.previousSizeBytes === undefined ? {} : { previous: header.previousSizeBytes }),
  };
  if (format === "record") return `${JSON.stringify({ t: stamp, s: "header", ...fields })}\n`;
  return `${stamp}${TEXT_MARK}${JSON.stringify(fields)}\n`;
}

/** The header at the start of `head`, the first bytes of a file; `undefined` if another program wrote the file. */
export function parseHeader(format: LogFormat, head: Uint8Array): LogHeader | undefined {
  const end = head.indexOf(LINE_FEED);
  return end < 0 ? undefined : parseHeaderLine(format, head.subarray(0, end));
}

/** The same for a whole line without its line feed. */
export function parseHeaderLine(format: LogFormat, line: Uint8Array): LogHeader | undefined {
  const json = format === "record" ? line : textHeaderJson(line);
  const fields = json === undefined ? undefined : parseJsonObject(json);
  if (fields === undefined || (format === "record" && fields["s"] !== "header")) return undefined;
  const { g, sandbox, previous } = fields;
  if (!isCount(g) || g < 1 || typeof sandbox !== "string") return undefined;
  return { generation: g, sandboxId: sandbox, previousSizeBytes: isCount(previous) ? previous : undefined };
}

function textHeaderJson(line: Uint8Array): Uint8Array | undefined {
  const json = STAMP_CHARS + TEXT_MARK.length;
  const mark = Buffer.from(line.subarray(STAMP_CHARS, json)).toString("latin1");
  return mark === TEXT_MARK && !Number.isNaN(parseStamp(line, 0)) ? line.subarray(json) : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/**
 * The generation of a file without a header: the time of its first line, which like a true generation grows from file
 * to file and stays when the file is renamed. `undefined` if the first line has no time.
 */
export function foreignGeneration(format: LogFormat, head: Uint8Array): number | undefined {
  const timeMs = lineTime(format, head);
  return timeMs >= 1 ? timeMs : undefined;
}

/** The time of the line at the start of `bytes`, which may be cut off anywhere; `NaN` if it shows none. */
export function lineTime(format: LogFormat, bytes: Uint8Array): number {
  if (format === "record")
    return startsWithRecord(bytes) ? parseStamp(bytes, RECORD_START.length) : Number.NaN;
  const lineFeed = bytes.indexOf(LINE_FEED);
  const fields: TextFields = { timeMs: Number.NaN, dataStart: 0 };
  scanTextLine(bytes, 0, lineFeed < 0 ? bytes.length : lineFeed, fields);
  return fields.timeMs;
}

/** The time of the last complete line in `tail`, the end of a file, that has one. */
export function lastLineTime(format: LogFormat, tail: Uint8Array): number | undefined {
  for (let end = tail.lastIndexOf(LINE_FEED); end >= 0; ) {
    const lineFeed = end === 0 ? -1 : tail.lastIndexOf(LINE_FEED, end - 1);
    const timeMs = lineTime(format, tail.subarray(lineFeed + 1, end));
    if (!Number.isNaN(timeMs)) return timeMs;
    end = lineFeed;
  }
  return undefined;
}

/** How every record and header begins; the stamp follows. */
const RECORD_START = Buffer.from('{"t":"');

function startsWithRecord(bytes: Uint8Array): boolean {
  return RECORD_START.every((byte, index) => bytes[index] === byte);
}
