/**
 * The read half of the Durable Streams protocol (durable-streams/durable-streams, PROTOCOL.md 1.0): a log as a stream that
 * clients read from any offset, in pages, by long-poll or as events.
 *
 * @module
 */
import { InvalidConfigError, MicrosandboxError } from "../../base/errors.ts";
import { settlesWithin } from "../../base/wait.ts";
import { InvalidCursorError, MissedRotationError } from "../errors.ts";
import { LONG_POLL_MS } from "../limits.ts";
import type { OpenLog } from "../open_log.ts";
import type { BodyFormat } from "./body_format.ts";
import { nextCollapseCursor } from "./collapse_cursor.ts";
import { eventBody } from "./event_body.ts";
import { encodeOffset } from "./offset.ts";
import { type LogPage, PageReader } from "./page_reader.ts";
import { type DurableRead, parseDurableRead } from "./request.ts";

/** Of every answer. What a program prints is not to be taken for a page of the server's own, whatever its type. */
const SECURITY_HEADERS = {
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
  "content-security-policy": "sandbox; default-src 'none'",
} as const;

/** A log is private, and its name may be another sandbox's tomorrow: a cache asks before each use. */
const REVALIDATE = "private, no-cache";

/** Answers a request of the protocol. What is wrong with the request becomes an answer, too; the rest is thrown. */
export async function durableResponse(
  request: Request,
  open: OpenLog,
  format: BodyFormat,
): Promise<Response> {
  if (request.method === "HEAD") return await tailAnswer(open, format, () => null);
  if (request.method !== "GET")
    return refusal(405, "unsupported", "Logs are only read", { allow: "GET, HEAD" });
  const read = parse(new URL(request.url));
  if (read instanceof Response) return read;
  if (read.place === "now" && read.live === "none")
    return await tailAnswer(open, format, () => format.toBody([]));
  try {
    const { reader, page } = await PageReader.openWithPage(open, read.place);
    if (read.live === "sse") return eventAnswer(reader, page, read, format);
    await using _reader = reader;
    return read.live === "none"
      ? pageAnswer(request, page, read, format)
      : await longPollAnswer(request, reader, page, read, format);
  } catch (error) {
    return toRefusal(error);
  }
}

function parse(url: URL): DurableRead | Response {
  try {
    return parseDurableRead(url);
  } catch (error) {
    if (error instanceof InvalidConfigError) return refusal(400, error.code, error.message);
    return toRefusal(error);
  }
}

/** What there is to say of the end of the stream. */
async function tailAnswer(
  open: OpenLog,
  format: BodyFormat,
  body: () => Uint8Array<ArrayBuffer> | null,
): Promise<Response> {
  try {
    await using reader = await PageReader.open(open, "now");
    const { nextOffset } = reader;
    const page = await reader.firstPage();
    const isStill = page.entries.length === 0; // otherwise something came after the end that is told of
    const headers = streamHeaders({
      nextOffset: isStill ? page.nextOffset : nextOffset,
      isUpToDate: true,
      isClosed: isStill && page.isClosed,
    });
    return new Response(body(), {
      headers: { ...headers, "content-type": format.contentType, "cache-control": "no-store" },
    });
  } catch (error) {
    const answer = toRefusal(error);
    return body() === null ? new Response(null, answer) : answer;
  }
}

/** What there was from an offset on, unless the client has it. */
function pageAnswer(request: Request, page: LogPage, { offset }: DurableRead, format: BodyFormat): Response {
  const etag = etagOf(offset, page);
  const headers = { ...streamHeaders(page), etag, "cache-control": REVALIDATE };
  if (isKnown(request.headers.get("if-none-match"), etag))
    return new Response(null, { status: 304, headers });
  return new Response(format.toBody(page.entries), {
    headers: { ...headers, "content-type": format.contentType },
  });
}

/** The same, but where there is nothing yet it waits. */
async function longPollAnswer(
  request: Request,
  reader: PageReader,
  first: LogPage,
  { offset, clientCursor }: DurableRead,
  format: BodyFormat,
): Promise<Response> {
  const isAtEnd = first.entries.length === 0 && first.isUpToDate;
  const page = isAtEnd && !first.isClosed ? await waitForPage(request.signal, reader, first) : first;
  const headers = { ...streamHeaders(page), "stream-cursor": nextCollapseCursor(clientCursor) };
  if (page.entries.length === 0 && page.isUpToDate)
    return new Response(null, { status: 204, headers: { ...headers, "cache-control": "no-store" } });
  return new Response(format.toBody(page.entries), {
    headers: {
      ...headers,
      "content-type": format.contentType,
      "cache-control": REVALIDATE,
      etag: etagOf(offset, page),
    },
  });
}

/** What comes after `first`, or how things stand after {@linkcode LONG_POLL_MS}. */
async function waitForPage(signal: AbortSignal, reader: PageReader, first: LogPage): Promise<LogPage> {
  using _listening = closeOnAbort(signal, reader);
  try {
    const more = reader.more();
    if (!(await settlesWithin(more, LONG_POLL_MS))) return first;
    return (await more)
      ? await reader.nextPage()
      : { ...first, nextOffset: reader.nextOffset, isClosed: true };
  } catch (error) {
    if (signal.aborted) return first; // there is no one left to be told
    throw error;
  }
}

function eventAnswer(
  reader: PageReader,
  page: LogPage,
  { clientCursor }: DurableRead,
  format: BodyFormat,
): Response {
  const headers = {
    ...SECURITY_HEADERS,
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-store",
    "x-accel-buffering": "no",
    ...(format.eventEncoding === undefined ? {} : { "stream-sse-data-encoding": format.eventEncoding }),
  };
  return new Response(eventBody(reader, page, { format, clientCursor }), { headers });
}

/** Closes `reader` when the client is gone, also while an answer is waited for. */
function closeOnAbort(signal: AbortSignal, reader: PageReader): Disposable {
  const close = () => void reader[Symbol.asyncDispose]();
  signal.addEventListener("abort", close, { once: true });
  if (signal.aborted) close();
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", close) };
}

function streamHeaders(page: Omit<LogPage, "entries">): Record<string, string> {
  return {
    ...SECURITY_HEADERS,
    "stream-next-offset": page.nextOffset,
    ...(page.isUpToDate ? { "stream-up-to-date": "true" } : {}),
    ...(page.isClosed ? { "stream-closed": "true" } : {}),
  };
}

/** Of the bytes between two offsets; another one when it is known that nothing follows. */
function etagOf(offset: string, { nextOffset, isClosed }: LogPage): string {
  return `"${offset}:${nextOffset}${isClosed ? ":c" : ""}"`;
}

/** Whether `ifNoneMatch` names `etag`. */
function isKnown(ifNoneMatch: string | null, etag: string): boolean {
  if (ifNoneMatch === null) return false;
  return ifNoneMatch.split(",").some((known) => [etag, "*"].includes(known.trim().replace(/^W\//, "")));
}

/** @throws `error`, if it is not about what the client asked for */
function toRefusal(error: unknown): Response {
  if (error instanceof MissedRotationError) {
    const nextOffset = encodeOffset(error.cursor);
    const { code, summary, lostGenerations } = error;
    return refusal(410, code, summary, { "stream-next-offset": nextOffset }, { lostGenerations, nextOffset });
  }
  if (error instanceof InvalidCursorError)
    return refusal(error.reason === "sandbox" ? 410 : 400, error.code, error.summary); // of another, it is gone
  if (MicrosandboxError.is(error) && error.code === "sandboxNotFound")
    return refusal(404, error.code, error.summary);
  throw error;
}

function refusal(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
  details: Readonly<Record<string, unknown>> = {},
): Response {
  return Response.json(
    { code, message, ...details },
    { status, headers: { ...SECURITY_HEADERS, "cache-control": "no-store", ...headers } },
  );
}
