/** One request with its response. @module */
import type { ByteTransform, Gate } from "./gate.ts";
import { callHook, emptyBody, fromHook, hookProblem, type Pieces, toRequest, toResponse } from "./hooks.ts";
import {
  encodeHead,
  endToEnd,
  type Framing,
  framingFields,
  type HeaderField,
  listOf,
  type RequestHead,
  type ResponseHead,
  valuesOf,
  wantsKeepAlive,
} from "./message.ts";
import type { MessageReader } from "./message_reader.ts";
import { MessageWriter } from "./message_writer.ts";
import { parseResponseHead } from "./parse_head.ts";
import { HttpProblem, malformed, upstreamProblem } from "./problem.ts";
import type { ProxyOptions } from "./proxy.ts";
import type { RequestTarget } from "./request_target.ts";
import { measuredBody } from "./transformed_body.ts";
import type { TunnelEnd } from "./tunnel.ts";
import { isSent, type Upstream, type UpstreamConnection } from "./upstream.ts";

/** What follows an exchange: another request, the end, or a tunnel to this connection. */
export type ExchangeEnd = "next" | "close" | { readonly tunnel: TunnelEnd };

/** Interim responses before the final one. Servers send one. */
const INTERIM_RESPONSES_MAX = 16;
/** Methods that may be sent again when a kept connection turns out to be closed (RFC 9110 section 9.2.2). */
const REPEATABLE_METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];
/** Fields of a trailer section that would change how the message is understood (RFC 9110 section 6.5.1). */
const NO_TRAILERS = [
  "host",
  "content-length",
  "transfer-encoding",
  "authorization",
  "content-encoding",
  "trailer",
];

/** A request on its way out. */
interface Outgoing {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly HeaderField[];
  readonly framing: Framing;
  readonly body: Pieces;
}

/** A response on its way to the guest. */
interface Incoming {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly HeaderField[];
  readonly framing: Framing;
  readonly body: Pieces;
}

/** Carries one request out, and its response back. */
export class Exchange {
  readonly #options: ProxyOptions;
  readonly #reader: MessageReader;
  readonly #upstream: Upstream;
  readonly #head: RequestHead;
  readonly #target: RequestTarget;
  readonly #gate: Gate | undefined;
  /** Whether the guest waits for our `100 Continue` before it sends its body. */
  #owesContinue = false;
  /** Whether the guest's request was read to its end. */
  #isBodyRead = false;
  #requestTrailers: readonly HeaderField[] = [];
  #responseTrailers: readonly HeaderField[] = [];
  #isAnswered = false;

  constructor(
    options: ProxyOptions,
    reader: MessageReader,
    upstream: Upstream,
    head: RequestHead,
    target: RequestTarget,
  ) {
    this.#options = options;
    this.#reader = reader;
    this.#upstream = upstream;
    this.#head = head;
    this.#target = target;
    this.#gate = options.gateFor(target.host);
  }

  /** Whether the guest has got the start of the final response. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** @throws {HttpProblem} to tell the guest, unless {@linkcode isAnswered}. */
  async run(): Promise<ExchangeEnd> {
    const { headers, method, framing } = this.#head;
    const expectations = listOf(headers, "expect");
    if (expectations.some((value) => value !== "100-continue"))
      throw malformed("the only known expectation is 100-continue", 417);
    const isUpgrade = this.#isWebSocketUpgrade();
    // A hook may read the body before the server is asked, so the server could not ask for it.
    const { hooks } = this.#options;
    this.#owesContinue = hooks?.onRequest !== undefined && expectations.length > 0;
    const original = {
      method,
      path: this.#target.path,
      headers: endToEnd(headers, ["host", "content-length", ...(this.#owesContinue ? ["expect"] : [])]),
      framing,
      body: this.#guestBody(),
    };
    const shown = hooks === undefined ? undefined : this.#shown(original);
    const hooked = shown === undefined ? original : await this.#onRequest(original, shown);
    if (hooked instanceof Response) return await this.#answer(await incomingOf(hooked));
    const outgoing = await this.#gated(hooked);
    return await this.#forward(outgoing, isUpgrade, shown);
  }

  /** Only WebSockets may change the protocol: any other could carry requests that are not read. */
  #isWebSocketUpgrade(): boolean {
    const { headers, framing, method, version } = this.#head;
    const isUpgrade = listOf(headers, "connection").includes("upgrade");
    return (
      isUpgrade &&
      version === "1.1" &&
      method === "GET" &&
      framing.kind === "none" &&
      valuesOf(headers, "upgrade").join().toLowerCase() === "websocket"
    );
  }

  async *#guestBody(): Pieces {
    if (this.#owesContinue) await this.#options.guest.write(encodeHead("HTTP/1.1 100 Continue", []));
    yield* this.#reader.readBody(this.#head.framing, (fields) => {
      this.#requestTrailers = fields.filter(({ name }) => !NO_TRAILERS.includes(name.toLowerCase()));
    });
    this.#isBodyRead = true;
  }

  /** The request as the hooks see it. */
  #shown({ method, path, headers, framing, body }: Outgoing): Request {
    const url = `${this.#options.scheme}://${this.#target.authority}${path === "*" ? "/" : path}`;
    const isEmpty = framing.kind === "none" || (framing.kind === "length" && framing.bytes === 0);
    return toRequest(method, url, headers, isEmpty ? undefined : body);
  }

  async #onRequest(original: Outgoing, shown: Request): Promise<Outgoing | Response> {
    const { onRequest } = this.#options.hooks ?? {};
    if (onRequest === undefined) return original;
    const result = await callHook("onRequest", () => onRequest(shown));
    if (result instanceof Response) return result;
    if (result === undefined || result === shown) {
      if (shown.bodyUsed)
        throw hookProblem("onRequest has read the body, and returned no request with another");
      // What the hook saw, and not another spelling of it: a URL has no "/x/../y".
      const { pathname, search } = new URL(shown.url);
      return { ...original, path: original.path === "*" ? "*" : pathname + search };
    }
    if (!(result instanceof Request))
      throw hookProblem("onRequest returned neither a request nor a response");
    const { origin, pathname, search } = new URL(result.url);
    if (origin !== new URL(shown.url).origin)
      throw hookProblem("onRequest returned a request to another origin");
    const isBodyExpected = !["GET", "HEAD", "OPTIONS", "DELETE"].includes(result.method);
    return { method: result.method, path: pathname + search, ...(await fromHook(result, isBodyExpected)) };
  }

  /** Inserts the secrets, or refuses the request. */
  async #gated(outgoing: Outgoing): Promise<Outgoing> {
    if (this.#gate === undefined) return outgoing;
    const { path, headers } = this.#gate.request(outgoing);
    const gated = outgoing.framing.kind === "none" ? undefined : this.#gate.requestBody(outgoing.headers);
    if (gated === undefined) return { ...outgoing, path, headers };
    const { transform, changesLength } = gated;
    if (!changesLength) return { ...outgoing, path, headers, body: transformed(outgoing.body, transform) };
    // A client that waits to be told to go on would wait for ever for a body that is read before the head is sent.
    const waits = valuesOf(headers, "expect").length > 0;
    return {
      ...outgoing,
      path,
      headers,
      ...(await measuredBody(transformed(outgoing.body, transform), { isUnknown: waits })),
    };
  }

  async #forward(outgoing: Outgoing, isUpgrade: boolean, shown: Request | undefined): Promise<ExchangeEnd> {
    const connection = await this.#upstream.connection();
    let failure: unknown;
    const sending = this.#send(connection, outgoing, isUpgrade).catch((error: unknown) => {
      failure = error;
      // Half a request must not stay: the server would take what follows for its rest.
      if (error instanceof HttpProblem) connection.channel.destroy();
    });
    let response: ResponseHead | undefined;
    try {
      response = await this.#finalResponse(connection, outgoing.method, isUpgrade);
    } catch (error) {
      this.#upstream.discard();
      throw failure instanceof HttpProblem ? failure : asProblem(error);
    }
    if (response === undefined) {
      this.#upstream.discard();
      if (failure instanceof HttpProblem) throw failure;
      if (connection.isReused && this.#isRepeatable(outgoing))
        return await this.#forward(outgoing, isUpgrade, shown);
      throw upstreamProblem("the server closed the connection without an answer");
    }
    if (response.status === 101) return { tunnel: connection };
    const body = connection.reader.readBody(response.framing, (fields) => {
      this.#responseTrailers = fields.filter(({ name }) => !NO_TRAILERS.includes(name.toLowerCase()));
    });
    const isWhole = (await isSent(sending)) && failure === undefined;
    const incoming = await this.#onResponse({ ...response, body }, shown);
    const end = await this.#answer(incoming);
    const isKept =
      wantsKeepAlive(response.version, response.headers) &&
      response.framing.kind !== "untilClose" &&
      incoming.body === body;
    if (!isKept || !isWhole) this.#upstream.discard();
    return isWhole ? end : "close";
  }

  #isRepeatable({ method, framing }: Outgoing): boolean {
    return framing.kind === "none" && REPEATABLE_METHODS.includes(method);
  }

  async #send({ channel }: UpstreamConnection, outgoing: Outgoing, isUpgrade: boolean): Promise<void> {
    const { method, path, headers, framing, body } = outgoing;
    const upgrade = isUpgrade ? [field("Connection", "Upgrade"), field("Upgrade", "websocket")] : [];
    const fields = [field("Host", this.#target.authority), ...headers, ...upgrade, ...framingFields(framing)];
    using writer = new MessageWriter(channel, framing, encodeHead(`${method} ${path} HTTP/1.1`, fields));
    if (framing.kind !== "none") for await (const piece of body) await writer.write(piece);
    const trailers = this.#gate?.request({ path: "", headers: this.#requestTrailers }).headers;
    await writer.finish(trailers ?? this.#requestTrailers);
  }

  /** The response after the interim ones, which are passed on; `undefined` if the server closed the connection instead. */
  async #finalResponse(
    { reader }: UpstreamConnection,
    method: string,
    isUpgrade: boolean,
  ): Promise<ResponseHead | undefined> {
    for (let interim = 0; interim <= INTERIM_RESPONSES_MAX; interim++) {
      const bytes = await readHeadOrEnd(reader);
      if (bytes === undefined) return undefined;
      const response = parseResponseHead(bytes, method);
      if (response.status === 101 && !isUpgrade)
        throw upstreamProblem("the server changed the protocol unasked");
      if (response.status >= 200) return response;
      if (this.#head.version === "1.1") await this.#passInterim(response);
      if (response.status === 101) return response;
    }
    throw upstreamProblem(`the server sent more than ${INTERIM_RESPONSES_MAX} interim responses`);
  }

  async #passInterim({ status, reason, headers }: ResponseHead): Promise<void> {
    const upgrade = status === 101 ? [field("Connection", "Upgrade"), field("Upgrade", "websocket")] : [];
    if (status === 101) this.#isAnswered = true;
    const fields = [...this.#toGuest(endToEnd(headers, ["content-length"])), ...upgrade];
    await this.#options.guest.write(encodeHead(this.#statusLine(status, reason), fields));
  }

  async #onResponse(incoming: Incoming, shown: Request | undefined): Promise<Incoming> {
    const { onResponse } = this.#options.hooks ?? {};
    if (onResponse === undefined || shown === undefined) return incoming;
    const { status, framing, body } = incoming;
    const reason = this.#gate?.responseText(incoming.reason) ?? incoming.reason;
    // A hook sees what the guest would see: values that the server sends back are masked.
    const headers = this.#toGuest(endToEnd(incoming.headers));
    const response = toResponse(status, reason, headers, framing.kind === "none" ? undefined : body);
    const result = await callHook("onResponse", () => onResponse(response, shown));
    if (result === undefined || result === response) {
      if (response.bodyUsed)
        throw hookProblem("onResponse has read the body, and returned no response with another");
      return incoming;
    }
    if (!(result instanceof Response)) throw hookProblem("onResponse returned no response");
    return await incomingOf(result);
  }

  /** Sends a response to the guest. */
  async #answer(incoming: Incoming): Promise<ExchangeEnd> {
    const { guest } = this.#options;
    const isKept = wantsKeepAlive(this.#head.version, this.#head.headers);
    const framing = this.#guestFraming(incoming);
    // Only whole requests are followed by others; the rest of one that a hook answered was not read.
    const staysOpen =
      isKept && framing.kind !== "untilClose" && (this.#isBodyRead || this.#head.framing.kind === "none");
    // A response without a body may tell the length that the body would have had.
    const hasLength = framing.kind === "none" && incoming.status !== 204;
    const fields = [
      ...this.#toGuest(endToEnd(incoming.headers, hasLength ? [] : ["content-length"])),
      ...framingFields(framing),
      ...this.#connectionFields(staysOpen),
    ];
    this.#isAnswered = true;
    const head = encodeHead(this.#statusLine(incoming.status, incoming.reason), fields);
    using writer = new MessageWriter(guest, framing, head);
    const transform = this.#gate?.responseBody();
    if (this.#head.method !== "HEAD")
      for await (const piece of transform === undefined
        ? incoming.body
        : transformed(incoming.body, transform))
        await writer.write(piece);
    await writer.finish(this.#toGuest(this.#responseTrailers));
    return staysOpen ? "next" : "close";
  }

  #guestFraming({ framing, status }: Incoming): Framing {
    if (this.#head.method === "HEAD" || status === 204 || status === 304) return { kind: "none" };
    if (framing.kind !== "chunked" && framing.kind !== "untilClose") return framing;
    return this.#head.version === "1.1" ? { kind: "chunked" } : { kind: "untilClose" };
  }

  #connectionFields(staysOpen: boolean): HeaderField[] {
    if (!staysOpen) return [field("Connection", "close")];
    return this.#head.version === "1.0" ? [field("Connection", "keep-alive")] : [];
  }

  #statusLine(status: number, reason: string): string {
    return `HTTP/1.1 ${status} ${this.#gate?.responseText(reason) ?? reason}`;
  }

  #toGuest(headers: readonly HeaderField[]): readonly HeaderField[] {
    return this.#gate?.responseHeaders(headers) ?? headers;
  }
}

function field(name: string, value: string): HeaderField {
  return { name, value };
}

/** A response that a hook made. */
async function incomingOf(response: Response): Promise<Incoming> {
  const { status, statusText: reason } = response;
  if (status < 200 || status > 599) throw hookProblem("a hook returned an invalid HTTP response");
  const { headers, framing, body } = await fromHook(response, status !== 304 && status !== 204);
  return { status, reason, headers, framing, body: framing.kind === "none" ? emptyBody() : body };
}

async function* transformed(body: Pieces, transform: ByteTransform): Pieces {
  for await (const piece of body) {
    const passed = transform.push(piece);
    if (passed.length > 0) yield passed;
  }
  const left = transform.end();
  if (left.length > 0) yield left;
}

/** A connection that broke off before a response counts as closed: it may have been so for long. */
async function readHeadOrEnd(reader: MessageReader): Promise<Uint8Array | undefined> {
  try {
    return await reader.readHead();
  } catch (error) {
    if (error instanceof HttpProblem || reader.buffered.length > 0) throw error;
    return undefined;
  }
}

function asProblem(error: unknown): HttpProblem {
  return error instanceof HttpProblem ? error : upstreamProblem("the connection to the server broke off");
}
