/**
 * Reads a followed log page by page, as the protocol hands it out, and knows where each page ends: with all that is there
 * now, or for good.
 *
 * @module
 */
import { AbortedError, InvalidConfigError } from "../../base/errors.ts";
import type { EntryFeed } from "../entry_feed.ts";
import { MissedRotationError } from "../errors.ts";
import { PAGE_BYTES_MAX, PAGE_ENTRIES_MAX } from "../limits.ts";
import { feedOf, type LogStream } from "../log_stream.ts";
import { type OpenLog, openOrMiss, REOPEN_MAX } from "../open_log.ts";
import type { LogEntry } from "../types.ts";
import { encodeOffset } from "./offset.ts";
import type { StartPlace } from "./request.ts";

/** What stands between two offsets. */
export interface LogPage {
  readonly entries: readonly LogEntry[];
  /** Where the next page begins. */
  readonly nextOffset: string;
  /** It has everything that was there. */
  readonly isUpToDate: boolean;
  /** Nothing will ever follow. */
  readonly isClosed: boolean;
}

export class PageReader implements AsyncDisposable {
  readonly #stream: LogStream;
  readonly #feed: EntryFeed;

  private constructor(stream: LogStream) {
    this.#stream = stream;
    this.#feed = feedOf(stream);
  }

  /** @throws InvalidConfigError if `open` gives a stream that is not followed */
  static async open(open: OpenLog, place: StartPlace): Promise<PageReader> {
    const stream =
      typeof place === "object" ? await open(place.cursor) : (await openOrMiss(open, undefined)).stream;
    const reader = new PageReader(stream);
    try {
      if (!reader.#feed.isToTheEnd)
        throw new InvalidConfigError([
          {
            field: "follow",
            problem: "must be true in the stream that is opened for the Durable Streams protocol",
          },
        ]);
      if (place === "now") await reader.#feed.skipToEnd();
      return reader;
    } catch (error) {
      await reader[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Opens at `place` and reads a page. The oldest entry may be gone before it was read: then there is another oldest. */
  static async openWithPage(
    open: OpenLog,
    place: StartPlace,
  ): Promise<{ reader: PageReader; page: LogPage }> {
    for (let attempt = 0; ; attempt++) {
      const reader = await PageReader.open(open, place);
      try {
        return { reader, page: await reader.firstPage() };
      } catch (error) {
        await reader[Symbol.asyncDispose]();
        if (!(error instanceof MissedRotationError) || typeof place === "object" || attempt >= REOPEN_MAX)
          throw error;
      }
    }
  }

  /** A page that, where it is up to date, also knows whether the log is closed: it asks. */
  async firstPage(): Promise<LogPage> {
    const page = await this.nextPage();
    if (!page.isUpToDate || !(await this.#feed.isWriterGone())) return page;
    const last = await this.nextPage(page.entries); // what was written before the end, after the first look
    return { ...last, isClosed: last.isUpToDate };
  }

  /** What is there now, up to the size of a page, after `entries`. */
  async nextPage(before: readonly LogEntry[] = []): Promise<LogPage> {
    const entries = [...before];
    let bytes = entries.reduce((sum, { data }) => sum + data.length, 0);
    let isUpToDate = false;
    while (!isUpToDate && bytes < PAGE_BYTES_MAX && entries.length < PAGE_ENTRIES_MAX) {
      const entry = await this.#take(entries.length > 0);
      if (entry === "more") break;
      isUpToDate = entry === "idle";
      if (entry === "idle") continue;
      entries.push(entry);
      bytes += entry.data.length;
    }
    return { entries, nextOffset: this.nextOffset, isUpToDate, isClosed: false };
  }

  /** Where the next page begins. */
  get nextOffset(): string {
    return encodeOffset(this.#feed.cursor);
  }

  /** Resolves when there is more, with `true`, or when the log has ended. */
  async more(): Promise<boolean> {
    const isMore = await this.#feed.ready();
    if (!isMore) this.#throwIfClosed();
    return isMore;
  }

  /** Closes the log, also during {@linkcode more}, which then throws. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stream[Symbol.asyncDispose]();
  }

  async #take(isLossLater: boolean): Promise<LogEntry | "idle" | "more"> {
    let found: Awaited<ReturnType<EntryFeed["poll"]>>;
    try {
      found = await this.#feed.poll();
    } catch (error) {
      if (isLossLater && error instanceof MissedRotationError) return "more"; // the next page begins with it
      throw error;
    }
    this.#throwIfClosed();
    if (found === "end") return "idle";
    return found === "entries" ? this.#feed.take()! : found;
  }

  /** A reading that was ended from outside must not look like a log that has ended. */
  #throwIfClosed(): void {
    if (this.#feed.isClosed) throw new AbortedError("reading logs");
  }
}
