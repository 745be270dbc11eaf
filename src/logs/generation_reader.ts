/**
 * Reads one log forwards, line by line, over all its generations. What makes this exact:
 *
 * - The open file is read to its end even after it was renamed or removed; its descriptor stays good.
 * - That a newer file exists is established first, and only then is the end of the open one final: the writer never
 *   goes back to an older file.
 * - The next file is the one whose header says generation + 1, whatever its name is by then. If it is gone, that is
 *   `MissedRotationError`.
 *
 * @module
 */
import type { LogPosition } from "./cursor.ts";
import { InvalidCursorError, LogsUnavailableError, MissedRotationError } from "./errors.ts";
import { type GenerationFile, type Generations, liveStatus, openGenerations } from "./generations.ts";
import { LINE_BYTES_MAX, READ_BACK_BYTES, READ_CHUNK_BYTES, READ_LIVE_BYTES } from "./limits.ts";
import type { LogFileSpec } from "./log_files.ts";
import type { LogDirectory } from "./log_source.ts";
import { closeQuietly, isSameFile, readAt, readInto } from "./read_file.ts";
import { seekTime } from "./seek.ts";
import type { LogCursor } from "./types.ts";

/** Receives a line: `bytes[start, end)` without its line feed, and where the next one begins in the file. */
export type OnLine = (bytes: Uint8Array, start: number, end: number, nextOffset: number) => void;

/** What one step found. `idle`: nothing new for now. `removed`: nothing new, and no live file of ours. */
export type ReadStep = "lines" | "idle" | "removed";

const LINE_FEED = 0x0a;

export class GenerationReader {
  readonly #logs: LogDirectory;
  readonly #spec: LogFileSpec;
  /** The cursor of the whole reading with this log at the given place. */
  readonly #cursorAt: (position: LogPosition) => LogCursor;
  #file: GenerationFile | undefined;
  /** Where the next read begins. */
  #offset = 0;
  /** Where the first line that was not handed out begins. */
  #lineOffset = 0;
  /** The beginning of a line whose end was not read yet, up to the longest that is kept. */
  #partial: Uint8Array[] = [];
  #partialBytes = 0;
  /** A newer file exists, so that the end of this one is final. */
  #superseded = false;
  /** There was no live file of this sandbox when it was last looked for. */
  #sawNoLiveFile = false;
  #isReplaced = false;
  #chunkBytes = READ_CHUNK_BYTES;
  /** Kept from a read that found nothing. */
  #spare: Uint8Array | undefined;
  #limit: LogPosition | undefined;

  constructor(logs: LogDirectory, spec: LogFileSpec, cursorAt: (position: LogPosition) => LogCursor) {
    this.#logs = logs;
    this.#spec = spec;
    this.#cursorAt = cursorAt;
  }

  /** Just after the last line that was handed out; `undefined` if there was no file yet. */
  get position(): LogPosition | undefined {
    if (this.#file === undefined) return undefined;
    return { generation: this.#file.generation, offsetBytes: this.#lineOffset };
  }

  /** When the file that is being read was last written to, as it was opened. */
  get modifiedMs(): number | undefined {
    return this.#file?.status.modifiedMs;
  }

  /** Of the file that is being read; 0 if there is none. */
  get generation(): number {
    return this.#file?.generation ?? 0;
  }

  /** Another sandbox writes this log now: nothing more comes. */
  get isReplaced(): boolean {
    return this.#isReplaced;
  }

  /**
   * Starts after `position`, or at the beginning.
   *
   * @throws InvalidCursorError if no line ends at `position`
   * @throws MissedRotationError if what follows `position` was removed in part
   */
  async open(position: LogPosition | undefined): Promise<void> {
    using generations = await openGenerations(this.#logs, this.#spec);
    const { files } = generations;
    if (position === undefined) return this.#begin(generations, files[0], 0);
    const exact = files.find(({ generation }) => generation === position.generation);
    if (exact !== undefined) {
      await checkPosition(exact, position.offsetBytes);
      return this.#begin(generations, exact, position.offsetBytes);
    }
    const next = files.find(({ generation }) => generation > position.generation);
    if (next === undefined)
      throw new InvalidCursorError("position", `${this.#spec.filename} never came so far`);
    const wasAtEnd =
      next.generation === position.generation + 1 && next.previousSizeBytes === position.offsetBytes;
    if (!wasAtEnd) this.#missed(next.hasHeader ? next.generation - position.generation : 1, next);
    this.#begin(generations, next, 0);
  }

  /** Starts at the first file that has something of `sinceMs` or newer, and there as near to it as can be told. */
  async openSince(sinceMs: number): Promise<void> {
    using generations = await openGenerations(this.#logs, this.#spec);
    for (const file of generations.files) {
      const offset = await seekTime(this.#spec.format, file, sinceMs);
      if (offset !== undefined) return this.#begin(generations, file, offset);
    }
    await this.#beginAtEnd(generations);
  }

  /** Starts where it is to stop, or after the last complete line that is there now. */
  async skipToEnd(): Promise<void> {
    using generations = await openGenerations(this.#logs, this.#spec);
    const last = generations.files.find(({ generation }) => generation === this.#limit?.generation);
    if (last === undefined) await this.#beginAtEnd(generations);
    else this.#begin(generations, last, this.#limit!.offsetBytes);
  }

  /** From now on, nothing is handed out that comes after what there is now. Returns that place. */
  async stopAtEnd(): Promise<LogPosition | undefined> {
    using generations = await openGenerations(this.#logs, this.#spec);
    const newest = generations.files.at(-1);
    const end =
      newest && ({ generation: newest.generation, offsetBytes: await lastLineEnd(newest) } as const);
    this.stopAt(end);
    return end;
  }

  /** From now on, nothing is handed out that comes after `position`: nothing at all without one. */
  stopAt(position: LogPosition | undefined): void {
    this.#limit = position ?? { generation: 0, offsetBytes: 0 };
  }

  /** Reads some, and hands out the lines that end in it: none, if a line is longer than one read. */
  async step(onLine: OnLine): Promise<ReadStep> {
    if (this.#file === undefined && this.#limit === undefined) await this.open(undefined);
    const file = this.#file;
    const wanted = this.#wantedBytes();
    if (file === undefined || wanted === 0) return "idle";
    const chunk = this.#spare?.length === wanted ? this.#spare : Buffer.allocUnsafeSlow(wanted);
    const count = await readInto(file.descriptor, chunk, this.#offset);
    this.#spare = count === 0 ? chunk : undefined;
    this.#chunkBytes = count === chunk.length ? READ_CHUNK_BYTES : READ_LIVE_BYTES;
    if (count > 0) {
      this.#offset += count;
      this.#split(chunk.subarray(0, count), onLine);
      return "lines";
    }
    if (this.#superseded) {
      // One or the other: what failed to come next must not take with it what is handed out here.
      if (this.#partialBytes > 0) this.#finish(onLine);
      else await this.#advance(file);
      return "lines";
    }
    return this.#lookForNewer(file);
  }

  /** Not while a step is under way. */
  close(): void {
    if (this.#file !== undefined) closeQuietly(this.#file.descriptor);
    this.#file = undefined;
  }

  /** 0 at the place where {@linkcode stopAtEnd} said to stop. */
  #wantedBytes(): number {
    if (this.#file === undefined || this.#limit === undefined) return this.#chunkBytes;
    if (this.#file.generation < this.#limit.generation) return this.#chunkBytes;
    const isLast = this.#file.generation === this.#limit.generation;
    return isLast ? Math.max(0, Math.min(this.#chunkBytes, this.#limit.offsetBytes - this.#offset)) : 0;
  }

  async #lookForNewer(file: GenerationFile): Promise<ReadStep> {
    const live = await liveStatus(this.#logs.directory, this.#spec);
    if (live !== undefined && isSameFile(live, file.status)) {
      this.#sawNoLiveFile = false;
      if (live.sizeBytes >= this.#offset) return "idle";
      throw new LogsUnavailableError(
        `${this.#spec.filename} was cut off while being read`,
        this.#logs.directory,
      );
    }
    await this.#look(file);
    const hasNoLiveFile = live === undefined || this.#isReplaced;
    const isRemoved = hasNoLiveFile && this.#sawNoLiveFile;
    this.#sawNoLiveFile = hasNoLiveFile;
    if (isRemoved && !this.#superseded) return "removed";
    // Read again: something may have been appended before the file was renamed or removed.
    return this.#superseded || this.#sawNoLiveFile ? "lines" : "idle";
  }

  async #beginAtEnd(generations: Generations): Promise<void> {
    const newest = generations.files.at(-1);
    if (newest !== undefined) this.#begin(generations, newest, await lastLineEnd(newest));
  }

  #begin(generations: Generations, file: GenerationFile | undefined, offset: number): void {
    if (file === undefined) return;
    this.close();
    this.#file = generations.take(file);
    this.#offset = offset;
    this.#lineOffset = offset;
    this.#superseded = false;
    this.#chunkBytes = READ_CHUNK_BYTES;
  }

  #split(chunk: Uint8Array, onLine: OnLine): void {
    const chunkOffset = this.#offset - chunk.length;
    let start = 0;
    let lineFeed = chunk.indexOf(LINE_FEED);
    if (lineFeed >= 0 && this.#partialBytes > 0) {
      const line = this.#takePartial(chunk.subarray(0, lineFeed));
      start = lineFeed + 1;
      this.#lineOffset = chunkOffset + start;
      onLine(line, 0, line.length, this.#lineOffset);
      lineFeed = chunk.indexOf(LINE_FEED, start);
    }
    while (lineFeed >= 0) {
      this.#lineOffset = chunkOffset + lineFeed + 1;
      onLine(chunk, start, lineFeed, this.#lineOffset);
      start = lineFeed + 1;
      lineFeed = chunk.indexOf(LINE_FEED, start);
    }
    const room = LINE_BYTES_MAX - this.#partialBytes;
    if (start < chunk.length && room > 0) {
      // A copy, so that a short beginning does not keep the whole chunk; a long one is the chunk.
      const kept = start === 0 && chunk.length <= room ? chunk : chunk.slice(start, start + room);
      this.#partial.push(kept);
      this.#partialBytes += kept.length;
    }
  }

  /** The line that {@linkcode #partial} begins and `end` ends; cut if it is too long. */
  #takePartial(end: Uint8Array): Uint8Array {
    const line = Buffer.concat([...this.#partial, end.subarray(0, LINE_BYTES_MAX - this.#partialBytes)]);
    this.#partial = [];
    this.#partialBytes = 0;
    return line;
  }

  /** The file has come to its end for good, so what has no line feed is a line too, if a torn one. */
  #finish(onLine: OnLine): void {
    const line = this.#takePartial(new Uint8Array(0));
    this.#lineOffset = this.#offset;
    onLine(line, 0, line.length, this.#lineOffset);
  }

  async #look(file: GenerationFile): Promise<void> {
    using generations = await openGenerations(this.#logs, this.#spec);
    this.#superseded = generations.files.some(({ generation }) => generation > file.generation);
    this.#isReplaced = generations.isReplaced;
  }

  async #advance(file: GenerationFile): Promise<void> {
    using generations = await openGenerations(this.#logs, this.#spec);
    const next = generations.files.find(({ generation }) => generation > file.generation);
    if (next === undefined)
      throw new LogsUnavailableError("they were removed while being read", this.#logs.directory);
    const isPresent = generations.files.some(({ generation }) => generation === file.generation);
    const isNext =
      next.generation === file.generation + 1 || (isPresent && !(file.hasHeader && next.hasHeader));
    if (!isNext)
      this.#missed(next.hasHeader && file.hasHeader ? next.generation - file.generation - 1 : 1, next);
    this.#begin(generations, next, 0);
  }

  #missed(lostGenerations: number, oldest: GenerationFile): never {
    const cursor = this.#cursorAt({ generation: oldest.generation, offsetBytes: 0 });
    throw new MissedRotationError(this.#spec.filename, lostGenerations, cursor);
  }
}

/** A cursor may also stand at the end of a file whose last line is torn. */
async function checkPosition(file: GenerationFile, offset: number): Promise<void> {
  const before = offset === 0 ? undefined : (await readAt(file.descriptor, offset - 1, 1))[0];
  if (offset === 0 || before === LINE_FEED || offset === file.status.sizeBytes) return;
  throw new InvalidCursorError("position", `no entry ends at offset ${offset}`);
}

/** Where the last complete line of `file` ends. */
export async function lastLineEnd(file: GenerationFile): Promise<number> {
  let end = file.status.sizeBytes;
  while (end > 0) {
    const start = Math.max(0, end - READ_BACK_BYTES);
    const lineFeed = (await readAt(file.descriptor, start, end - start)).lastIndexOf(LINE_FEED);
    if (lineFeed >= 0) return start + lineFeed + 1;
    end = start;
  }
  return 0;
}
