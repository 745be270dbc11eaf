/**
 * A TCP connection to a server in a sandbox, as a pair of Web Streams.
 *
 * @module
 */

import type { Connector } from "../../agent/client.ts";
import { ConnectFailedError } from "../../agent/errors.ts";
import type { TcpSession } from "../../agent/tcp_session.ts";
import type { Bytes } from "../../base/bytes.ts";
import { AbortedError, InvalidConfigError } from "../../base/errors.ts";
import { CallLimit, TIMER_MS_MAX } from "../../base/wait.ts";

/** Where to connect to, and for how long to try. */
export interface ConnectPortOptions {
  /** An IPv4 or IPv6 address as seen from the sandbox. @default its loopback: `127.0.0.1`, else `::1` */
  readonly host?: string | undefined;
  /** Milliseconds that the connection may take to be made. @default {10_000} */
  readonly timeoutMs?: number | undefined;
  /** Aborting breaks the connection off, at any time. */
  readonly signal?: AbortSignal | undefined;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** Linux's number of a broken pipe. */
const EPIPE = 32;
/** Linux's number of a connection that nobody answers. */
const ETIMEDOUT = 110;

/** Made by `Sandbox.connect()`. What is not read waits in the sandbox, and then its server waits. */
export class SandboxConnection implements AsyncDisposable {
  /** What the server sends. Ends when it closes its side; cancelling breaks the connection off. */
  readonly readable: ReadableStream<Bytes>;
  /** What the server gets. Closing ends its input and leaves {@linkcode readable} open; aborting breaks it off. */
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves when both directions have ended; rejects with what broke the connection. */
  readonly closed: Promise<void>;
  readonly #session: TcpSession;

  /** Use `Sandbox.connect()`. */
  constructor(session: TcpSession, target: { readonly host: string; readonly port: number }) {
    this.#session = session;
    this.readable = readableOf(session);
    this.writable = writableOf(session, target);
    this.closed = session.finished.then((error) => {
      if (error !== undefined) throw error;
    });
    this.closed.catch(() => {}); // the streams tell as well
  }

  /** Breaks the connection off, unless it has ended. */
  close(): void {
    this.#session.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

/** See `Sandbox.connect()`. */
export async function connectPort(
  sandbox: Connector,
  port: number,
  options: ConnectPortOptions = {},
): Promise<SandboxConnection> {
  const session = await openTcpSession(sandbox, port, options);
  return new SandboxConnection(session, { host: options.host ?? "", port });
}

/**
 * Opens a TCP stream and waits until it is connected.
 *
 * @throws {InvalidConfigError} if the port is none.
 * @throws {ConnectFailedError} if nobody listens there, or nobody answers in time.
 * @throws {AbortedError}
 */
export async function openTcpSession(
  sandbox: Connector,
  port: number,
  options: ConnectPortOptions,
): Promise<TcpSession> {
  const { host = "", timeoutMs = CONNECT_TIMEOUT_MS, signal } = options;
  checkPort(port);
  checkTimeout(timeoutMs);
  // The guest keeps to the same time, if it and its host do anything at all.
  using limit = new CallLimit({
    action: connecting(port),
    timeoutMs,
    signal,
    late: () => new ConnectFailedError(host, port, ETIMEDOUT, `no answer within ${timeoutMs} ms`, "refused"),
  });
  let session: TcpSession | undefined;
  try {
    const client = await sandbox.connect({ signal: limit.signal });
    session = client.connectTcp({ port, host, timeoutMs });
    breakOffBy(signal, session, port);
    await limit.race(session.connected);
    return session;
  } catch (error) {
    session?.abort(limit.error);
    throw limit.error ?? error;
  }
}

/** For as long as the connection lasts. */
function breakOffBy(signal: AbortSignal | undefined, session: TcpSession, port: number): void {
  const abort = () => session.abort(new AbortedError(connecting(port), signal?.reason));
  signal?.addEventListener("abort", abort, { once: true });
  session.finished.then(() => signal?.removeEventListener("abort", abort));
}

function connecting(port: number): string {
  return `connecting to port ${port} of the sandbox`;
}

/** @throws {InvalidConfigError} */
export function checkPort(port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new InvalidConfigError([
      { field: "port", problem: `must be from 1 to 65535: current value is ${port}` },
    ]);
  }
}

function checkTimeout(timeoutMs: number): void {
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > TIMER_MS_MAX) {
    const problem = `must be from 1 to ${TIMER_MS_MAX}: current value is ${timeoutMs}`;
    throw new InvalidConfigError([{ field: "timeoutMs", problem }]);
  }
}

function readableOf(session: TcpSession): ReadableStream<Bytes> {
  return new ReadableStream<Bytes>(
    {
      pull: async (controller) => {
        const data = await session.output.next();
        if (data === undefined) controller.close();
        else controller.enqueue(data);
      },
      cancel: () => session.abort(),
    },
    { highWaterMark: 0 },
  );
}

function writableOf(
  session: TcpSession,
  { host, port }: { readonly host: string; readonly port: number },
): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    start: (controller) => {
      session.finished.then((error) => {
        if (error !== undefined) controller.error(error);
      });
    },
    write: async (chunk) => {
      if (await session.input.write(chunk)) return;
      const errno = session.input.errno ?? EPIPE;
      throw new ConnectFailedError(host, port, errno, "the server reads no more", "broken");
    },
    close: () => session.input.end(),
    abort: () => session.abort(),
  });
}
