/**
 * Logs over HTTP: which format an answer has. Server-sent events and newline-delimited JSON are in `log_byte_stream.ts`, the
 * Durable Streams protocol is in `durable/`.
 *
 * @module
 */
import { type ConfigIssue, InvalidConfigError } from "../base/errors.ts";
import { suggestOption } from "../base/suggest_option.ts";
import { type BodyFormat, bodyFormatOf } from "./durable/body_format.ts";
import { durableResponse } from "./durable/durable_response.ts";
import { hasDurableQuery } from "./durable/request.ts";
import { toRecordWithCursor } from "./entry_record.ts";
import { CONTENT_TYPE_CHARS_MAX } from "./limits.ts";
import { LogByteStream } from "./log_byte_stream.ts";
import type { LogStream } from "./log_stream.ts";
import { openOrMiss } from "./open_log.ts";
import type { LogCursor, LogEntry } from "./types.ts";

/** The format of a response: server-sent events, newline-delimited JSON, or what the Durable Streams protocol says. */
export type LogResponseFormat = "sse" | "ndjson" | "durable";

/** Options of `logResponse()`. */
export interface LogResponseOptions {
  /** What a request gets that does not say. @default {"sse"} */
  defaultFormat?: LogResponseFormat | undefined;
  /**
   * Content type of the log as a durable stream. In `application/json` each entry is a message; in any other type the stream is
   * the bytes of the entries, one after the other: `text/plain` for output that is UTF-8, `application/octet-stream` for any.
   * @default {"application/json"}
   */
  contentType?: string | undefined;
  /**
   * The message that an entry becomes in a durable stream of `application/json`: any value that JSON can hold, or `undefined` to
   * leave the entry out. @default an object with the keys of `exec.log` and `cursor`
   */
  toMessage?: ((entry: LogEntry) => unknown) | undefined;
}

const CONTENT_TYPES = { sse: "text/event-stream", ndjson: "application/x-ndjson" } as const;

/**
 * Answers an HTTP request with a log, in one of three formats:
 *
 * | The request has | It gets |
 * | --- | --- |
 * | `offset` or `live` in its query, or the method HEAD | the Durable Streams protocol |
 * | `Accept: application/x-ndjson` | newline-delimited JSON |
 * | `Accept: text/event-stream`, or `Last-Event-ID` | server-sent events |
 * | none of these | `defaultFormat` |
 *
 * Each entry is a JSON object with the keys of `exec.log`: `t`, `s`, `id`, `e`, `d`. A request with `Last-Event-ID` continues
 * after that entry. In server-sent events and NDJSON an event `missedRotation` (a line) has the count if entries were lost by
 * rotation, and the stream continues with what is left. The last event is `end`: then the page should close its `EventSource`.
 *
 * As a durable stream the log is read from any offset, in pages, by long-poll or as events: the read half of
 * [the protocol](https://github.com/durable-streams/durable-streams/blob/main/PROTOCOL.md). There, what is wrong with the
 * request is an answer: 400 for an offset that is none, 404 without a sandbox, 410 if entries after the offset are gone.
 *
 * @param open Opens the stream after a cursor; from the beginning, if it is `undefined`. With `follow: true` for durable
 *   streams, whose readers learn from it whether the log has ended.
 * @throws {InvalidConfigError} `invalidConfig`, naming the options that are wrong, or `follow`.
 * @throws {InvalidCursorError} `invalidCursor`, if `Last-Event-ID` is not a cursor of these logs.
 * @throws whatever else `open` throws.
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
  options: LogResponseOptions = {},
): Promise<Response> {
  const { defaultFormat, durable } = parseOptions({ ...options });
  const format = chooseFormat(request, defaultFormat);
  if (format === "durable") return await durableResponse(request, open, durable);
  const lastEventId = request.headers.get("last-event-id");
  const first = await openOrMiss(open, lastEventId === null || lastEventId === "" ? undefined : lastEventId);
  const headers = {
    "content-type": CONTENT_TYPES[format],
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  };
  return new Response(new LogByteStream(first, open, format).readable, { headers });
}

function chooseFormat(request: Request, defaultFormat: LogResponseFormat): LogResponseFormat {
  if (request.method === "HEAD" || hasDurableQuery(new URL(request.url))) return "durable";
  const accept = request.headers.get("accept") ?? "";
  if (accept.includes(CONTENT_TYPES.ndjson)) return "ndjson";
  if (accept.includes(CONTENT_TYPES.sse) || request.headers.has("last-event-id")) return "sse";
  return defaultFormat;
}

interface LogResponseConfig {
  readonly defaultFormat: LogResponseFormat;
  readonly durable: BodyFormat;
}

/** A media type with its parameters, in printable ASCII. */
const CONTENT_TYPE = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:[ ]*;[ -~]*)?$/;
const KNOWN = ["defaultFormat", "contentType", "toMessage"] satisfies (keyof LogResponseOptions)[];

function parseOptions(options: Record<string, unknown>): LogResponseConfig {
  const issues: ConfigIssue[] = [];
  const {
    defaultFormat = "sse",
    contentType = "application/json",
    toMessage = toRecordWithCursor,
    ...rest
  } = options;
  for (const field of Object.keys(rest)) {
    const meant = suggestOption(field, KNOWN);
    issues.push({ field, problem: `is not known${meant === undefined ? "" : `: did you mean ${meant}?`}` });
  }
  if (!isFormat(defaultFormat))
    issues.push({ field: "defaultFormat", problem: "must be sse, ndjson or durable" });
  if (!isContentType(contentType))
    issues.push({ field: "contentType", problem: "must be a media type, such as text/plain" });
  if (!isFunction(toMessage)) issues.push({ field: "toMessage", problem: "must be a function" });
  if (issues.length > 0 || !isFormat(defaultFormat) || !isContentType(contentType) || !isFunction(toMessage))
    throw new InvalidConfigError(issues);
  return { defaultFormat, durable: bodyFormatOf(contentType, toMessage) };
}

function isFormat(value: unknown): value is LogResponseFormat {
  return value === "sse" || value === "ndjson" || value === "durable";
}

function isContentType(value: unknown): value is string {
  return typeof value === "string" && value.length <= CONTENT_TYPE_CHARS_MAX && CONTENT_TYPE.test(value);
}

function isFunction(value: unknown): value is (entry: LogEntry) => unknown {
  return typeof value === "function";
}
