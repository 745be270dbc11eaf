/**
 * Unix sockets by `node:net`.
 *
 * @module
 */
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { UnixConnection, UnixListener } from "./unix_connection.ts";

class NodeConnection implements UnixConnection {
  readonly closed: Promise<void>;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => {}); // "close" follows, and says all that anybody acts on
  }

  onData(handle: (chunk: Uint8Array) => void): void {
    this.#socket.on("data", handle);
  }

  send(bytes: Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  drained(): Promise<void> {
    if (this.#socket.destroyed || !this.#socket.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = () => {
        this.#socket.removeListener("drain", settle);
        this.#socket.removeListener("close", settle);
        resolve();
      };
      this.#socket.on("drain", settle);
      this.#socket.on("close", settle);
    });
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end(() => this.#socket.destroy());
  }

  destroy(): void {
    this.#socket.destroy();
  }

  setReferenced(referenced: boolean): void {
    if (referenced) this.#socket.ref();
    else this.#socket.unref();
  }
}

/** Rejects with the system's error, or when `signal` fires. */
export function connect(path: string, signal: AbortSignal | undefined): Promise<UnixConnection> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    const abort = () => {
      socket.destroy();
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    const fail = (cause: Error) => {
      signal?.removeEventListener("abort", abort);
      reject(cause);
    };
    socket.once("error", fail);
    socket.once("connect", () => {
      signal?.removeEventListener("abort", abort);
      socket.removeListener("error", fail);
      resolve(new NodeConnection(socket));
    });
  });
}

/** Rejects with the system's error. */
export function listen(path: string, accept: (connection: UnixConnection) => void): Promise<UnixListener> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => accept(new NodeConnection(socket)));
    server.once("error", reject);
    server.listen(path, () => {
      server.removeListener("error", reject);
      server.on("error", () => {}); // one failed accept (out of descriptors) must not end the process
      resolve({ close: () => closeServer(server) });
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // The callback waits for the connections, which may outlive the listener: closing the door is enough.
    server.close();
    resolve();
  });
}
