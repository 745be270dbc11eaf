/**
 * Cursors: positions in all logs of one sandbox, as opaque text. Version 1 is the base64url (RFC 4648, section 5,
 * without padding) of
 *
 *     version u8 = 1 | sandbox, 8 bytes of SHA-256 of its id | for each file: id u8, generation varint, offset varint
 *     | CRC-32 of all before it, u32 little-endian
 *
 * with the files in ascending order of their ids (log_files.ts) and varints in LEB128. A file that is not listed has
 * not been read at all. The same text means the same place whatever sources the reader asks for, and a position has
 * only one text.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { InvalidCursorError } from "./errors.ts";
import { CURSOR_CHARS_MAX } from "./limits.ts";
import { EXEC_LOG, LOG_FILES } from "./log_files.ts";
import type { LogCursor } from "./types.ts";

/** A place between two lines of one log. */
export interface LogPosition {
  /** Of the file, see header.ts; 1 or more. */
  readonly generation: number;
  /** Where the next line begins. */
  readonly offsetBytes: number;
}

/** By file id; a file that is absent is at its beginning. */
export type LogPositions = ReadonlyMap<number, LogPosition>;

const VERSION = 1;
const TAG_BYTES = 8;
const CHECKSUM_BYTES = 4;
const VARINT_BYTES_MAX = 8;
const BYTES_MAX = 1 + TAG_BYTES + LOG_FILES.length * (1 + 2 * VARINT_BYTES_MAX) + CHECKSUM_BYTES;

/** The cursor for `positions` in the logs of `sandboxId`. */
export function encodeCursor(sandboxId: string, positions: LogPositions): LogCursor {
  const bytes = Buffer.alloc(BYTES_MAX);
  bytes[0] = VERSION;
  bytes.set(sandboxTag(sandboxId), 1);
  let at = 1 + TAG_BYTES;
  for (const { id } of FILES_BY_ID) {
    const position = positions.get(id);
    if (position === undefined) continue;
    bytes[at] = id;
    at = writeVarint(bytes, at + 1, position.generation);
    at = writeVarint(bytes, at, position.offsetBytes);
  }
  const end = bytes.writeUInt32LE(crc32(bytes.subarray(0, at)), at);
  return bytes.toString("base64url", 0, end);
}

/** The cursor for a position in what programs wrote, with nothing read of the other logs. */
export function execLogCursor(sandboxId: string, position: LogPosition): LogCursor {
  return encodeCursor(sandboxId, new Map([[EXEC_LOG.id, position]]));
}

/**
 * The positions that `cursor` stands for.
 *
 * @throws InvalidCursorError if it is damaged, of another version, or made for another sandbox
 */
export function decodeCursor(cursor: string, sandboxId: string): LogPositions {
  const { tag, positions } = decodeAnyCursor(cursor);
  if (!tag.equals(sandboxTag(sandboxId)))
    throw new InvalidCursorError("sandbox", "it belongs to another sandbox");
  return positions;
}

/**
 * The same whatever sandbox it was made for, and the mark of that.
 *
 * @throws InvalidCursorError if it is damaged or of another version
 */
export function decodeAnyCursor(cursor: string): { readonly tag: Buffer; readonly positions: LogPositions } {
  if (cursor.length > CURSOR_CHARS_MAX)
    throw new InvalidCursorError("tooLong", `it has ${cursor.length} characters`);
  const bytes = Buffer.from(cursor, "base64url");
  if (bytes.toString("base64url") !== cursor)
    throw new InvalidCursorError("encoding", "it is not base64url text");
  if (bytes.length < 1 + TAG_BYTES + CHECKSUM_BYTES)
    throw new InvalidCursorError("length", `it has ${bytes.length} bytes`);
  if (bytes[0] !== VERSION)
    throw new InvalidCursorError("version", `its version is ${bytes[0]}, ours is ${VERSION}`);
  const end = bytes.length - CHECKSUM_BYTES;
  if (bytes.readUInt32LE(end) !== crc32(bytes.subarray(0, end))) {
    throw new InvalidCursorError("checksum", "its checksum does not match");
  }
  return {
    tag: bytes.subarray(1, 1 + TAG_BYTES),
    positions: decodePositions(bytes.subarray(1 + TAG_BYTES, end)),
  };
}

const FILES_BY_ID = [...LOG_FILES].sort((a, b) => a.id - b.id);

function decodePositions(bytes: Buffer): LogPositions {
  const positions = new Map<number, LogPosition>();
  let at = 0;
  for (const { id } of FILES_BY_ID) {
    if (bytes[at] !== id) continue;
    const generation = readVarint(bytes, at + 1);
    const offset = readVarint(bytes, generation.end);
    if (generation.value === 0) throw new InvalidCursorError("content", "a generation is 0");
    positions.set(id, { generation: generation.value, offsetBytes: offset.value });
    at = offset.end;
  }
  if (at !== bytes.length)
    throw new InvalidCursorError("content", "it names files that this version does not know");
  return positions;
}

function writeVarint(bytes: Buffer, at: number, value: number): number {
  for (; value > 0x7f; value = Math.floor(value / 0x80)) bytes[at++] = (value % 0x80) | 0x80;
  bytes[at++] = value;
  return at;
}

function readVarint(bytes: Buffer, start: number): { value: number; end: number } {
  let value = 0;
  for (let at = start, scale = 1; at < start + VARINT_BYTES_MAX; at++, scale *= 0x80) {
    const byte = bytes[at];
    if (byte === undefined) break;
    value += (byte & 0x7f) * scale;
    if (byte >= 0x80) continue;
    const shortest = at === start || byte > 0;
    if (shortest && Number.isSafeInteger(value)) return { value, end: at + 1 };
    break;
  }
  throw new InvalidCursorError("content", "a number in it is malformed");
}

let taggedId: string | undefined;
let tag: Buffer = Buffer.alloc(0);

/** Readers make many cursors for one sandbox in a row. */
function sandboxTag(sandboxId: string): Buffer {
  if (taggedId !== sandboxId) {
    tag = createHash("sha256").update(sandboxId).digest().subarray(0, TAG_BYTES);
    taggedId = sandboxId;
  }
  return tag;
}
