/**
 * Unix sockets by Bun's own interface, https://bun.com/docs/api/tcp.
 *
 * @module
 */
import { rmSync } from "node:fs";
import { SendQueue } from "./send_queue.ts";
import { SpareDescriptor } from "./spare_descriptor.ts";
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
 * What may arrive before there is a handler. A socket that is not read does not notice that its peer has gone, so it is
 * read from the start.
 */
const EARLY_BYTES_MAX = 64 * 1024;
/** The same in chunks, since one may be a single byte. */
const EARLY_CHUNKS_MAX = 64;
/** How often a listener checks that there are descriptors left. */
const DESCRIPTOR_CHECK_MS = 250;

class BunConnection implements UnixConnection {
  readonly closed: Promise<void>;
  readonly #socket: BunSocket;
  readonly #closed = Promise.withResolvers<void>();
  readonly #unsent = new SendQueue();
  #state: "open" | "ending" | "closed" = "open";
  #drained: PromiseWithResolvers<void> | undefined;
  #handle: ((chunk: Uint8Array) => void) | undefined;
  /** What arrived without a handler, or in the moment of a pause. */
  readonly #early: Uint8Array[] = [];
  #earlyBytes = 0;
  /** The socket is not read because of what is in `#early`. */
  #isFull = false;
  #isPaused = false;

  constructor(socket: BunSocket) {
    this.#socket = socket;
    this.closed = this.#closed.promise;
  }

  onData(handle: (chunk: Uint8Array) => void): void {
    queueMicrotask(() => {
      if (this.#state === "closed") return;
      this.#handle = handle;
      this.#deliver();
    });
  }

  send(bytes: Uint8Array): void {
    if (this.#state !== "open" || bytes.length === 0) return;
    if (this.#unsent.byteLength > 0) return this.#unsent.push(bytes);
    const count = Math.max(0, this.#socket.write(bytes, 0, bytes.length));
    if (count < bytes.length) this.#unsent.push(count === 0 ? bytes : bytes.subarray(count));
  }

  get bufferedBytes(): number {
    return this.#unsent.byteLength;
  }

  drained(): Promise<void> {
    if (this.#unsent.byteLength === 0 || this.#state === "closed") return Promise.resolve();
    this.#drained ??= Promise.withResolvers();
    return this.#drained.promise;
  }

  pause(): void {
    this.#isPaused = true;
    if (this.#state !== "closed") this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#state === "closed") return;
    if (!this.#isFull) this.#socket.resume();
    this.#deliver();
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    if (this.#unsent.byteLength === 0) this.#socket.end();
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
    for (let first = this.#unsent.first(); first !== undefined; first = this.#unsent.first()) {
      const count = this.#socket.write(first, 0, first.length);
      if (count <= 0) return; // full, and "drain" follows; or closed, and "close" does
      this.#unsent.take(count);
      if (count < first.length) return;
    }
    this.#drained?.resolve();
    this.#drained = undefined;
    if (this.#state === "ending") this.#socket.end();
  }

  receive(chunk: Uint8Array): void {
    if (this.#handle !== undefined && !this.#isPaused) return this.#handle(chunk);
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes <= EARLY_BYTES_MAX && this.#early.length <= EARLY_CHUNKS_MAX) return;
    this.#isFull = true;
    this.#socket.pause();
  }

  /** Hands out what waited, unless the handler pauses again. */
  #deliver(): void {
    while (this.#handle !== undefined && !this.#isPaused && this.#state !== "closed") {
      const chunk = this.#early.shift();
      if (chunk !== undefined) {
        this.#earlyBytes -= chunk.length;
        this.#handle(chunk);
        continue;
      }
      if (this.#isFull) this.#socket.resume();
      this.#isFull = false;
      return;
    }
  }

  /** The connection is over. */
  settle(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#unsent.clear();
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
  const spare = new SpareDescriptor();
  const listener = sockets().listen({
    unix: path,
    socket: {
      ...SHARED_HANDLERS,
      open: (socket) => {
        socket.data = new BunConnection(socket);
        if (spare.hold()) accept(socket.data);
        else socket.data.destroy();
      },
    },
  });
  // Bun says nothing of a connection that it cannot accept, and tries again without a pause.
  const check = setInterval(() => spare.releaseIfLast(), DESCRIPTOR_CHECK_MS);
  (check as { unref?(): void }).unref?.();
  return {
    close: async () => {
      clearInterval(check);
      spare.release();
      listener.stop(false);
      rmSync(path, { force: true });
    },
  };
}

function sockets(): BunSockets {
  return (globalThis as unknown as { readonly Bun: BunSockets }).Bun;
}
