/**
 * A guest in this process: a `GuestLink` whose other side is the test's.
 *
 * @module
 */
import type { Bytes } from "../../../src/base/bytes.ts";
import type {
  FlowEnd,
  FlowProtocol,
  FlowRefusal,
  FlowRequest,
  GuestConnection,
  GuestDatagrams,
  GuestLink,
} from "../../../src/egress/flow.ts";

/** Bytes that wait in each direction of a connection, before the side that sends has to wait. */
const WINDOW_BYTES = 256 * 1024;

/** The guest's end of a TCP connection. */
export interface GuestSocket {
  readonly readable: ReadableStream<Bytes>;
  readonly writable: WritableStream<Bytes>;
  /** Resolves when a side resets the connection. */
  readonly wasReset: Promise<void>;
  /** Breaks it off, as a guest's kernel does for a program that was killed. */
  reset(): void;
}

/** The guest's end of datagrams. */
export interface GuestDatagramSocket {
  send(data: Uint8Array): void;
  /** The next datagram. */
  receive(): Promise<Uint8Array>;
  /** Resolves with why the flow was refused, or with `closed`. */
  readonly ended: Promise<FlowRefusal | "closed">;
  /** The guest's kernel forgets it. */
  close(): void;
}

interface Waiting {
  readonly protocol: FlowProtocol;
  readonly first: Bytes;
  readonly accepted: PromiseWithResolvers<GuestSocket | GuestDatagramSocket | FlowRefusal>;
  readonly givenUp: AbortController;
}

export class FakeLink implements GuestLink {
  onRequest: (request: FlowRequest) => void = () => {};
  readonly closed: Promise<void>;
  readonly #closed = Promise.withResolvers<void>();
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  constructor() {
    this.closed = this.#closed.promise;
  }

  /** Requests that are not answered. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** What a program in the guest gets from `connect()`: a connection, or why not. */
  async connect(address: string, port: number, signal?: AbortSignal): Promise<GuestSocket | FlowRefusal> {
    const answer = await this.#ask("tcp", { address, port }, new Uint8Array(0), signal);
    if (typeof answer === "string") return answer;
    if (!("writable" in answer)) throw new Error("TCP was answered with datagrams");
    return answer;
  }

  /** Like {@linkcode connect}, for callers that expect a connection. */
  async mustConnect(address: string, port: number): Promise<GuestSocket> {
    const answer = await this.connect(address, port);
    if (typeof answer === "string") throw new Error(`${address}:${port} is ${answer}`);
    return answer;
  }

  /** Sends a first datagram. */
  async datagrams(
    address: string,
    port: number,
    first: Uint8Array,
    protocol: "udp" | "icmp" = "udp",
  ): Promise<GuestDatagramSocket | FlowRefusal> {
    const answer = await this.#ask(protocol, { address, port }, Uint8Array.from(first));
    if (typeof answer === "string") return answer;
    if ("writable" in answer) throw new Error("datagrams were answered with TCP");
    return answer;
  }

  async accept(request: FlowRequest): Promise<GuestConnection> {
    const { accepted } = this.#take(request);
    const pair = connectionPair();
    accepted.resolve(pair.guest);
    return pair.host;
  }

  acceptDatagrams(request: FlowRequest): GuestDatagrams {
    const { accepted, first } = this.#take(request);
    const pair = datagramPair(first);
    accepted.resolve(pair.guest);
    return pair.host;
  }

  refuse(request: FlowRequest, reason: FlowRefusal): void {
    this.#waiting.get(request.id)?.accepted.resolve(reason);
    this.#waiting.delete(request.id);
  }

  close(): void {
    this.#closed.resolve();
  }

  #take({ id }: FlowRequest): Waiting {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) throw new Error(`request ${id} is answered, or was given up`);
    this.#waiting.delete(id);
    return waiting;
  }

  #ask(
    protocol: FlowProtocol,
    destination: FlowEnd,
    first: Bytes,
    signal?: AbortSignal,
  ): Promise<GuestSocket | GuestDatagramSocket | FlowRefusal> {
    const id = this.#nextId++;
    const givenUp = new AbortController();
    const accepted = Promise.withResolvers<GuestSocket | GuestDatagramSocket | FlowRefusal>();
    this.#waiting.set(id, { protocol, first, accepted, givenUp });
    signal?.addEventListener("abort", () => {
      this.#waiting.delete(id);
      givenUp.abort();
      accepted.reject(signal.reason);
    });
    const source = { address: "203.0.113.2", port: 30_000 + (id % 30_000) };
    this.onRequest({ id, protocol, source, destination, signal: givenUp.signal });
    return accepted.promise;
  }
}

function connectionPair(): { guest: GuestSocket; host: GuestConnection } {
  const strategy = { highWaterMark: WINDOW_BYTES, size: (chunk?: Uint8Array) => chunk?.length ?? 0 };
  const outward = new TransformStream<Bytes, Bytes>({}, strategy, { highWaterMark: 0 });
  const inward = new TransformStream<Uint8Array, Bytes>(
    { transform: (chunk, controller) => controller.enqueue(Uint8Array.from(chunk)) },
    strategy,
    { highWaterMark: 0 },
  );
  const ended = Promise.withResolvers<Error | undefined>();
  const broken = Promise.withResolvers<void>();
  const outwardEnd = watched(outward.readable);
  const inwardEnd = watched(inward.readable);
  let isOver = false;
  Promise.all([outwardEnd.done, inwardEnd.done]).then(() => {
    isOver = true;
    ended.resolve(undefined);
  });
  const reset = (): void => {
    if (isOver) return;
    isOver = true;
    const error = new Error("reset");
    outwardEnd.fail(error);
    inwardEnd.fail(error);
    ended.resolve(error);
    broken.resolve();
  };
  return {
    guest: { readable: inwardEnd.readable, writable: outward.writable, wasReset: broken.promise, reset },
    host: { readable: outwardEnd.readable, writable: inward.writable, closed: ended.promise, reset },
  };
}

/** The same stream, which can be made to fail, and tells when it has ended. */
function watched(source: ReadableStream<Bytes>) {
  const reader = source.getReader();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const done = Promise.withResolvers<void>();
  const readable = new ReadableStream<Bytes>(
    {
      async pull(controller) {
        const { done: isDone, value } = await Promise.race([reader.read(), failed.promise]);
        if (!isDone) return controller.enqueue(value);
        controller.close();
        done.resolve();
      },
      cancel: (reason) => failed.reject(reason),
    },
    { highWaterMark: 0 },
  );
  const fail = (error: Error): void => {
    failed.reject(error);
    reader.cancel(error).catch(() => {});
  };
  return { readable, fail, done: done.promise };
}

function datagramPair(first: Bytes): { guest: GuestDatagramSocket; host: GuestDatagrams } {
  const ended = Promise.withResolvers<FlowRefusal | "closed">();
  const inbox: Uint8Array[] = [];
  let wake: (() => void) | undefined;
  const host: GuestDatagrams = {
    onDatagram: () => {},
    send: (data) => {
      inbox.push(Uint8Array.from(data));
      wake?.();
    },
    closed: ended.promise.then(() => {}),
    refuse: (reason) => ended.resolve(reason),
    close: () => ended.resolve("closed"),
  };
  queueMicrotask(() => host.onDatagram(first));
  return {
    host,
    guest: {
      send: (data) => host.onDatagram(Uint8Array.from(data)),
      receive: async () => {
        while (inbox.length === 0)
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        return inbox.shift() ?? new Uint8Array(0);
      },
      ended: ended.promise,
      close: () => ended.resolve("closed"),
    },
  };
}
