/**
 * A log stream as bytes: server-sent events (WHATWG HTML, section 9.2), whose event id is the cursor, or newline-delimited
 * JSON. If entries were lost by rotation it says so, and goes on with what is left.
 *
 * @module
 */
import { type Bytes, encodeUtf8 } from "../base/bytes.ts";
import { settlesWithin } from "../base/wait.ts";
import { toRecord, toRecordWithCursor } from "./entry_record.ts";
import { MissedRotationError } from "./errors.ts";
import { SSE_KEEP_ALIVE_MS } from "./limits.ts";
import type { LogStream } from "./log_stream.ts";
import { type OpenedLog, type OpenLog, openOrMiss } from "./open_log.ts";
import type { LogEntry } from "./types.ts";

/** Encodes a log stream as server-sent events: the body of `logResponse()`. */
export function toServerSentEvents(stream: LogStream): ReadableStream<Bytes> {
  return new LogByteStream({ stream, missed: undefined }, undefined, "sse").readable;
}

/** Encodes a log stream as newline-delimited JSON: the body of `logResponse()`. */
export function toNdjson(stream: LogStream): ReadableStream<Bytes> {
  return new LogByteStream({ stream, missed: undefined }, undefined, "ndjson").readable;
}

type Format = "sse" | "ndjson";

export class LogByteStream {
  readonly readable: ReadableStream<Bytes>;
  readonly #open: OpenLog | undefined;
  readonly #format: Format;
  #opened: OpenedLog;
  /** Not every server sends the head of an answer before the first bytes of its body: a quiet log would not connect. */
  #isGreeted: boolean;
  /** The read that continues while keep-alive comments are sent, until what it gives has been handed on. */
  #pending: Promise<LogEntry | null> | undefined;
  #isCancelled = false;

  constructor(opened: OpenedLog, open: OpenLog | undefined, format: Format) {
    this.#opened = opened;
    this.#open = open;
    this.#format = format;
    this.#isGreeted = format !== "sse";
    this.readable = new ReadableStream<Bytes>(
      {
        pull: (controller) => this.#pull(controller),
        cancel: () => this.#cancel(),
      },
      { highWaterMark: 0 },
    );
  }

  async #cancel(): Promise<void> {
    this.#isCancelled = true; // a stream that is being reopened is closed as soon as it is there
    await this.#opened.stream[Symbol.asyncDispose]();
  }

  async #pull(controller: ReadableStreamDefaultController<Bytes>): Promise<void> {
    if (!this.#isGreeted) {
      this.#isGreeted = true;
      return controller.enqueue(encodeUtf8(GREETING));
    }
    const { missed } = this.#opened;
    if (missed !== undefined) {
      this.#opened = { ...this.#opened, missed: undefined };
      return controller.enqueue(encodeUtf8(this.#formatMissed(missed)));
    }
    try {
      const entry = await this.#receive();
      if (entry !== undefined && entry !== null)
        return controller.enqueue(encodeUtf8(this.#formatEntry(entry)));
      if (entry === undefined) return controller.enqueue(encodeUtf8(KEEP_ALIVE));
      if (this.#format === "sse") controller.enqueue(encodeUtf8("event: end\ndata: {}\n\n"));
      controller.close();
    } catch (error) {
      if (!(error instanceof MissedRotationError) || this.#open === undefined) throw error;
      const next = await openOrMiss(this.#open, error.cursor);
      if (this.#isCancelled) return next.stream[Symbol.asyncDispose]();
      this.#opened = { stream: next.stream, missed: next.missed ?? error };
      return this.#pull(controller);
    }
  }

  /** The next entry, `null` at the end, `undefined` when it is time for a keep-alive comment. */
  async #receive(): Promise<LogEntry | null | undefined> {
    this.#pending ??= this.#opened.stream.recv();
    this.#pending.catch(() => {}); // it may fail while no call waits: the next call throws that
    let isQuiet = false;
    try {
      const entry = await (this.#format === "sse" ? unlessQuiet(this.#pending) : this.#pending);
      isQuiet = entry === undefined;
      return entry;
    } finally {
      if (!isQuiet) this.#pending = undefined;
    }
  }

  #formatEntry(entry: LogEntry): string {
    if (this.#format === "ndjson") return `${JSON.stringify(toRecordWithCursor(entry))}\n`;
    return `id: ${entry.cursor}\ndata: ${JSON.stringify(toRecord(entry))}\n\n`;
  }

  #formatMissed({ lostGenerations, cursor }: MissedRotationError): string {
    if (this.#format === "ndjson")
      return `${JSON.stringify({ missedRotation: { lostGenerations }, cursor })}\n`;
    return `id: ${cursor}\nevent: missedRotation\ndata: ${JSON.stringify({ lostGenerations })}\n\n`;
  }
}

/** What `pending` gives; `undefined` if it takes so long that the client should hear something first. */
async function unlessQuiet<T>(pending: Promise<T>): Promise<T | undefined> {
  return (await settlesWithin(pending, SSE_KEEP_ALIVE_MS)) ? await pending : undefined;
}

/** Comments: clients pass over them. */
const GREETING = ": logs\n\n";
const KEEP_ALIVE = ": keep-alive\n\n";
