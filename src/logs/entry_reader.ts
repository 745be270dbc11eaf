/**
 * Reads the wanted entries of all logs of a sandbox forwards, a batch at a time, in turns. Every entry carries the
 * place of the whole reading, so that a reading can be continued after any of them.
 *
 * @module
 */
import { decodeCursor, encodeCursor, type LogPosition, type LogPositions } from "./cursor.ts";
import type { EntryOrigin, StoredEntry } from "./entry.ts";
import { GenerationReader, type ReadStep } from "./generation_reader.ts";
import { type LineParser, newLineParser } from "./line_parser.ts";
import type { LogFileSpec } from "./log_files.ts";
import type { LogDirectory } from "./log_source.ts";
import type { ReadConfig } from "./options.ts";
import type { LogCursor } from "./types.ts";

/** A batch of entries of one log, perhaps empty though something was read; or how the logs stand. */
export type EntryStep = { readonly entries: readonly StoredEntry[] } | "idle" | "removed";

interface FileReader {
  readonly spec: LogFileSpec;
  readonly reader: GenerationReader;
  readonly parser: LineParser;
}

export class EntryReader {
  readonly #logs: LogDirectory;
  readonly #files: FileReader[] = [];
  /** Kept up to date after each step, for all logs, whether they are read or not. */
  readonly #positions: Map<number, LogPosition>;
  readonly #endsWithJob: boolean;
  #turn = 0;

  private constructor(logs: LogDirectory, start: LogPositions, endsWithJob: boolean) {
    this.#logs = logs;
    this.#endsWithJob = endsWithJob;
    this.#positions = new Map(start);
  }

  /**
   * @throws InvalidCursorError if `config.fromCursor` is damaged or belongs to other logs
   * @throws MissedRotationError if what follows it was removed in part
   */
  static async open(logs: LogDirectory, config: ReadConfig): Promise<EntryReader> {
    const start =
      config.fromCursor === undefined ? undefined : decodeCursor(config.fromCursor, logs.sandboxId);
    const opened = new EntryReader(logs, start ?? new Map(), config.endsWithJob);
    try {
      for (const spec of config.files) await opened.#openFile(spec, config, start);
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    }
  }

  /** The logs' state at this moment becomes the end of this reading, which would otherwise chase the writer. */
  async stopAtEnd(): Promise<void> {
    for (const { reader } of this.#files) await reader.stopAtEnd();
  }

  /** This reading ends at `positions`: it hands out nothing that comes after them. */
  stopAt(positions: LogPositions): void {
    for (const { spec, reader } of this.#files) reader.stopAt(positions.get(spec.id));
  }

  /** Moves to where this reading ends, or all logs end now. Before the first step. */
  async skipToEnd(): Promise<void> {
    for (const { spec, reader } of this.#files) {
      await reader.skipToEnd();
      this.#note(spec, reader);
    }
  }

  /** Of {@linkcode positions}. */
  get cursor(): LogCursor {
    return encodeCursor(this.#logs.sandboxId, this.#positions);
  }

  get positions(): LogPositions {
    return this.#positions;
  }

  /** The last record so far said that the sandbox has come to its end. */
  get sawStop(): boolean {
    return this.#files.some(({ parser }) => parser.sawStop);
  }

  /** The reading has come to its end: to that of the one job that it is of. */
  get isOver(): boolean {
    return this.#endsWithJob && this.#files.some(({ parser }) => parser.isOver);
  }

  /** Another sandbox writes these logs now. */
  get isReplaced(): boolean {
    return this.#files.some(({ reader }) => reader.isReplaced);
  }

  /** Reads some of the log whose turn it is, or of the next that has something. */
  async step(): Promise<EntryStep> {
    let isRemoved = true;
    for (let tried = 0; tried < this.#files.length; tried++) {
      const file = this.#files[this.#turn]!;
      this.#turn = (this.#turn + 1) % this.#files.length;
      const entries: StoredEntry[] = [];
      const found = await this.#read(file, entries);
      if (found === "lines") return { entries };
      isRemoved &&= found === "removed" || file.reader.generation === 0;
    }
    return isRemoved ? "removed" : "idle";
  }

  /** Not while a step is under way. */
  close(): void {
    for (const { reader } of this.#files) reader.close();
  }

  async #openFile(spec: LogFileSpec, config: ReadConfig, start: LogPositions | undefined): Promise<void> {
    const cursorAt = (position: LogPosition) =>
      encodeCursor(this.#logs.sandboxId, new Map(this.#positions).set(spec.id, position));
    const reader = new GenerationReader(this.#logs, spec, cursorAt);
    if (start === undefined && config.sinceMs > 0) await reader.openSince(config.sinceMs);
    else await reader.open(start?.get(spec.id));
    this.#files.push({ spec, reader, parser: newLineParser(spec, config, reader.modifiedMs ?? Date.now()) });
    this.#note(spec, reader);
  }

  async #read({ spec, reader, parser }: FileReader, entries: StoredEntry[]): Promise<ReadStep> {
    let origin: EntryOrigin | undefined;
    const found = await reader.step((bytes, start, end, nextOffset) => {
      if (this.isOver) return; // of what the job has left running
      origin ??= this.#originOf(spec, reader.generation);
      const entry = parser.parse(bytes, start, end, nextOffset, origin);
      if (entry !== undefined) entries.push(entry);
    });
    this.#note(spec, reader);
    return found;
  }

  #originOf(spec: LogFileSpec, generation: number): EntryOrigin {
    return {
      sandboxId: this.#logs.sandboxId,
      fileId: spec.id,
      generation,
      positions: new Map(this.#positions),
    };
  }

  #note(spec: LogFileSpec, reader: GenerationReader): void {
    const { position } = reader;
    if (position !== undefined) this.#positions.set(spec.id, position);
  }
}
