/**
 * Log streams over HTTP: as server-sent events (WHATWG HTML, section 9.2), whose event id is the cursor, so that
 * `EventSource` resumes by itself, and as newline-delimited JSON.
 *
 * @module
 */

import { isUtf8 } from "node:buffer";
import { type Bytes, encodeUtf8 } from "../base/bytes.ts";
import { settlesWithin } from "../base/wait.ts";
import { MissedRotationError } from "./errors.ts";
import { SSE_KEEP_ALIVE_MS } from "./limits.ts";
import type { LogStream } from "./log_stream.ts";
import type { LogCursor, LogEntry } from "./types.ts";

/** The format of a response: server-sent events, or newline-delimited JSON. */
export type LogResponseFormat = "sse" | "ndjson";

const CONTENT_TYPES = { sse: "text/event-stream", ndjson: "application/x-ndjson" } as const;

/**
 * Answers an HTTP request with a log stream. A request that accepts `application/x-ndjson` gets lines of JSON; any other
 * gets server-sent events. A request with `Last-Event-ID` continues after that entry.
 *
 * Each entry is a JSON object with the keys of `exec.log`: `t`, `s`, `id`, `e`, `d`, and in NDJSON `cursor`. If entries were
 * lost by rotation, an event `missedRotation` (in NDJSON a line) has the count, and the stream continues with what is left.
 * The last event is `end`: then the page should close its `EventSource`.
 *
 * @param open Opens the stream after a cursor; from the beginning, if it is `undefined`.
 * @throws {InvalidCursorError} `invalidCursor`, if `Last-Event-ID` is not a cursor of these logs.
 * @throws whatever `open` throws.
 *
 * @example
 * ```ts no-run: serves until it is ended
 * // bun server.ts, or: deno serve --allow-all server.ts
 * export default {
 *   fetch: (request: Request) =>
 *     logResponse(request, (fromCursor) => logStream("web", { follow: true, fromCursor })),
 * };
 * ```
 */
export async function logResponse(
  request: Request,
  open: (fromCursor: LogCursor | undefined) => Promise<LogStream>,
): Promise<Response> {
  const format = request.headers.get("accept")?.includes(CONTENT_TYPES.ndjson) === true ? "ndjson" : "sse";
  const lastEventId = request.headers.get("last-event-id");
  const first = await openAt(open, lastEventId === null || lastEventId === "" ? undefined : lastEventId);
  const headers = {
    "content-type": CONTENT_TYPES[format],
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  };
  return new Response(new LogByteStream(first, open, format).readable, { headers });
}

/** Encodes a log stream as server-sent events: the body of {@linkcode logResponse}. */
export function toServerSentEvents(stream: LogStream): ReadableStream<Bytes> {
  return new LogByteStream({ stream, missed: undefined }, undefined, "sse").readable;
}

/** Encodes a log stream as newline-delimited JSON: the body of {@linkcode logResponse}. */
export function toNdjson(stream: LogStream): ReadableStream<Bytes> {
  return new LogByteStream({ stream, missed: undefined }, undefined, "ndjson").readable;
}

type Open = (fromCursor: LogCursor | undefined) => Promise<LogStream>;

/** A stream, and what was lost before it. */
interface Opened {
  readonly stream: LogStream;
  readonly missed: MissedRotationError | undefined;
}

/** How often in a row a reader that fell behind starts again, before the error goes to the client. */
const REOPEN_MAX = 8;

/** Opens after `cursor`, or at the oldest entry that is left. */
async function openAt(open: Open, cursor: LogCursor | undefined): Promise<Opened> {
  let missed: MissedRotationError | undefined;
  for (let attempt = 0; ; attempt++) {
    try {
      return { stream: await open(missed?.cursor ?? cursor), missed };
    } catch (error) {
      if (!(error instanceof MissedRotationError) || attempt >= REOPEN_MAX) throw error;
      missed = error;
    }
  }
}

class LogByteStream {
  readonly readable: ReadableStream<Bytes>;
  readonly #open: Open | undefined;
  readonly #format: LogResponseFormat;
  #opened: Opened;
  /** Not every server sends the head of an answer before the first bytes of its body: a quiet log would not connect. */
  #isGreeted: boolean;
  /** The read that continues while keep-alive comments are sent, until what it gives has been handed on. */
  #pending: Promise<LogEntry | null> | undefined;
  #isCancelled = false;

  constructor(opened: Opened, open: Open | undefined, format: LogResponseFormat) {
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
      const next = await openAt(this.#open, error.cursor);
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
    if (this.#format === "ndjson") return `${JSON.stringify({ ...toRecord(entry), cursor: entry.cursor })}\n`;
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

function toRecord({ timestamp, source, sessionId, data }: LogEntry): Record<string, unknown> {
  const isText = isUtf8(data);
  return {
    t: timestamp.toISOString(),
    s: source,
    ...(sessionId === null ? {} : { id: sessionId }),
    ...(isText ? {} : { e: "b64" }),
    d: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString(isText ? "utf8" : "base64"),
  };
}
