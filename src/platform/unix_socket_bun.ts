/**
 * Unix sockets by Bun's own interface, https://bun.com/docs/api/tcp.
 *
 * @module
 */
import { rmSync } from "node:fs";
import type { UnixConnection, UnixListener } from "./unix_connection.ts";

/** The part of Bun in use. Declared here, as the other runtime's type checker does not know it. */
interface BunSockets {
  connect(options: { unix: string; socket: Handlers }): Promise<BunSocket>;
  listen(options: { unix: string; socket: Handlers }): { stop(closeConnections: boolean): void };
}

interface BunSocket {
  data: BunConnection;
  /** Returns how many bytes the kernel has taken; below 0 once the socket is closed. */
  write(bytes: Uint8Array, offset: number, length: number): number;
  pause(): void;
  resume(): void;
  /** Closes the connection; what the kernel has taken is still delivered. */
  end(): void;
  terminate(): void;
  ref(): void;
  unref(): void;
}

interface Handlers {
  open(socket: BunSocket): void;
  data(socket: BunSocket, chunk: Uint8Array): void;
  drain(socket: BunSocket): void;
  close(socket: BunSocket): void;
  error(socket: BunSocket, error: Error): void;
}

/**
 * What may arrive before somebody takes it. A socket that is not read does not notice that its peer has gone, so it is
 * read from the start.
 */
const EARLY_BYTES_MAX = 64 * 1024;

class BunConnection implements UnixConnection {
  readonly closed: Promise<void>;
  readonly #socket: BunSocket;
  readonly #closed = Promise.withResolvers<void>();
  readonly #unsent: Uint8Array[] = [];
  /** How much of the first of them the kernel has taken. */
  #sentBytes = 0;
  #bufferedBytes = 0;
  #state: "open" | "ending" | "closed" = "open";
  #drained: PromiseWithResolvers<void> | undefined;
  #handle: ((chunk: Uint8Array) => void) | undefined;
  /** What arrived before somebody took it. */
  readonly #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #isPaused = false;

  constructor(socket: BunSocket) {
    this.#socket = socket;
    this.closed = this.#closed.promise;
  }

  onData(handle: (chunk: Uint8Array) => void): void {
    queueMicrotask(() => {
      if (this.#state === "closed") return;
      this.#handle = handle;
      if (this.#earlyBytes > EARLY_BYTES_MAX && !this.#isPaused) this.#socket.resume();
      for (const chunk of this.#early.splice(0)) handle(chunk);
    });
  }

  send(bytes: Uint8Array): void {
    if (this.#state !== "open" || bytes.length === 0) return;
    this.#unsent.push(bytes);
    this.#bufferedBytes += bytes.length;
    if (this.#unsent.length === 1) this.flush();
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  drained(): Promise<void> {
    if (this.#bufferedBytes === 0 || this.#state === "closed") return Promise.resolve();
    this.#drained ??= Promise.withResolvers();
    return this.#drained.promise;
  }

  pause(): void {
    this.#isPaused = true;
    if (this.#state !== "closed") this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#state !== "closed") this.#socket.resume();
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    if (this.#bufferedBytes === 0) this.#socket.end();
  }

  destroy(): void {
    if (this.#state !== "closed") this.#socket.terminate();
    this.settle();
  }

  setReferenced(referenced: boolean): void {
    if (this.#state === "closed") return;
    if (referenced) this.#socket.ref();
    else this.#socket.unref();
  }

  /** The kernel may take more. */
  flush(): void {
    for (let first = this.#unsent[0]; first !== undefined; first = this.#unsent[0]) {
      const count = this.#socket.write(first, this.#sentBytes, first.length - this.#sentBytes);
      if (count <= 0) return; // full, and "drain" follows; or closed, and "close" does
      this.#sentBytes += count;
      this.#bufferedBytes -= count;
      if (this.#sentBytes < first.length) return;
      this.#unsent.shift();
      this.#sentBytes = 0;
    }
    this.#drained?.resolve();
    this.#drained = undefined;
    if (this.#state === "ending") this.#socket.end();
  }

  receive(chunk: Uint8Array): void {
    if (this.#handle !== undefined) return this.#handle(chunk);
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes > EARLY_BYTES_MAX) this.#socket.pause();
  }

  /** The connection is over. */
  settle(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#unsent.length = 0;
    this.#bufferedBytes = 0;
    this.#drained?.resolve();
    this.#closed.resolve();
  }
}

const SHARED_HANDLERS = {
  data: ({ data }: BunSocket, chunk: Uint8Array) => data.receive(chunk),
  drain: ({ data }: BunSocket) => data.flush(),
  close: ({ data }: BunSocket) => data?.settle(),
  error: ({ data }: BunSocket) => data?.destroy(),
};

/** Rejects with the system's error, or when `signal` fires. */
export async function connect(path: string, signal: AbortSignal | undefined): Promise<UnixConnection> {
  const opened = sockets().connect({
    unix: path,
    socket: {
      ...SHARED_HANDLERS,
      open: (socket) => {
        socket.data = new BunConnection(socket);
      },
    },
  });
  if (signal === undefined) return (await opened).data;
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return (await Promise.race([opened, aborted.promise])).data;
  } catch (error) {
    opened.then(({ data }) => data.destroy()).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Rejects with the system's error. */
export async function listen(
  path: string,
  accept: (connection: UnixConnection) => void,
): Promise<UnixListener> {
  const listener = sockets().listen({
    unix: path,
    socket: {
      ...SHARED_HANDLERS,
      open: (socket) => {
        socket.data = new BunConnection(socket);
        accept(socket.data);
      },
    },
  });
  return {
    close: async () => {
      listener.stop(false);
      rmSync(path, { force: true });
    },
  };
}

function sockets(): BunSockets {
  return (globalThis as unknown as { readonly Bun: BunSockets }).Bun;
}
