/**
 * A TCP connection to a server in a sandbox, as a pair of Web Streams.
 *
 * @module
 */

import type { Connector } from "../../agent/client.ts";
import { ConnectFailedError } from "../../agent/errors.ts";
import { GuestErrno } from "../../agent/guest_errno.ts";
import type { TcpSession } from "../../agent/tcp_session.ts";
import type { Bytes } from "../../base/bytes.ts";
import { AbortedError, InvalidConfigError } from "../../base/errors.ts";
import { CallLimit } from "../../base/wait.ts";
import { checkTimeout } from "../../options/sandbox_options.ts";

/** Where to connect to, and for how long to try. */
export interface ConnectPortOptions {
  /** An IPv4 or IPv6 address, as seen from the sandbox. @default its loopback: `127.0.0.1`, else `::1` */
  readonly host?: string | undefined;
  /** Milliseconds until the connection must be made, 1 to 2147483647. @default {10_000} */
  readonly timeoutMs?: number | undefined;
  /** Resets the connection when it fires, at any time. */
  readonly signal?: AbortSignal | undefined;
}

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * A TCP connection to a server in the sandbox, as a pair of streams with back-pressure. Made by `Sandbox.connect()`.
 *
 * @example
 * ```ts
 * await sandbox.shell("httpd -p 127.0.0.1:8080 -h /etc");
 * await using connection = await sandbox.connect(8080);
 * const writer = connection.writable.getWriter();
 * await writer.write(new TextEncoder().encode("GET /passwd HTTP/1.0\r\n\r\n"));
 * const { value } = await connection.readable.getReader().read();
 * console.log(new TextDecoder().decode(value)); // HTTP/1.1 200 OK …
 * ```
 */
export class SandboxConnection implements AsyncDisposable {
  /**
   * Bytes from the server. Ends when the server closes its side; errors with `ConnectFailedError` (`connectFailed`) if the
   * connection breaks. Cancelling resets the connection.
   */
  readonly readable: ReadableStream<Bytes>;
  /** Bytes to the server. Closing ends the server's input and keeps {@linkcode readable} open; aborting resets. */
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves when both directions have ended; rejects with `ConnectFailedError` if the connection breaks. */
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

  /** Resets the connection, both ways. Does nothing if it has ended. */
  close(): void {
    this.#session.abort();
  }

  /** Same as {@linkcode close}. */
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
 * @throws {InvalidConfigError} `invalidConfig`, if the port is not from 1 to 65535.
 * @throws {ConnectFailedError} `connectFailed`, if no program listens there, or there is no answer in time.
 * @throws {AbortedError} `aborted`, if the signal fires first.
 */
export async function openTcpSession(
  sandbox: Connector,
  port: number,
  options: ConnectPortOptions,
): Promise<TcpSession> {
  const { host = "", timeoutMs = CONNECT_TIMEOUT_MS, signal } = options;
  checkPort(port);
  checkTimeout(timeoutMs);
  // The guest keeps to the same limit; this one covers a guest or host process that hangs.
  using limit = new CallLimit({
    action: connecting(port),
    timeoutMs,
    signal,
    late: () =>
      new ConnectFailedError(host, port, GuestErrno.ETIMEDOUT, `no answer within ${timeoutMs} ms`, "refused"),
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

/** Resets the connection when `signal` fires, for as long as it lasts. */
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
      const errno = session.input.errno ?? GuestErrno.EPIPE;
      throw new ConnectFailedError(host, port, errno, "the server reads no more", "broken");
    },
    close: () => session.input.end(),
    abort: () => session.abort(),
  });
}
