/**
 * Entries as readers hand them out. A reading makes several 100,000 of them, most of which are looked at once or
 * never, so an entry is a view of the bytes that were read; what costs something to make is made when it is asked for.
 *
 * @module
 */
import { encodeCursor, type LogPosition, type LogPositions } from "./cursor.ts";
import { decodeRecordData, decodeRecordText, toText } from "./record.ts";
import type { LogCursor, LogEntry, LogSource } from "./types.ts";

/** How the bytes of an entry stand in the file. */
export type EntryEncoding = "json" | "base64" | "text";

/** What the entries of one piece of a file have in common. */
export interface EntryOrigin {
  readonly sandboxId: string;
  readonly fileId: number;
  readonly generation: number;
  /** Where the reader stands in the other files. */
  readonly positions: LogPositions;
}

const LINE_FEED = 0x0a;
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

export class StoredEntry implements LogEntry {
  readonly source: LogSource;
  readonly sessionId: number | null;
  /** {@linkcode timestamp} in milliseconds since 1970. */
  readonly timestampMs: number;
  readonly #endOffset: number;
  readonly #origin: EntryOrigin;
  #positions: LogPositions | undefined;
  #bytes: Uint8Array;
  #start: number;
  #end: number;
  #encoding: EntryEncoding | "decoded";

  /** `bytes[start, end)` is as `encoding` says; the next line begins at `endOffset` of its file. */
  constructor(
    timestampMs: number,
    source: LogSource,
    sessionId: number | null,
    bytes: Uint8Array,
    start: number,
    end: number,
    encoding: EntryEncoding,
    origin: EntryOrigin,
    endOffset: number,
  ) {
    this.timestampMs = timestampMs;
    this.source = source;
    this.sessionId = sessionId;
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.#encoding = encoding;
    this.#origin = origin;
    this.#endOffset = endOffset;
  }

  get timestamp(): Date {
    return new Date(this.timestampMs);
  }

  /** Decoded once, and then the entry no longer holds on to the piece of file that it came from. */
  get data(): Uint8Array {
    if (this.#encoding !== "decoded") {
      this.#bytes = decode(this.#bytes, this.#start, this.#end, this.#encoding);
      this.#encoding = "decoded";
    }
    return this.#bytes;
  }

  get cursor(): LogCursor {
    const { sandboxId, positions, fileId } = this.#origin;
    return encodeCursor(sandboxId, this.#positions ?? new Map(positions).set(fileId, this.position));
  }

  /** Just after the line, in its own file. */
  get position(): LogPosition {
    return { generation: this.#origin.generation, offsetBytes: this.#endOffset };
  }

  get fileId(): number {
    return this.#origin.fileId;
  }

  /** Says where the cursor points if it is not where the reader stood: in a sorted reading. */
  setPositions(positions: LogPositions): void {
    this.#positions = positions;
  }

  text(): string {
    if (this.#encoding === "json" || this.#encoding === "base64")
      return decodeRecordText(this.#raw, this.#encoding);
    return toText(this.data);
  }

  /** A view, made only now: making one for each entry costs more than all else about it. */
  get #raw(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** What `JSON.stringify` shows: the data as text. */
  toJSON(): Record<string, unknown> {
    const { timestamp, source, sessionId, cursor } = this;
    return { timestamp, source, sessionId, text: this.text(), cursor };
  }

  /** What `console.log` shows. */
  [INSPECT](): Record<string, unknown> {
    return this.toJSON();
  }
}

function decode(bytes: Uint8Array, start: number, end: number, encoding: EntryEncoding): Uint8Array {
  if (encoding !== "text") return decodeRecordData(bytes, start, end, encoding);
  const line = new Uint8Array(end - start + 1); // the line feed is not part of the stored line's text
  line.set(bytes.subarray(start, end));
  line[end - start] = LINE_FEED;
  return line;
}
