/**
 * What a rotated log has to be, in memory and without files: the model that logs_model_test.ts holds the real one
 * against. It knows the sizes of lines, which decide about rotation, but nothing of descriptors, names or reads.
 */

export const MODEL_SANDBOX = "model";
export const MAX_FILE_BYTES = 2000;
export const ROTATED_FILES_MAX = 3;
const CLOCK_BACK_HOLD_MS = 60_000;

export type ModelSource = "stdout" | "stderr" | "system";

export interface ModelEntry {
  readonly text: string;
  readonly source: ModelSource;
  readonly sessionId: number | null;
  readonly stampMs: number;
  readonly generation: number;
  /** Place in its generation. */
  readonly index: number;
  /** Where its line ends in its file. */
  readonly endOffset: number;
  /** Its line feed was written. Without it, readers wait for more unless the file is final. */
  complete: boolean;
}

export interface ModelGeneration {
  readonly generation: number;
  readonly entries: ModelEntry[];
  sizeBytes: number;
  /** Size of the generation before, as this one's header says. */
  readonly previousSizeBytes: number | undefined;
  /** Of the newest complete line: where a writer that opens the file goes on. */
  newestMs: number;
  /** Of the newest line, complete or not: whether a search by time has to look here. */
  newestSeenMs: number;
}

export class LogModel {
  readonly generations = new Map<number, ModelGeneration>();
  /** By suffix; index 0 is the live file. */
  slots: (number | undefined)[] = [];
  nowMs = Date.UTC(2026, 0, 1);
  #lastStampMs = 0;
  /** The entry or fragment that a crash left at the end of the live file. */
  torn: { readonly entry: ModelEntry | undefined; readonly stampMs: number | undefined } | undefined;

  get live(): ModelGeneration | undefined {
    const generation = this.slots[0];
    return generation === undefined ? undefined : this.generations.get(generation);
  }

  /** Oldest first. */
  get retained(): ModelGeneration[] {
    return this.slots
      .flatMap((generation) => (generation === undefined ? [] : [this.generations.get(generation)!]))
      .reverse();
  }

  nextRetained(after: number): ModelGeneration | undefined {
    return this.retained.find(({ generation }) => generation > after);
  }

  /** The stamp that the next record gets, and whether the clock is so far back that a new file has to begin. */
  stamp(): { stampMs: number; setBack: boolean } {
    if (this.nowMs >= this.#lastStampMs) return { stampMs: this.nowMs, setBack: false };
    const held = this.#lastStampMs - this.nowMs <= CLOCK_BACK_HOLD_MS;
    return held ? { stampMs: this.#lastStampMs, setBack: false } : { stampMs: this.nowMs, setBack: true };
  }

  static line(stampMs: number, source: ModelSource, sessionId: number | null, text: string): string {
    const id = sessionId === null ? {} : { id: sessionId };
    return `${JSON.stringify({ t: new Date(stampMs).toISOString(), s: source, ...id, d: text })}\n`;
  }

  needsRotation(lineBytes: number): boolean {
    return this.stamp().setBack || this.live!.sizeBytes + lineBytes > MAX_FILE_BYTES;
  }

  append(source: ModelSource, sessionId: number | null, text: string): void {
    const { stampMs } = this.stamp();
    const line = LogModel.line(stampMs, source, sessionId, text);
    if (this.needsRotation(line.length)) this.rotate();
    this.#closeTorn();
    this.#push(source, sessionId, text, stampMs, line.length, true);
    this.#noteNewest(stampMs);
    this.#lastStampMs = stampMs;
  }

  /** The writer dies after `written` bytes of the line of this record. */
  crash(source: ModelSource, sessionId: number | null, text: string, written: number): string {
    const { stampMs } = this.stamp();
    const line = LogModel.line(stampMs, source, sessionId, text);
    const part = line.slice(0, written);
    if (written === 0) return part;
    if (written === line.length) {
      this.#push(source, sessionId, text, stampMs, line.length, true);
      this.#noteNewest(stampMs);
      return part;
    }
    const isWhole = written === line.length - 1;
    const entry = isWhole ? this.#push(source, sessionId, text, stampMs, written, false) : undefined;
    if (!isWhole) this.live!.sizeBytes += written;
    const showsStamp = written >= '{"t":"'.length + 24;
    if (showsStamp) this.live!.newestSeenMs = stampMs;
    this.torn = { entry, stampMs: showsStamp ? stampMs : undefined };
    return part;
  }

  /** The files that a rotation renames until it is cut short, as pairs of suffixes; all of them without a limit. */
  shift(steps = Number.POSITIVE_INFINITY): [number, number][] {
    const renamed: [number, number][] = [];
    for (let index = ROTATED_FILES_MAX - 1; index >= 0 && renamed.length < steps; index--) {
      if (this.slots[index] === undefined) continue;
      this.slots[index + 1] = this.slots[index];
      this.slots[index] = undefined;
      renamed.push([index, index + 1]);
    }
    return renamed;
  }

  rotate(): void {
    const generation = Math.max(0, ...this.slots.map((slot) => slot ?? 0)) + 1;
    const previousSizeBytes = this.generations.get(generation - 1)?.sizeBytes;
    this.#finishTorn();
    this.shift();
    const header = {
      t: new Date(this.nowMs).toISOString(),
      s: "header",
      v: 1,
      g: generation,
      sandbox: MODEL_SANDBOX,
      ...(previousSizeBytes === undefined ? {} : { previous: previousSizeBytes }),
    };
    const sizeBytes = JSON.stringify(header).length + 1;
    const newest = { newestMs: this.nowMs, newestSeenMs: this.nowMs };
    this.generations.set(generation, { generation, entries: [], sizeBytes, previousSizeBytes, ...newest });
    this.slots[0] = generation;
    this.#lastStampMs = this.nowMs;
  }

  /** A writer opens the log. */
  boot(): void {
    if (this.live === undefined) this.rotate();
    else this.#lastStampMs = this.live.newestMs;
  }

  #push(
    source: ModelSource,
    sessionId: number | null,
    text: string,
    stampMs: number,
    lineBytes: number,
    complete: boolean,
  ): ModelEntry {
    const live = this.live!;
    live.sizeBytes += lineBytes;
    const { generation, entries, sizeBytes: endOffset } = live;
    const entry = {
      text,
      source,
      sessionId,
      stampMs,
      generation,
      index: entries.length,
      endOffset,
      complete,
    };
    entries.push(entry);
    return entry;
  }

  #noteNewest(stampMs: number): void {
    this.live!.newestMs = stampMs;
    this.live!.newestSeenMs = stampMs;
  }

  /** The next write begins with the line feed that is missing. */
  #closeTorn(): void {
    if (this.torn === undefined) return;
    const live = this.live!;
    live.sizeBytes++;
    const { entry, stampMs } = this.torn;
    if (entry !== undefined)
      live.entries[entry.index] = { ...entry, endOffset: live.sizeBytes, complete: true };
    if (stampMs !== undefined) this.#noteNewest(stampMs);
    this.torn = undefined;
  }

  /** No line feed will come, but readers take the end of the file for the end of the line. */
  #finishTorn(): void {
    if (this.torn?.entry !== undefined) this.torn.entry.complete = true;
    this.torn = undefined;
  }
}
