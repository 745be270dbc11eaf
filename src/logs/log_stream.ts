/**
 * The logs as a stream: the entries that are there, and with `follow` those to come.
 *
 * @module
 */
import type { ReadableStreamAsyncIterator } from "node:stream/web";
import { AbortedError } from "../base/errors.ts";
import type { LogPosition } from "./cursor.ts";
import type { StoredEntry } from "./entry.ts";
import { closeOnAbort, EntryFeed } from "./entry_feed.ts";
import { EntryReader } from "./entry_reader.ts";
import { EXEC_LOG } from "./log_files.ts";
import { type LogDirectory, requireDirectory } from "./log_source.ts";
import { parseStreamOptions } from "./options.ts";
import type { LogEntry, LogStreamOptions } from "./types.ts";

/** Where a stream reads, and how it learns that nothing more will come. */
export interface LogStreamSource extends LogDirectory {
  /**
   * Whether the sandbox has ended: stopped, crashed or removed. A followed stream ends when it has and everything is read.
   * Called about once a second, and not again before it has answered.
   */
  readonly isTerminal: () => Promise<boolean>;
  /** What is known of the end of one session's output. @default nothing: it ends with the sandbox */
  readonly sessionEnd?: (sessionId: number) => SessionEnd;
}

/** How far the output of one session goes. */
export interface SessionEnd {
  /** Nothing more of it will be written. */
  readonly isOver: boolean;
  /** Where it ends, if that is known. */
  readonly position?: LogPosition | undefined;
}

/** What a stream calls. Written out, since the runtimes' types do not agree on a name for it. */
interface EntrySource {
  start(controller: ReadableStreamDefaultController<LogEntry>): void;
  pull(): Promise<void>;
  cancel(): Promise<void>;
}

/** The constructor of `ReadableStream` for sources without a type of their own. */
const EntryStream: new (
  source: EntrySource,
  strategy: { highWaterMark: number },
) => ReadableStream<LogEntry> = ReadableStream;

/** What hands out the entries of a stream. For the modules of this room, as one class is the friend of another. */
export let feedOf: (stream: LogStream) => EntryFeed;

/**
 * A stream of log entries: a `ReadableStream` with {@linkcode recv} for single entries and `await using` to close it.
 * Iterating over it directly is several times as fast as through a reader.
 *
 * Reads at most one chunk of a file ahead, and only when it is read from. So the cursor of the last entry that was handed
 * out is exactly how far its consumer has come.
 *
 * @example
 * ```ts with stopped web
 * await using stream = await logStream("web", { follow: true });
 * for await (const entry of stream) console.log(entry.source, entry.text());
 * ```
 */
export class LogStream extends EntryStream implements AsyncDisposable {
  readonly #feed: EntryFeed;
  readonly #controller: ReadableStreamDefaultController<LogEntry>;
  #forgetSignal: () => void = () => {};
  #ended = false;
  #failure: unknown;

  static {
    feedOf = (stream) => stream.#feed;
  }

  /** Use `logStream()`. */
  constructor(feed: EntryFeed, signal: AbortSignal | undefined) {
    let controller: ReadableStreamDefaultController<LogEntry> | undefined;
    super(
      {
        start(given) {
          controller = given;
        },
        pull: () => this.#pull(),
        cancel: () => this.#end(),
      },
      { highWaterMark: 0 },
    );
    this.#feed = feed;
    this.#controller = controller!;
    if (signal !== undefined) this.#forgetSignal = closeOnAbort(feed, signal, (error) => this.#fail(error));
  }

  /**
   * Waits for the next entry; `null` at the end.
   *
   * @throws {TypeError} if a reader or an iteration has locked the stream.
   */
  async recv(): Promise<LogEntry | null> {
    if (this.locked) throw new TypeError("Cannot receive an entry, since the stream is locked");
    return (await this.#next()) ?? null;
  }

  /** Iterates over the entries. Leaving the loop closes the stream, unless `preventCancel` is set. */
  override values(options?: { preventCancel?: boolean }): ReadableStreamAsyncIterator<LogEntry> {
    const lock = this.getReader(); // entries pass by the stream's own queue, which would cost more than all the rest
    const feed = this.#feed;
    const finish = async (): Promise<IteratorResult<LogEntry, undefined>> => {
      lock.releaseLock();
      if (options?.preventCancel !== true) await this.#end();
      return { done: true, value: undefined };
    };
    const following = async (): Promise<IteratorResult<LogEntry, undefined>> => {
      try {
        const value = await this.#next();
        return value === undefined ? finish() : { done: false, value };
      } catch (error) {
        lock.releaseLock();
        throw error;
      }
    };
    return {
      next: () => {
        const value = feed.take();
        return value === undefined ? following() : Promise.resolve({ done: false, value });
      },
      return: finish,
      [Symbol.asyncIterator]() {
        return this;
      },
      [Symbol.asyncDispose]: async () => void (await finish()),
    };
  }

  /** Same as {@linkcode values}. */
  override [Symbol.asyncIterator](options?: {
    preventCancel?: boolean;
  }): ReadableStreamAsyncIterator<LogEntry> {
    return this.values(options);
  }

  /** Ends the stream and closes its files, even while it is being read. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }

  async #pull(): Promise<void> {
    try {
      const entry = await this.#next();
      if (entry !== undefined) this.#controller.enqueue(entry);
    } catch {
      // #next() has put the error into the stream
    }
  }

  /** The next entry, for every way of reading. The end and the first error also go into the stream. */
  async #next(): Promise<StoredEntry | undefined> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      const entry = await this.#feed.next();
      if (this.#failure !== undefined) throw this.#failure;
      if (entry === undefined) await this.#end();
      return entry;
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = error;
    this.#forgetSignal();
    this.#controller.error(error);
    void this.#feed.close();
  }

  async #end(): Promise<void> {
    this.#forgetSignal();
    if (!this.#ended) {
      this.#ended = true;
      closeController(this.#controller);
    }
    await this.#feed.close();
  }
}

/** In `cancel()` the stream is closed already, and then closing its controller throws. */
function closeController(controller: ReadableStreamDefaultController<LogEntry>): void {
  try {
    controller.close();
  } catch {
    // it is closed, as it should be
  }
}

/**
 * Opens a stream of the logs in a directory; `logStream()` does the same by a sandbox's name.
 *
 * Entries of one source come in the order in which they were captured; those of several sources as they are found.
 *
 * @throws {InvalidConfigError} naming the options that are wrong.
 * @throws {InvalidCursorError} if `fromCursor` is damaged or belongs to other logs.
 * @throws {MissedRotationError} if entries after `fromCursor` are gone. The stream fails with it, too, if it falls so far
 *   behind that files are removed before it has read them.
 * @throws {LogsUnavailableError} if the directory or a file in it cannot be read.
 * @throws {AbortedError} if the signal has fired.
 */
export async function openLogStream(
  source: LogStreamSource,
  options: LogStreamOptions = {},
): Promise<LogStream> {
  const config = parseStreamOptions(options);
  const { signal } = options;
  const throwIfAborted = () => {
    if (signal?.aborted === true) throw new AbortedError("reading logs", signal.reason);
  };
  throwIfAborted();
  await requireDirectory(source.directory);
  const { sessionId } = config;
  const endOf = (id: number): SessionEnd => source.sessionEnd?.(id) ?? { isOver: false };
  const end = sessionId === undefined ? undefined : endOf(sessionId); // first: what is over is in the files that are opened next
  const follows = config.follow && end?.isOver !== true;
  const reader = await EntryReader.open(source, config);
  try {
    if (end?.position !== undefined) reader.stopAt(new Map([[EXEC_LOG.id, end.position]]));
    else if (!follows) await reader.stopAtEnd();
    throwIfAborted();
  } catch (error) {
    reader.close();
    throw error;
  }
  const isTerminal = async () =>
    (sessionId !== undefined && endOf(sessionId).isOver) || (await source.isTerminal());
  const follow = follows ? { directory: source.directory, untilMs: config.untilMs, isTerminal } : undefined;
  return new LogStream(new EntryFeed(reader, follow, config.follow && !follows), signal);
}
