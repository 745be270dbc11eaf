/**
 * One line of `exec.log` or `network.log`: a flat JSON object (JSON Lines, https://jsonlines.org) with these keys.
 *
 *     t    RFC 3339 time of capture     s   stdout | stderr | output | system | network
 *     id   session; on system of a job   e   "b64" when d is base64, since the bytes are not UTF-8
 *     d    what was written
 *
 * We write `d` last, which reads well; any order is accepted. A full reading of the logs is the scanner below times
 * several 100,000, so it looks only at the frame of a record and leaves `d` alone until someone asks for it.
 *
 * @module
 */
import { isUtf8 } from "node:buffer";
import { decodeUtf8 } from "../base/bytes.ts";
import { ESCAPED_BYTES_MAX, escapeJson } from "./json_escape.ts";
import { formatStamp, parseForeignStamp, parseStamp, STAMP_CHARS } from "./stamp.ts";
import { LOG_SOURCES, type LogSource } from "./types.ts";

/** Bytes of a line besides its data. */
const FRAME_BYTES_MAX = 128;

/** The most that {@linkcode encodeRecord} can need for `dataBytes` of data. */
export function recordBytesMax(dataBytes: number): number {
  return FRAME_BYTES_MAX + ESCAPED_BYTES_MAX * dataBytes;
}

/** Writes a line, with its line feed, to the start of `line`, which has {@linkcode recordBytesMax}. Returns its length. */
export function encodeRecord(
  line: Buffer,
  timeMs: number,
  source: LogSource,
  sessionId: number | null,
  data: Uint8Array,
): number {
  const id = sessionId === null ? "" : `,"id":${sessionId}`;
  const start = `{"t":"${formatStamp(timeMs)}","s":"${source}"${id}`;
  if (isUtf8(data)) {
    const end = escapeJson(data, line, line.write(`${start},"d":"`));
    return end + line.write('"}\n', end);
  }
  const base64 = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
  return line.write(`${start},"e":"b64","d":"${base64}"}\n`);
}

/** Where the parts of one record lie. Reused from line to line. */
export interface RecordFields {
  timeMs: number;
  source: LogSource;
  sessionId: number | null;
  /** The raw value of `d`, without its quotes. */
  dataStart: number;
  dataEnd: number;
  encoding: "json" | "base64";
  /** Set instead of the two offsets when the line had an unusual shape and was parsed as a whole. */
  decoded: string | undefined;
}

export function newRecordFields(): RecordFields {
  const source: LogSource = "stdout";
  return {
    timeMs: 0,
    source,
    sessionId: null,
    dataStart: 0,
    dataEnd: 0,
    encoding: "json",
    decoded: undefined,
  };
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const BRACE_OPEN = 0x7b;
const BRACE_CLOSE = 0x7d;
const ZERO = 0x30;
const NINE = 0x39;
const KEY_T = 0x74;
const KEY_S = 0x73;
const KEY_D = 0x64;
const KEY_E = 0x65;
const KEY_I = 0x69;
/** Longest row of digits that is surely an exact number. */
const EXACT_DIGITS = 15;

const SOURCE_BYTES = LOG_SOURCES.map((source) => Buffer.from(source));

/**
 * Reads the line `bytes[start, end)`, without its line feed, into `fields`. `false` for what is no entry: damaged or
 * torn lines, headers, sources and encodings of a later version. Never throws.
 */
export function scanRecord(bytes: Uint8Array, start: number, end: number, fields: RecordFields): boolean {
  if (end - start < 2) return false;
  const [first, last] = [bytes[start]!, bytes[end - 1]!];
  const isPlain = first === BRACE_OPEN && last === BRACE_CLOSE;
  if (!isPlain && !isSpace(first) && !isSpace(last)) return false; // no JSON object: not worth a closer look
  const isEntry = isPlain ? scanPlain(bytes, start, end, fields) : undefined;
  return isEntry ?? parseUnusual(bytes.subarray(start, end), fields);
}

/** JSON allows it around the braces, and another writer may end lines with a carriage return. */
function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d;
}

/** `undefined` where the line may be JSON, but not in the shape that writers of this format use. */
function scanPlain(bytes: Uint8Array, start: number, end: number, fields: RecordFields): boolean | undefined {
  const last = end - 1;
  let at = start + 1;
  let timeMs = Number.NaN;
  let source: LogSource | undefined;
  let hasData = false;
  fields.sessionId = null;
  fields.encoding = "json";
  fields.decoded = undefined;
  for (;;) {
    // at: the opening quote of a key of one character, or of "id"
    const key = bytes[at + 1];
    const keyEnd = key === KEY_I && bytes[at + 2] === KEY_D ? at + 3 : at + 2;
    if (bytes[at] !== QUOTE || bytes[keyEnd] !== QUOTE || bytes[keyEnd + 1] !== COLON) return undefined;
    const value = keyEnd + 2;
    if (key === KEY_I) {
      at = value;
      let id = 0;
      for (let byte = bytes[at]!; byte >= ZERO && byte <= NINE; byte = bytes[++at]!)
        id = id * 10 + byte - ZERO;
      if (at === value || at - value > EXACT_DIGITS) return undefined;
      fields.sessionId = id;
    } else {
      if (bytes[value] !== QUOTE) return undefined;
      const valueEnd = findQuote(bytes, value + 1, last);
      if (valueEnd < 0) return false;
      if (key === KEY_D) {
        fields.dataStart = value + 1;
        fields.dataEnd = valueEnd;
        hasData = true;
      } else if (key === KEY_T) {
        timeMs = valueEnd - value - 1 === STAMP_CHARS ? parseStamp(bytes, value + 1) : Number.NaN;
        if (Number.isNaN(timeMs)) return undefined;
      } else if (key === KEY_S) {
        source = sourceAt(bytes, value + 1, valueEnd);
        if (source === undefined) return undefined;
      } else if (key === KEY_E) {
        if (!isBase64Name(bytes, value + 1, valueEnd)) return undefined;
        fields.encoding = "base64";
      } else return undefined;
      at = valueEnd + 1;
    }
    if (at === last) break;
    if (at > last || bytes[at] !== COMMA) return undefined;
    at++;
  }
  if (Number.isNaN(timeMs) || source === undefined || !hasData) return false;
  fields.timeMs = timeMs;
  fields.source = source;
  return true;
}

/** The quote that ends a string which began before `from`; -1 if there is none before `end`. */
function findQuote(bytes: Uint8Array, from: number, end: number): number {
  for (
    let quote = bytes.indexOf(QUOTE, from);
    quote >= 0 && quote < end;
    quote = bytes.indexOf(QUOTE, quote + 1)
  ) {
    let before = quote - 1;
    while (before >= from && bytes[before] === BACKSLASH) before--;
    if ((quote - before) % 2 === 1) return quote; // an even number of backslashes: they escape each other
  }
  return -1;
}

function sourceAt(bytes: Uint8Array, start: number, end: number): LogSource | undefined {
  for (let index = 0; index < SOURCE_BYTES.length; index++) {
    const name = SOURCE_BYTES[index]!;
    let same = name.length === end - start;
    for (let i = 0; same && i < name.length; i++) same = name[i] === bytes[start + i];
    if (same) return LOG_SOURCES[index];
  }
  return undefined;
}

function isBase64Name(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start === 3 && bytes[start] === 0x62 && bytes[start + 1] === 0x36 && bytes[start + 2] === 0x34; // b64
}

/** Spaces, other keys, escaped names, other precisions of time: all that JSON and RFC 3339 allow. */
function parseUnusual(line: Uint8Array, fields: RecordFields): boolean {
  const record = parseJsonObject(line);
  if (record === undefined) return false;
  const { t, s, d, id, e } = record;
  const timeMs = typeof t === "string" ? parseForeignStamp(t) : Number.NaN;
  const source = LOG_SOURCES.find((name) => name === s);
  if (Number.isNaN(timeMs) || source === undefined || typeof d !== "string") return false;
  if (e !== undefined && e !== null && e !== "b64") return false;
  fields.timeMs = timeMs;
  fields.source = source;
  fields.sessionId = typeof id === "number" ? id : null;
  fields.encoding = e === "b64" ? "base64" : "json";
  fields.decoded = d;
  return true;
}

/** The JSON object in `line`; `undefined` if it is anything else. */
export function parseJsonObject(line: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(decodeUtf8(line));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // not JSON: for the caller the same as any other line that is no record
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The bytes that the raw value of `d` at `[start, end)` stands for. A broken escape, which only damage can cause, is
 * left as it is.
 */
export function decodeRecordData(
  bytes: Uint8Array,
  start: number,
  end: number,
  encoding: "json" | "base64",
): Uint8Array<ArrayBuffer> {
  if (encoding === "base64")
    return new Uint8Array(Buffer.from(decodeUtf8(bytes.subarray(start, end)), "base64"));
  const sizeBytes = plainSize(bytes, start, end);
  if (sizeBytes !== undefined) return unescapePlain(bytes, start, new Uint8Array(sizeBytes));
  const raw = bytes.subarray(start, end);
  const text = unescapeJson(raw);
  return text === undefined ? new Uint8Array(raw) : new Uint8Array(Buffer.from(text));
}

/** Size without escapes, if all of them are of one letter, as nearly all are; otherwise `undefined`. */
function plainSize(bytes: Uint8Array, start: number, end: number): number | undefined {
  let escapes = 0;
  for (let at = start; at < end; at++) {
    if (bytes[at] !== BACKSLASH) continue;
    at++;
    if (at === end || LETTER_ESCAPES[bytes[at]!] === 0) return undefined;
    escapes++;
  }
  return end - start - escapes;
}

function unescapePlain(
  bytes: Uint8Array,
  start: number,
  target: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  for (let at = start, to = 0; to < target.length; at++, to++) {
    const byte = bytes[at]!;
    target[to] = byte === BACKSLASH ? LETTER_ESCAPES[bytes[++at]!]! : byte;
  }
  return target;
}

/** By the letter after the backslash: the byte it stands for, or 0. */
const LETTER_ESCAPES = new Uint8Array(256);
for (const pair of ["b\b", "t\t", "n\n", "f\f", "r\r", '""', "\\\\", "//"]) {
  LETTER_ESCAPES[pair.charCodeAt(0)] = pair.charCodeAt(1);
}

/** The same as text. */
export function decodeRecordText(raw: Uint8Array, encoding: "json" | "base64"): string {
  const text = encoding === "json" && raw.includes(BACKSLASH) ? unescapeJson(raw) : undefined;
  return text ?? toText(encoding === "json" ? raw : decodeRecordData(raw, 0, raw.length, encoding));
}

/** Unlike `TextDecoder`'s default, keeps a leading byte order mark: it is part of what the program wrote. */
export function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}

function unescapeJson(raw: Uint8Array): string | undefined {
  try {
    const value: unknown = JSON.parse(`"${toText(raw)}"`);
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined; // the caller falls back to the raw bytes
  }
}
