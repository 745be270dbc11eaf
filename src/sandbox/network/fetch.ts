/**
 * HTTP requests to a server in a sandbox: HTTP/1.1 (RFC 9112) by `node:http`, over a TCP stream of the guest's agent.
 *
 * @module
 */
import { type ClientRequest, type IncomingMessage, request as startRequest } from "node:http";
import type { Connector } from "../../agent/client.ts";
import { ConnectFailedError } from "../../agent/errors.ts";
import type { TcpSession } from "../../agent/tcp_session.ts";
import { TcpStream } from "../../agent/tcp_stream.ts";
import type { Bytes } from "../../base/bytes.ts";
import {
  AbortedError,
  InvalidConfigError,
  MicrosandboxError,
  messageOf,
  UnsupportedError,
} from "../../base/errors.ts";
import { checkPort, openTcpSession } from "./connection.ts";

/** Options of a request: those of the standard `fetch`, and one more. */
export interface SandboxFetchInit extends RequestInit {
  /** Milliseconds until the connection must be made; the response has no limit of time. @default {10_000} */
  readonly connectTimeoutMs?: number | undefined;
}

/** How long a server may take to close the connection once the response is complete, before it is reset. */
const CLOSE_TIMEOUT_MS = 1_000;
/** Statuses whose responses have no body (fetch standard, "null body status"). */
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([204, 205, 304]);
/** Set by us, or meaningless for a connection of one request (RFC 9110, section 7.6.1). */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);

/** See `Sandbox.fetch()`. */
export async function fetchPort(
  sandbox: Connector,
  port: number,
  input: Request | URL | string,
  init: SandboxFetchInit = {},
): Promise<Response> {
  checkPort(port);
  const { connectTimeoutMs, ...standard } = init;
  const request = makeRequest(port, input, standard);
  const body = await makeBody(request, standard.body);
  const { signal } = request;
  const session = await openTcpSession(sandbox, port, { timeoutMs: connectTimeoutMs, signal });
  const socket = new TcpStream(session);
  const sending = startRequest({
    createConnection: () => socket as unknown as ReturnType<typeof import("node:net").connect>,
    method: request.method,
    path: pathOf(request.url),
    headers: headersOf(request, body),
    setHost: false,
  });
  try {
    const answered = responseTo(sending);
    sendBody(sending, body).catch((error: Error) => sending.destroy(error));
    const message = await answered;
    return makeResponse(message, { request, session, port });
  } catch (error) {
    session.abort();
    throw explain(error, port, signal);
  }
}

/** Relative URLs are resolved against the server's. */
function makeRequest(port: number, input: Request | URL | string, init: RequestInit): Request {
  const request =
    input instanceof Request
      ? new Request(input, init)
      : new Request(new URL(input, `http://localhost:${port}`).href, init);
  const { protocol } = new URL(request.url);
  if (protocol !== "http:") {
    const problem = `must be an http: URL, since the connection ends in the sandbox: current value is ${protocol}`;
    throw new InvalidConfigError([{ field: "input", problem }]);
  }
  return request;
}

/** One request on one connection. */
interface Exchange {
  readonly request: Request;
  readonly session: TcpSession;
  readonly port: number;
}

type Body = Bytes | ReadableStream<Uint8Array> | undefined;

/** A body of known size is sent with that size, as simple servers want it; a stream is sent in chunks. */
async function makeBody(request: Request, given: RequestInit["body"]): Promise<Body> {
  if (request.body === null) return undefined;
  if (given === undefined || given === null || given instanceof ReadableStream) return request.body;
  return new Uint8Array(await request.arrayBuffer());
}

function pathOf(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

function headersOf(request: Request, body: Body): Record<string, string> {
  const headers: Record<string, string> = { host: new URL(request.url).host, accept: "*/*" };
  for (const [name, value] of request.headers) if (!OWN_HEADERS.has(name)) headers[name] = value;
  headers["connection"] = "close";
  if (body instanceof Uint8Array) headers["content-length"] = String(body.length);
  else if (body !== undefined && headers["content-length"] === undefined)
    headers["transfer-encoding"] = "chunked";
  return headers;
}

function responseTo(sending: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sending.once("response", resolve);
    sending.on("error", reject); // stays: an error after the response shows in its body
    sending.once("upgrade", (_message, socket) => {
      socket.destroy();
      reject(
        new UnsupportedError("The server switched to a protocol other than HTTP", {
          hint: "use connect() for WebSockets and other protocols",
        }),
      );
    });
  });
}

async function sendBody(sending: ClientRequest, body: Body): Promise<void> {
  if (body instanceof ReadableStream) {
    for await (const chunk of body) {
      if (sending.destroyed) return;
      if (!sending.write(chunk)) await drained(sending);
    }
    sending.end();
  } else {
    sending.end(body);
  }
}

function drained(sending: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      sending.removeListener("drain", done);
      sending.removeListener("close", done);
      resolve();
    };
    sending.on("drain", done);
    sending.on("close", done);
  });
}

function makeResponse(message: IncomingMessage, exchange: Exchange): Response {
  const { request, session } = exchange;
  const status = message.statusCode ?? 0;
  if (status < 200 || status > 599) throw new Error(`invalid HTTP status ${status}`);
  const headers = new Headers();
  for (let index = 0; index + 1 < message.rawHeaders.length; index += 2) {
    headers.append(message.rawHeaders[index] ?? "", message.rawHeaders[index + 1] ?? "");
  }
  const statusText = message.statusMessage ?? "";
  const hasBody = request.method !== "HEAD" && !NULL_BODY_STATUSES.has(status);
  if (!hasBody) {
    message.resume();
    closeGracefully(session);
  }
  return new Response(hasBody ? bodyOf(message, exchange) : null, { status, statusText, headers });
}

function bodyOf(message: IncomingMessage, { request, session, port }: Exchange): ReadableStream<Bytes> {
  const chunks: AsyncIterator<Uint8Array> = message[Symbol.asyncIterator]();
  return new ReadableStream<Bytes>(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await chunks.next();
          if (done !== true) return controller.enqueue(new Uint8Array(value));
        } catch (error) {
          session.abort();
          throw explain(error, port, request.signal);
        }
        if (!message.complete) throw explain(new Error("the response was cut off"), port, request.signal);
        closeGracefully(session);
        controller.close();
      },
      cancel: () => {
        session.abort();
        message.destroy();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Lets the server close the connection, as `connection: close` asks; resets it if the server does not. */
function closeGracefully(session: TcpSession): void {
  session.input.end();
  const timer = setTimeout(() => session.abort(), CLOSE_TIMEOUT_MS);
  session.finished.then(() => clearTimeout(timer));
}

/** Keeps errors of this library, and turns those of `node:http` into errors of the connection. */
function explain(error: unknown, port: number, signal: AbortSignal): Error {
  if (signal.aborted) return new AbortedError(`fetching from port ${port} of the sandbox`, signal.reason);
  if (MicrosandboxError.is(error)) return error;
  return new ConnectFailedError("", port, 0, messageOf(error), "broken");
}
