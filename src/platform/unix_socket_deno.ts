/**
 * Unix sockets by Deno's own interface, https://docs.deno.com/api/deno/network. `node:net` would do, but a listener of it
 * never accepts again once it has been out of descriptors.
 *
 * @module
 */
import { rmSync } from "node:fs";
import { KiB } from "../base/bytes.ts";
import { SendQueue } from "./send_queue.ts";
import { isOutOfDescriptors, SpareDescriptor } from "./spare_descriptor.ts";
import type { UnixConnection, UnixListener } from "./unix_connection.ts";

/** The part of Deno in use. Declared here, as the other runtime's type checker does not know it. */
interface DenoSockets {
  connect(options: { transport: "unix"; path: string }): Promise<DenoSocket>;
  listen(options: { transport: "unix"; path: string }): DenoListener;
}

interface DenoSocket {
  /** Resolves with the number of bytes, or `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
  ref(): void;
  unref(): void;
}

interface DenoListener {
  accept(): Promise<DenoSocket>;
  close(): void;
}

const READ_BYTES = 64 * KiB;
/** How long a listener waits after a connection that could not be accepted. */
const ACCEPT_RETRY_MS = 100;

class DenoConnection implements UnixConnection {
  readonly closed: Promise<void>;
  readonly #socket: DenoSocket;
  readonly #closed = Promise.withResolvers<void>();
  readonly #unsent = new SendQueue();
  /** What was read while there was no handler, or in the moment of a pause: the read goes on, so one chunk at most. */
  #early: Uint8Array | undefined;
  #handle: ((chunk: Uint8Array) => void) | undefined;
  #state: "open" | "ending" | "closed" = "open";
  #isPaused = false;
  #isReading = false;
  #isWriting = false;
  #drained: PromiseWithResolvers<void> | undefined;

  constructor(socket: DenoSocket) {
    this.#socket = socket;
    this.closed = this.#closed.promise;
    this.#read(); // from the start: a socket that is not read does not notice that its peer has gone
  }

  onData(handle: (chunk: Uint8Array) => void): void {
    queueMicrotask(() => {
      this.#handle = handle;
      this.#deliver();
    });
  }

  send(bytes: Uint8Array): void {
    if (this.#state !== "open" || bytes.length === 0) return;
    this.#unsent.push(bytes);
    if (!this.#isWriting) this.#write();
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
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    if (this.#unsent.byteLength === 0) this.destroy();
  }

  destroy(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    try {
      this.#socket.close();
    } catch {
      // It is closed already.
    }
    this.#unsent.clear();
    this.#drained?.resolve();
    this.#closed.resolve();
  }

  setReferenced(referenced: boolean): void {
    if (this.#state === "closed") return;
    if (referenced) this.#socket.ref();
    else this.#socket.unref();
  }

  /** Hands out what waited, and reads on. */
  #deliver(): void {
    if (this.#handle === undefined || this.#isPaused || this.#state === "closed") return;
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) this.#handle(early);
    if (!this.#isReading) this.#read();
  }

  /** Reads until it is paused, or the connection ends. */
  async #read(): Promise<void> {
    this.#isReading = true;
    while (this.#early === undefined && !this.#isPaused && this.#state !== "closed") {
      const buffer = new Uint8Array(READ_BYTES);
      const count = await this.#socket.read(buffer).catch(() => null);
      if (count === null) {
        this.destroy();
        break;
      }
      const chunk = buffer.subarray(0, count);
      if (this.#handle === undefined || this.#isPaused) this.#early = chunk;
      else this.#handle(chunk);
    }
    this.#isReading = false;
  }

  /** Writes until there is nothing to write, or the connection ends. */
  async #write(): Promise<void> {
    this.#isWriting = true;
    for (let first = this.#unsent.first(); first !== undefined; first = this.#unsent.first()) {
      const count = await this.#socket.write(first).catch(() => 0);
      if (this.#state === "closed") break;
      if (count === 0) {
        this.destroy();
        break;
      }
      this.#unsent.take(count);
      if (this.#unsent.byteLength > 0) continue;
      this.#drained?.resolve();
      this.#drained = undefined;
    }
    this.#isWriting = false;
    if (this.#state === "ending") this.destroy();
  }
}

/** Rejects with the system's error, or when `signal` fires. */
export async function connect(path: string, signal: AbortSignal | undefined): Promise<UnixConnection> {
  const opened = sockets().connect({ transport: "unix", path });
  if (signal === undefined) return new DenoConnection(await opened);
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return new DenoConnection(await Promise.race([opened, aborted.promise]));
  } catch (error) {
    opened.then((socket) => socket.close()).catch(() => {});
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
  const listener = sockets().listen({ transport: "unix", path });
  const state = { isClosed: false };
  acceptAll(listener, accept, state);
  return {
    close: async () => {
      if (state.isClosed) return;
      state.isClosed = true;
      listener.close();
      rmSync(path, { force: true });
    },
  };
}

async function acceptAll(
  listener: DenoListener,
  accept: (connection: UnixConnection) => void,
  state: { readonly isClosed: boolean },
): Promise<void> {
  const spare = new SpareDescriptor();
  while (!state.isClosed) {
    try {
      const socket = await listener.accept();
      if (spare.hold()) accept(new DenoConnection(socket));
      else socket.close();
    } catch (error) {
      if (state.isClosed) break;
      if (isOutOfDescriptors(error)) spare.release();
      await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
    }
  }
  spare.release();
}

function sockets(): DenoSockets {
  return (globalThis as unknown as { readonly Deno: DenoSockets }).Deno;
}
