/**
 * One reading of the logs that can wait for more: hands out single entries, and knows when a followed log has ended.
 *
 * @module
 */
import { AbortedError } from "../base/errors.ts";
import { type DirectoryWatch, watchDirectory } from "../platform/file_watch.ts";
import type { StoredEntry } from "./entry.ts";
import type { EntryReader } from "./entry_reader.ts";
import { LogsUnavailableError } from "./errors.ts";
import { pathStatus } from "./files.ts";
import { FOLLOW_POLL_MS, STOPPED_POLL_MS } from "./limits.ts";

/** How a feed waits for more. */
export interface FollowConfig {
  readonly directory: string;
  /** Wall-clock end. */
  readonly untilMs: number;
  /** Whether the sandbox is stopped for good, so that nobody will write any more. */
  readonly isTerminal: () => Promise<boolean>;
}

export class EntryFeed {
  readonly #reader: EntryReader;
  readonly #follow: FollowConfig | undefined;
  readonly #watch: DirectoryWatch | undefined;
  readonly #stop = new AbortController();
  #batch: readonly StoredEntry[] = [];
  #next = 0;
  /** The read that is under way. One at a time; whoever asks meanwhile waits for it first. */
  #filling: Promise<boolean> | undefined;
  /** Nobody will write any more: once everything is read, that is the end. */
  #writerIsGone = false;
  #nextTerminalCheckMs = 0;
  #closed: Promise<void> | undefined;

  /** Follows if `follow` says how. */
  constructor(reader: EntryReader, follow: FollowConfig | undefined) {
    this.#reader = reader;
    this.#follow = follow;
    this.#watch = follow === undefined ? undefined : watchDirectory(follow.directory);
  }

  /** An entry that is there without waiting. */
  take(): StoredEntry | undefined {
    return this.#next < this.#batch.length ? this.#batch[this.#next++] : undefined;
  }

  /** The next entry; `undefined` at the end. */
  async next(): Promise<StoredEntry | undefined> {
    for (;;) {
      const entry = this.take();
      if (entry !== undefined) return entry;
      this.#filling ??= this.#fill().finally(() => {
        this.#filling = undefined;
      });
      if (!(await this.#filling)) return undefined;
    }
  }

  /** Ends the reading, also while somebody waits in {@linkcode next}, and gives back all that it held. */
  close(): Promise<void> {
    this.#closed ??= this.#release();
    return this.#closed;
  }

  async #release(): Promise<void> {
    this.#stop.abort();
    this.#batch = [];
    await this.#filling?.catch(() => {}); // its error, if any, went to whoever waits for it
    this.#reader.close();
    this.#watch?.[Symbol.dispose]();
  }

  /** Whether there is a new batch; otherwise this is the end. */
  async #fill(): Promise<boolean> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const seenVersion = this.#watch?.version ?? 0;
      const step = await this.#reader.step();
      if (signal.aborted) break;
      if (typeof step === "object") {
        this.#writerIsGone = false; // it was not, or has left this behind: look again when all is read
        this.#nextTerminalCheckMs = 0;
        if (step.entries.length === 0) continue;
        this.#batch = step.entries;
        this.#next = 0;
        return true;
      }
      if (this.#follow === undefined || this.#writerIsGone) return false;
      if (step === "removed" && (await this.#isRemoved(this.#follow))) return false;
      await this.#waitForMore(this.#follow, seenVersion);
    }
    return false;
  }

  /** Either somebody may have written, or it is established that nobody will. */
  async #waitForMore(follow: FollowConfig, seenVersion: number): Promise<void> {
    const nowMs = Date.now();
    if (nowMs >= follow.untilMs) {
      this.#writerIsGone = true; // what is written from now on is not wanted
      return;
    }
    if (nowMs >= this.#nextTerminalCheckMs) {
      this.#writerIsGone = await follow.isTerminal();
      this.#nextTerminalCheckMs = nowMs + (this.#reader.sawStop ? STOPPED_POLL_MS : FOLLOW_POLL_MS);
      if (this.#writerIsGone) return;
    }
    const waitMs = Math.max(0, Math.min(follow.untilMs, this.#nextTerminalCheckMs) - nowMs);
    await this.#watch?.changed(seenVersion, waitMs, this.#stop.signal);
  }

  /** Whether the logs were removed when everything in them had been read. */
  async #isRemoved({ directory }: FollowConfig): Promise<boolean> {
    if ((await pathStatus(directory)) !== undefined) return false;
    if (this.#reader.sawStop) return true;
    throw new LogsUnavailableError("they were removed while being followed", directory);
  }
}

/** Closes `feed` when `signal` aborts, and tells `onAbort` why. Returns how to stop listening. */
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
