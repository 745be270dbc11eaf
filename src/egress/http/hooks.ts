/** Calls a user's functions with requests and responses as WHATWG objects, and reads what they answer. @module */
import { endToEnd, type Framing, type HeaderField } from "./message.ts";
import { HttpProblem, upstreamProblem } from "./problem.ts";
import { measuredBody } from "./transformed_body.ts";

/**
 * Functions that see each request and response of hosts whose traffic is read. They see placeholders, never values. If one throws, the
 * guest gets a `502` without its words.
 *
 * @example
 * ```ts no-vm
 * import type { HttpHooks } from "microsandbox";
 *
 * const hooks: HttpHooks = {
 *   onRequest(request) {
 *     if (request.method !== "DELETE") return;
 *     return new Response("not from in here", { status: 403 });
 *   },
 * };
 * console.log(typeof hooks.onRequest); // function
 * ```
 */
export interface HttpHooks {
  /** Returns another request to the same origin, a response instead of the server's, or nothing to let it pass. */
  onRequest?(request: Request): HookResult<Request | Response>;
  /** Returns another response, or nothing to let it pass. */
  onResponse?(response: Response, request: Request): HookResult<Response>;
}

// biome-ignore lint/suspicious/noConfusingVoidType: a function without a return statement is one that lets all pass
type HookResult<T> = T | undefined | void | Promise<T | undefined | void>;

/** The pieces of a body. */
export type Pieces = AsyncIterable<Uint8Array>;

/** A request or response as a hook left it: `body` undefined for one without. */
export interface Rewritten {
  readonly headers: readonly HeaderField[];
  readonly framing: Framing;
  readonly body: Pieces;
}

/** How long the end of a response's body is waited for, to tell its length. */
const RESPONSE_PATIENCE_MS = 5;

/** Fields that are written by the proxy, whatever a hook makes of them. */
const WRITTEN_FIELDS = ["host", "content-length", "transfer-encoding", "connection"];
/** Statuses that a `Response` with a body cannot have. */
const BODILESS_STATUSES = [204, 205, 304];

/** The request as a hook sees it. Reading its body takes the guest's bytes only as they are asked for. */
export function toRequest(
  method: string,
  url: string,
  headers: readonly HeaderField[],
  body: Pieces | undefined,
): Request {
  if (body !== undefined && (method === "GET" || method === "HEAD"))
    throw new HttpProblem(400, "blocked", `a ${method} request with a body cannot be shown to onRequest`);
  const init = { method, headers: toHeaders(headers), ...streamed(body) };
  try {
    return new Request(url, init);
  } catch {
    throw new HttpProblem(400, "blocked", "the request cannot be shown to onRequest");
  }
}

/** The response as a hook sees it. */
export function toResponse(
  status: number,
  statusText: string,
  headers: readonly HeaderField[],
  body: Pieces | undefined,
): Response {
  const stream = body === undefined || BODILESS_STATUSES.includes(status) ? null : streamOf(body);
  try {
    return new Response(stream, { status, statusText, headers: toHeaders(headers) });
  } catch {
    throw upstreamProblem("the response cannot be shown to onResponse");
  }
}

/** What a hook made of a message. @param isBodyExpected Whether a message without a body says so by a length of 0. */
export async function fromHook(message: Request | Response, isBodyExpected: boolean): Promise<Rewritten> {
  if (message.bodyUsed) throw hookProblem("a hook has read the body of what it returned");
  const headers = endToEnd(
    [...message.headers].map(([name, value]) => ({ name, value: latin1Of(value) })),
    WRITTEN_FIELDS,
  );
  if (message.body === null) {
    const framing: Framing = isBodyExpected ? { kind: "length", bytes: 0 } : { kind: "none" };
    return { headers, framing, body: emptyBody() };
  }
  // A server may refuse a request in chunks, so a request waits for the end of its body; events of a response do not.
  const patienceMs = message instanceof Response ? RESPONSE_PATIENCE_MS : undefined;
  const measured = await measuredBody(message.body, { patienceMs });
  const announced = message.headers.get("content-length");
  // A body that is too large to measure keeps its declared length; a wrong one is noticed while it is sent.
  const isAnnounced =
    measured.framing.kind === "chunked" && announced !== null && /^\d{1,15}$/.test(announced);
  const framing: Framing = isAnnounced ? { kind: "length", bytes: Number(announced) } : measured.framing;
  return { headers, framing, body: measured.body };
}

/** What the guest is told when a hook fails. The guest never sees the hook's own message, which may contain anything. */
export function hookProblem(reason: string): HttpProblem {
  return new HttpProblem(502, "upstream", reason);
}

/** Calls a hook. @throws {HttpProblem} if it throws. */
export async function callHook<T>(name: string, call: () => T | Promise<T>): Promise<T> {
  try {
    return await call();
  } catch {
    throw hookProblem(`${name} failed`);
  }
}

function toHeaders(headers: readonly HeaderField[]): Headers {
  const result = new Headers();
  for (const { name, value } of headers) result.append(name, value);
  return result;
}

/** `duplex` is what the standard asks for with a stream; the types of the runtimes do not all know it. */
function streamed(body: Pieces | undefined): { body?: ReadableStream<Uint8Array>; duplex?: "half" } {
  return body === undefined ? {} : { body: streamOf(body), duplex: "half" };
}

function streamOf(body: Pieces): ReadableStream<Uint8Array> {
  const pieces = body[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await pieces.next();
        if (done === true) controller.close();
        else controller.enqueue(new Uint8Array(value));
      },
    },
    { highWaterMark: 0 },
  );
}

/** A body without a byte. */
export async function* emptyBody(): Pieces {}

/** Header values of the standard hold a byte in each character, or are refused by it. */
function latin1Of(value: string): string {
  return Buffer.from(value, "latin1").toString("latin1");
}
