/**
 * The body of a live answer as server-sent events (protocol, section 5.8): events `data`, each followed by an event `control`
 * that says where the client is.
 *
 * @module
 */
import { type Bytes, encodeUtf8 } from "../../base/bytes.ts";
import { systemClock } from "../../base/clock.ts";
import { settlesWithin } from "../../base/wait.ts";
import { MissedRotationError } from "../errors.ts";
import { SSE_KEEP_ALIVE_MS, SSE_SESSION_MS } from "../limits.ts";
import type { BodyFormat } from "./body_format.ts";
import { nextCollapseCursor } from "./collapse_cursor.ts";
import type { LogPage, PageReader } from "./page_reader.ts";

/** A comment: clients pass over it. */
const KEEP_ALIVE = encodeUtf8(": keep-alive\n\n");

/** What stands in the events, and what the client was told before. */
export interface EventConfig {
  readonly format: BodyFormat;
  readonly clientCursor: number | undefined;
}

/** The events of `first`, of what follows it in `reader`, and at last of the log's end. Closes `reader`. */
export function eventBody(reader: PageReader, first: LogPage, config: EventConfig): ReadableStream<Bytes> {
  const session = new EventSession(reader, first, config);
  return new ReadableStream<Bytes>(
    {
      pull: (controller) => session.pull(controller),
      cancel: () => reader[Symbol.asyncDispose](),
    },
    { highWaterMark: 0 },
  );
}

class EventSession {
  readonly #reader: PageReader;
  readonly #config: EventConfig;
  readonly #endMs = systemClock.now() + SSE_SESSION_MS;
  /** The page to send. */
  #page: LogPage | undefined;
  /** The page that was sent last had everything. */
  #isUpToDate = false;
  /** The wait that goes on while comments are sent. */
  #waiting: Promise<boolean> | undefined;

  constructor(reader: PageReader, first: LogPage, config: EventConfig) {
    this.#reader = reader;
    this.#page = first;
    this.#config = config;
  }

  async pull(controller: ReadableStreamDefaultController<Bytes>): Promise<void> {
    try {
      const isOver = await this.#send(controller);
      if (isOver) await this.#close(controller);
    } catch (error) {
      // A client that fell behind connects again where it was, and is told what it has missed.
      if (error instanceof MissedRotationError) return await this.#close(controller);
      await this.#reader[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Sends a page, or a comment while there is none. Returns whether that was the last. */
  async #send(controller: ReadableStreamDefaultController<Bytes>): Promise<boolean> {
    if (this.#page === undefined && systemClock.now() >= this.#endMs) return true;
    const page = this.#page ?? (await this.#nextPage());
    this.#page = undefined;
    controller.enqueue(page === undefined ? KEEP_ALIVE : encodeUtf8(formatPage(page, this.#config)));
    if (page !== undefined) this.#isUpToDate = page.isUpToDate;
    return page?.isClosed === true;
  }

  /** `undefined` when the client should hear something before there is one. */
  async #nextPage(): Promise<LogPage | undefined> {
    if (!this.#isUpToDate) return await this.#reader.nextPage();
    this.#waiting ??= this.#reader.more();
    this.#waiting.catch(() => {}); // it may fail while no call waits: the next call throws that
    if (!(await settlesWithin(this.#waiting, SSE_KEEP_ALIVE_MS))) return undefined;
    const isMore = await this.#waiting;
    this.#waiting = undefined;
    if (isMore) return await this.#reader.nextPage();
    return { entries: [], nextOffset: this.#reader.nextOffset, isUpToDate: true, isClosed: true };
  }

  async #close(controller: ReadableStreamDefaultController<Bytes>): Promise<void> {
    controller.close();
    await this.#reader[Symbol.asyncDispose]();
  }
}

function formatPage(page: LogPage, { format, clientCursor }: EventConfig): string {
  const data = format.toEventData(page.entries);
  const control = {
    streamNextOffset: page.nextOffset,
    ...(page.isClosed ? { streamClosed: true } : { streamCursor: nextCollapseCursor(clientCursor) }),
    ...(page.isUpToDate ? { upToDate: true } : {}),
  };
  return (
    (data === undefined ? "" : formatEvent("data", data)) + formatEvent("control", JSON.stringify(control))
  );
}

/** Each line in a field of its own: what a program prints cannot end the event. */
function formatEvent(name: string, data: string): string {
  const lines = data.split(/\r\n|\n|\r/).map((line) => `data:${line.startsWith(" ") ? " " : ""}${line}\n`);
  return `event: ${name}\n${lines.join("")}\n`;
}
