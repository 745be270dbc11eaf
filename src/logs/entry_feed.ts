/**
 * Hands out the entries of one reading one by one, waits for more, and knows when a followed log has ended.
 *
 * @module
 */
import { systemClock } from "../base/clock.ts";
import { AbortedError } from "../base/errors.ts";
import { type DirectoryWatch, watchDirectory } from "../platform/file_watch.ts";
import type { StoredEntry } from "./entry.ts";
import type { EntryReader } from "./entry_reader.ts";
import { LogsUnavailableError } from "./errors.ts";
import { FOLLOW_POLL_MS, POLL_STEPS_MAX, STOPPED_POLL_MS } from "./limits.ts";
import { pathStatus } from "./read_file.ts";
import type { LogCursor } from "./types.ts";

/** How a feed waits for more. */
export interface FollowConfig {
  readonly directory: string;
  /** End by the wall clock, as entries have their times by it. Milliseconds since 1970. */
  readonly untilMs: number;
  /** Whether the sandbox is stopped for good, so that nothing more will be written. */
  readonly isTerminal: () => Promise<boolean>;
}

/** What reading on has found: entries; none for now; none yet, though there is more to read; or nothing ever more. */
export type Found = "entries" | "idle" | "more" | "end";

/** A call of `isTerminal`. */
interface Question {
  /** The last batch before it was asked. */
  readonly batchNumber: number;
  /** Gives the answer, or throws what the call failed with, once there is one. */
  answer: (() => boolean) | undefined;
}

export class EntryFeed {
  readonly #reader: EntryReader;
  readonly #follow: FollowConfig | undefined;
  readonly #isComplete: boolean;
  readonly #watch: DirectoryWatch | undefined;
  readonly #stop = new AbortController();
  /** Ends the wait for changes that is under way. */
  #wake = new AbortController();
  #batch: readonly StoredEntry[] = [];
  #batchNumber = 0;
  #next = 0;
  /** The read that is under way. One at a time; calls that come during it wait for it first. */
  #filling: Promise<Found> | undefined;
  /** The last read found nothing, and no live file of these logs. */
  #isRemoved = false;
  /** Nothing more will be written: once everything is read, that is the end. */
  #writerIsGone = false;
  /** At most one at a time. Nothing waits for its answer, so that new entries go out in the meantime. */
  #question: Question | undefined;
  /** By the monotonic clock. */
  #nextQuestionMs = Number.NEGATIVE_INFINITY;
  #closed: Promise<void> | undefined;

  /** Follows if `follow` says how. Needs not to, if all that it reads `isComplete`. */
  constructor(reader: EntryReader, follow: FollowConfig | undefined, isComplete = false) {
    this.#reader = reader;
    this.#isComplete = isComplete;
    this.#follow = follow;
    this.#watch = follow === undefined ? undefined : watchDirectory(follow.directory);
  }

  /** An entry that is ready, if there is one. */
  take(): StoredEntry | undefined {
    return this.#next < this.#batch.length ? this.#batch[this.#next++] : undefined;
  }

  /** The next entry; `undefined` at the end. */
  async next(): Promise<StoredEntry | undefined> {
    for (;;) {
      const entry = this.take();
      if (entry !== undefined) return entry;
      if ((await this.#once(() => this.#fill())) === "end") return undefined;
    }
  }

  /** Waits until {@linkcode take} has an entry; `false` at the end. */
  async ready(): Promise<boolean> {
    while (this.#next === this.#batch.length) {
      if ((await this.#once(() => this.#fill())) === "end") return false;
    }
    return true;
  }

  /** Reads what is there, up to the next entry, without waiting for more. Not during {@linkcode ready}. */
  async poll(): Promise<Found> {
    if (this.#next < this.#batch.length) return "entries";
    return await this.#once(() => this.#readOn());
  }

  /** Goes to the end of what is there. Before anything else. */
  async skipToEnd(): Promise<void> {
    await this.#reader.skipToEnd();
  }

  /** Just after the last entry that was taken, or further, if nothing was between. Not with a batch that is untouched. */
  get cursor(): LogCursor {
    const last = this.#next < this.#batch.length ? this.#batch[this.#next - 1] : undefined;
    return last?.cursor ?? this.#reader.cursor;
  }

  /** Whether the end of this reading is that of what it reads, and not just of what was there. */
  get isToTheEnd(): boolean {
    return this.#isComplete || this.#follow !== undefined;
  }

  /** Whether this has come to its end once everything is read that is there now. Asks at once. */
  async isWriterGone(): Promise<boolean> {
    if (this.#isComplete || this.#reader.isOver) return true;
    const follow = this.#follow;
    return follow !== undefined && (follow.untilMs <= Date.now() || (await follow.isTerminal()));
  }

  /** It was closed, by its user or by a signal. */
  get isClosed(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Ends the reading, even during {@linkcode next}, and closes its files. */
  close(): Promise<void> {
    this.#closed ??= this.#release();
    return this.#closed;
  }

  async #release(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    this.#batch = [];
    this.#next = 0;
    await this.#filling?.catch(() => {}); // its error, if any, went to the caller that waits for it
    this.#reader.close();
    this.#watch?.[Symbol.dispose]();
  }

  /** One read at a time: a call that comes during another one gets what that finds. */
  #once(read: () => Promise<Found>): Promise<Found> {
    this.#filling ??= read().finally(() => {
      this.#filling = undefined;
    });
    return this.#filling;
  }

  /** Gets a new batch, and waits for it if need be. */
  async #fill(): Promise<Found> {
    const { signal } = this.#stop;
    while (!signal.aborted && !this.#reader.isOver) {
      const seenVersion = this.#watch?.version ?? 0;
      const found = await this.#step();
      if (found === "entries" || signal.aborted) return found;
      if (found === "more") continue;
      if (this.#follow === undefined || this.#writerIsGone) return "end";
      if (this.#isRemoved && (await this.#isGone(this.#follow))) return "end";
      await this.#waitForMore(this.#follow, seenVersion);
    }
    return "end";
  }

  /** Gets a new batch if there is one. */
  async #readOn(): Promise<Found> {
    let found: Found = "more";
    for (let steps = 0; found === "more" && steps < POLL_STEPS_MAX; steps++)
      found = this.isClosed || this.#reader.isOver ? "end" : await this.#step();
    return found;
  }

  async #step(): Promise<Found> {
    const step = await this.#reader.step();
    if (this.#stop.signal.aborted) return "end";
    this.#isRemoved = step === "removed";
    if (typeof step === "string") return "idle";
    this.#batchNumber++;
    if (this.#writerIsGone || this.#reader.sawStop) this.#nextQuestionMs = Number.NEGATIVE_INFINITY; // ask as soon as all is read
    this.#writerIsGone = false; // it was not, or has left this behind
    if (step.entries.length === 0) return "more";
    this.#batch = step.entries;
    this.#next = 0;
    return "entries";
  }

  /** Resolves when something may have been written, or when it is established that nothing will be. */
  async #waitForMore(follow: FollowConfig, seenVersion: number): Promise<void> {
    const leftMs = follow.untilMs - Date.now(); // what is written after it is not wanted
    this.#writerIsGone = leftMs <= 0 || this.#isAnsweredWithYes();
    if (this.#writerIsGone) return;
    const nowMs = systemClock.now();
    if (this.#question === undefined && nowMs >= this.#nextQuestionMs) {
      this.#question = this.#ask(follow);
      this.#nextQuestionMs = nowMs + (this.#reader.sawStop ? STOPPED_POLL_MS : FOLLOW_POLL_MS);
    }
    const pauseMs = this.#question === undefined ? this.#nextQuestionMs - nowMs : FOLLOW_POLL_MS;
    const waitMs = Math.max(0, Math.min(leftMs, pauseMs));
    this.#wake = new AbortController();
    if (this.#stop.signal.aborted) return;
    await this.#watch?.changed(seenVersion, waitMs, this.#wake.signal);
  }

  #ask({ isTerminal }: FollowConfig): Question {
    const question: Question = { batchNumber: this.#batchNumber, answer: undefined };
    isTerminal()
      .then(
        (isGone) => {
          question.answer = () => isGone;
        },
        (error: unknown) => {
          question.answer = () => {
            throw error;
          };
        },
      )
      .finally(() => this.#wake.abort());
    return question;
  }

  /** Takes the answer, if there is one. It does not count if anything was written after the question. */
  #isAnsweredWithYes(): boolean {
    const question = this.#question;
    if (question?.answer === undefined) return false;
    this.#question = undefined;
    return question.answer() && question.batchNumber === this.#batchNumber;
  }

  /** Whether the logs were removed after everything in them had been read. */
  async #isGone({ directory }: FollowConfig): Promise<boolean> {
    if (!this.#reader.isReplaced && (await pathStatus(directory)) !== undefined) return false;
    if (this.#reader.sawStop) return true;
    throw new LogsUnavailableError("they were removed while being followed", directory);
  }
}

/** Closes `feed` when `signal` fires, and calls `onAbort` with the reason. Returns a function that stops listening. */
export function closeOnAbort(
  feed: EntryFeed,
  signal: AbortSignal,
  onAbort: (error: AbortedError) => void,
): () => void {
  const abort = () => {
    onAbort(new AbortedError("reading logs", signal.reason));
    void feed.close();
  };
  signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}
