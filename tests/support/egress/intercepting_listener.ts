/**
 * A listener on loopback that treats each connection as a guest's, and hands it to an interceptor. So programs of this
 * machine stand in for those of a guest.
 *
 * @module
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { EgressConfig, SecretConfig, TlsConfig } from "../../../src/egress/config.ts";
import type { GuestConnection } from "../../../src/egress/flow.ts";
import { NameFilter } from "../../../src/egress/flows/name_filter.ts";
import type { HttpHooks } from "../../../src/egress/http/hooks.ts";
import type { InterceptEvent, InterceptedFlow, NameVerdict } from "../../../src/egress/interceptor.ts";
import { HttpInterceptor } from "../../../src/egress/tls/interceptor.ts";

/** What a test sets; the rest is as in a sandbox without rules. */
export interface ListenerOptions {
  readonly tls?: TlsConfig | undefined;
  readonly secrets?: readonly SecretConfig[] | undefined;
  readonly violation?: EgressConfig["secretViolation"] | undefined;
  readonly hooks?: HttpHooks | undefined;
  /** The port of the server, on loopback. */
  readonly serverPort: number;
  /** The port that the guest asked for; 0 for the listener's port. @default {443} */
  readonly guestPort?: number | undefined;
  /** Names that were resolved to the server's address. @default {["api.example"]} */
  readonly names?: readonly string[] | undefined;
  /** Names that may not be reached. */
  readonly deniedNames?: readonly string[] | undefined;
}

/** An egress configuration for the interceptor alone. */
export function egressConfig(options: Pick<ListenerOptions, "tls" | "secrets" | "violation">): EgressConfig {
  return {
    policy: { defaultEgress: "allow", defaultIngress: "deny", rules: [] },
    dns: { nameservers: [], rebindProtection: true, queryTimeoutMs: 1000 },
    tls: options.tls,
    secrets: options.secrets ?? [],
    secretViolation: options.violation ?? "block-and-log",
    maxConnections: 256,
    rateLimiter: {},
  };
}

/** A guest's connection over a socket. */
export function guestOver(socket: Socket): GuestConnection {
  const closed = new Promise<undefined>((resolve) => socket.once("close", () => resolve(undefined)));
  socket.on("error", () => {}); // told by the streams
  const pieces = socket.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
  const readable = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        const { value, done } = await pieces.next();
        if (done === true) controller.close();
        else controller.enqueue(new Uint8Array(value));
      },
      cancel: () => void socket.resetAndDestroy(),
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array>({
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (socket.destroyed) return reject(new Error("the guest has gone"));
        const wake = () => {
          socket.off("drain", wake);
          socket.off("close", wake);
          resolve();
        };
        if (socket.write(bytes)) return resolve();
        socket.on("drain", wake);
        socket.on("close", wake);
      }),
    close: () => new Promise<void>((resolve) => void socket.end(resolve)),
    abort: () => void socket.resetAndDestroy(),
  });
  return { readable, writable, closed, reset: () => void (socket.destroyed || socket.resetAndDestroy()) };
}

/** Listens, and remembers what the interceptor reports. */
export class InterceptingListener implements AsyncDisposable {
  readonly events: InterceptEvent[] = [];
  readonly terminations: string[] = [];
  readonly interceptor: HttpInterceptor;
  /** How often a server was connected to. */
  connections = 0;
  /** Ends all flows. */
  readonly stopping = new AbortController();
  readonly #server: Server;
  readonly #options: ListenerOptions;
  readonly #handled = new Set<Promise<void>>();

  private constructor(options: ListenerOptions) {
    this.#options = options;
    this.interceptor = new HttpInterceptor({ config: egressConfig(options), hooks: options.hooks });
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.setNoDelay(true);
      const handled = this.interceptor.handle(this.#flowOf(socket));
      this.#handled.add(handled);
      void handled.finally(() => this.#handled.delete(handled));
    });
  }

  static async open(options: ListenerOptions): Promise<InterceptingListener> {
    const listener = new InterceptingListener(options);
    await new Promise<void>((resolve) => listener.#server.listen(0, "127.0.0.1", resolve));
    // A program that is told this port shows it in its Host field.
    const { tls, guestPort } = options;
    if (guestPort === 0 && tls !== undefined)
      listener.interceptor.update(
        egressConfig({ ...options, tls: { ...tls, interceptedPorts: [listener.port] } }),
      );
    return listener;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are still handled. */
  get open(): number {
    return this.#handled.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopping.abort();
    await new Promise((resolve) => this.#server.close(resolve));
    await Promise.all(this.#handled);
  }

  #flowOf(socket: Socket): InterceptedFlow {
    const { serverPort, guestPort = 443, names = ["api.example"], deniedNames = [] } = this.#options;
    const verdict = (name: string): NameVerdict =>
      deniedNames.includes(name) ? { allowed: false, reason: `${name} is denied` } : { allowed: true };
    return {
      request: {
        id: 1,
        protocol: "tcp",
        source: { address: "203.0.113.2", port: 40_000 },
        destination: { address: "127.0.0.1", port: guestPort === 0 ? this.port : guestPort },
        signal: this.stopping.signal,
      },
      guest: guestOver(socket),
      names,
      signal: this.stopping.signal,
      checkName: verdict,
      checkNameless: () => verdict("nameless"),
      nameFilter: () =>
        new NameFilter({
          matters: () => deniedNames.length > 0,
          judge: (name = "nameless") => (deniedNames.includes(name) ? `${name} is denied` : undefined),
          onUnreadable: () => {},
        }),
      connect: () =>
        new Promise((resolve, reject) => {
          this.connections++;
          const upstream = connect({ port: serverPort, host: "127.0.0.1", allowHalfOpen: true });
          upstream.once("connect", () => resolve(upstream));
          upstream.once("error", reject);
        }),
      report: (event) => this.events.push(event),
      terminate: (reason) => this.terminations.push(reason),
    };
  }
}
