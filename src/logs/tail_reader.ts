/**
 * Reads the last entries of one log, backwards from the end, so that the cost depends on what is wanted and not on how
 * much there is.
 *
 * @module
 */
import { concatBytes } from "../base/bytes.ts";
import type { LogPosition } from "./cursor.ts";
import type { EntryOrigin, StoredEntry } from "./entry.ts";
import { lastLineEnd } from "./generation_reader.ts";
import { type GenerationFile, openGenerations } from "./generations.ts";
import { lineTime } from "./header.ts";
import { LINE_BYTES_MAX, READ_BACK_BYTES } from "./limits.ts";
import { type EntryFilter, newLineParser } from "./line_parser.ts";
import type { LogFileSpec } from "./log_files.ts";
import type { LogDirectory } from "./log_source.ts";
import { readAt } from "./read_file.ts";

/** What one log contributes to a reading. */
export interface LogPart {
  readonly fileId: number;
  /** In the order in which they were written. */
  readonly entries: StoredEntry[];
  /** After the last line of the log; `undefined` if there is no file. */
  readonly end: LogPosition | undefined;
}

const LINE_FEED = 0x0a;

/** The last `count` wanted entries of a log. */
export async function readTail(
  logs: LogDirectory,
  spec: LogFileSpec,
  filter: EntryFilter,
  count: number,
): Promise<LogPart> {
  using generations = await openGenerations(logs, spec);
  const newest = generations.files.at(-1);
  if (newest === undefined) return { fileId: spec.id, entries: [], end: undefined };
  const endOffset = await lastLineEnd(newest);
  const newestFirst: StoredEntry[] = [];
  for (const file of generations.files.toReversed()) {
    if (newestFirst.length >= count) break;
    const { generation } = file;
    const origin: EntryOrigin = {
      sandboxId: logs.sandboxId,
      fileId: spec.id,
      generation,
      positions: new Map(),
    };
    const from = file === newest ? endOffset : file.status.sizeBytes;
    await readFileBackwards(file, spec, filter, from, origin, count, newestFirst);
  }
  const end = { generation: newest.generation, offsetBytes: endOffset };
  return { fileId: spec.id, entries: newestFirst.reverse(), end };
}

async function readFileBackwards(
  file: GenerationFile,
  spec: LogFileSpec,
  filter: EntryFilter,
  from: number,
  origin: EntryOrigin,
  count: number,
  newestFirst: StoredEntry[],
): Promise<void> {
  const parser = newLineParser(spec, filter, file.status.modifiedMs);
  for await (const { line, nextOffset } of linesBackwards(file.descriptor, from)) {
    const entry = parser.parse(line, 0, line.length, nextOffset, origin);
    if (entry !== undefined && newestFirst.push(entry) >= count) return;
    // Before an older line of this file there are only older ones; files of other programs promise no order.
    if (entry === undefined && file.hasHeader && lineTime(spec.format, line) < filter.sinceMs) return;
  }
}

interface BackwardLine {
  /** Without its line feed; cut if it is too long. */
  readonly line: Uint8Array;
  readonly nextOffset: number;
}

/** The lines of a file up to `end`, last one first. */
async function* linesBackwards(descriptor: number, end: number): AsyncGenerator<BackwardLine> {
  let lineEnd = end; // of the line that is being looked for, its line feed included
  const line = new BackwardParts();
  for (let chunkEnd = end; chunkEnd > 0; ) {
    const chunkStart = Math.max(0, chunkEnd - READ_BACK_BYTES);
    const chunk = await readAt(descriptor, chunkStart, chunkEnd - chunkStart);
    // The last byte of a line may be its own line feed, which does not begin the line after it.
    let stop = chunk.length;
    let search = chunkEnd === lineEnd ? chunk.length - 2 : chunk.length - 1;
    for (;;) {
      const lineFeed = search < 0 ? -1 : chunk.lastIndexOf(LINE_FEED, search);
      if (lineFeed < 0) break;
      line.prepend(chunk.subarray(lineFeed + 1, stop));
      yield { line: line.take(), nextOffset: lineEnd };
      stop = lineFeed + 1;
      lineEnd = chunkStart + stop;
      search = lineFeed - 1;
    }
    line.prepend(chunk.subarray(0, stop));
    chunkEnd = chunkStart;
  }
  if (lineEnd > 0) yield { line: line.take(), nextOffset: lineEnd };
}

/** A line that is read from its end to its beginning, of which the beginning is kept if it is too long. */
class BackwardParts {
  /** The last part of the line first. */
  #parts: Uint8Array[] = [];
  #sizeBytes = 0;

  prepend(part: Uint8Array): void {
    this.#parts.push(part);
    this.#sizeBytes += part.length;
    for (let [last] = this.#parts; last !== undefined && this.#sizeBytes - last.length >= LINE_BYTES_MAX; ) {
      this.#parts.shift();
      this.#sizeBytes -= last.length;
      [last] = this.#parts;
    }
  }

  /** The line without its line feed; the next part is of another. */
  take(): Uint8Array {
    const [only] = this.#parts;
    const line =
      this.#parts.length === 1 && only !== undefined ? only : concatBytes(this.#parts.toReversed());
    this.#parts = [];
    this.#sizeBytes = 0;
    return (line.at(-1) === LINE_FEED ? line.subarray(0, -1) : line).subarray(0, LINE_BYTES_MAX);
  }
}
