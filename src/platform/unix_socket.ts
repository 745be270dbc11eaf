/**
 * Unix sockets as this project uses them: whole chunks in, whole chunks out, with the number of bytes that still wait.
 *
 * @module
 */
import { chmodSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { AbortedError, IoError } from "../base/errors.ts";

/** Longest path that fits `sockaddr_un.sun_path` (unix(7)), its NUL left out. */
export const SOCKET_PATH_BYTES_MAX = 107;

/** One connected unix socket. */
export class UnixConnection {
  /** Resolves when the connection has ended, for whatever reason; never rejects. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => {}); // "close" follows, and says all that anybody acts on
  }

  /** Calls `handle` for each chunk, from the first byte on. To be set once, right after connecting. */
  onData(handle: (chunk: Uint8Array) => void): void {
    this.#socket.on("data", handle);
  }

  /** Sends in order. What the peer does not take at once waits in {@linkcode bufferedBytes}. */
  send(bytes: Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  /** Bytes that the peer has not taken yet. */
  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Resolves when everything that was sent is on its way, or the connection has ended. */
  drained(): Promise<void> {
    if (this.#socket.destroyed || !this.#socket.writableNeedDrain) return Promise.resolve();
    const drain = new Promise<void>((resolve) => this.#socket.once("drain", () => resolve()));
    return Promise.race([drain, this.closed]);
  }

  /** Stops reading: the peer's bytes wait in the kernel, and then the peer waits. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Ends the connection, both ways, once everything that was sent has been taken. */
  end(): void {
    this.#socket.end(() => this.#socket.destroy());
  }

  /** Ends the connection now. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** While referenced (the start), an open connection keeps the process alive. */
  setReferenced(referenced: boolean): void {
    if (referenced) this.#socket.ref();
    else this.#socket.unref();
  }
}

/** A listening unix socket. */
export interface UnixListener {
  /** Stops listening and removes the socket file. Connections stay. */
  close(): Promise<void>;
}

/** @throws {IoError} if nobody listens there (`ENOENT`, `ECONNREFUSED`), or nobody can (`ENAMETOOLONG`). */
export function connectUnix(path: string, signal?: AbortSignal): Promise<UnixConnection> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new AbortedError(`connect to ${path}`, signal.reason));
    if (isTooLong(path)) return reject(tooLong("connect to", path));
    const socket = createConnection({ path });
    const abort = () => {
      socket.destroy();
      reject(new AbortedError(`connect to ${path}`, signal?.reason));
    };
    signal?.addEventListener("abort", abort, { once: true });
    const fail = (cause: Error) => {
      signal?.removeEventListener("abort", abort);
      reject(new IoError(`connect to ${path}`, path, cause));
    };
    socket.once("error", fail);
    socket.once("connect", () => {
      signal?.removeEventListener("abort", abort);
      socket.removeListener("error", fail);
      resolve(new UnixConnection(socket));
    });
  });
}

/**
 * What connecting says of a socket that nobody listens at: no file, a file that a killed process left, or one that goes
 * away in this moment.
 */
const NOBODY: readonly (string | undefined)[] = ["ENOENT", "ENOTDIR", "ECONNREFUSED", "ECONNRESET"];

/**
 * Whether somebody listens at `path`: the sign of life of a VM host process.
 *
 * @throws {IoError} if it cannot be told, e.g. for want of descriptors (`EMFILE`).
 */
export async function isListening(path: string): Promise<boolean> {
  try {
    (await connectUnix(path)).destroy();
    return true;
  } catch (error) {
    if (error instanceof IoError && NOBODY.includes(error.errno)) return false;
    if (error instanceof IoError && error.errno === "EAGAIN") return true; // more wait than fit its queue
    throw error;
  }
}

/**
 * Listens at `path`, readable and writable for this user only.
 *
 * @throws {IoError} if the address is taken (`EADDRINUSE`), the path too long (`ENAMETOOLONG`), or the directory missing.
 */
export function listenUnix(
  path: string,
  accept: (connection: UnixConnection) => void,
): Promise<UnixListener> {
  return new Promise((resolve, reject) => {
    if (isTooLong(path)) return reject(tooLong("listen at", path));
    const server = createServer((socket) => accept(new UnixConnection(socket)));
    const fail = (cause: Error) => reject(new IoError(`listen at ${path}`, path, cause));
    server.once("error", fail);
    server.listen(path, () => {
      server.removeListener("error", fail);
      server.on("error", () => {}); // one failed accept (out of descriptors) must not end the process
      chmodSync(path, 0o600);
      resolve({ close: () => closeServer(server) });
    });
  });
}

/** The runtimes differ in what they make of a path that does not fit: one cuts it off, and another place is meant. */
function isTooLong(path: string): boolean {
  return Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX;
}

function tooLong(action: string, path: string): IoError {
  const message = `its path is longer than ${SOCKET_PATH_BYTES_MAX} bytes`;
  return new IoError(`${action} ${path}`, path, Object.assign(new Error(message), { code: "ENAMETOOLONG" }));
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // The callback waits for the connections, which may outlive the listener: closing the door is enough.
    server.close();
    resolve();
  });
}
