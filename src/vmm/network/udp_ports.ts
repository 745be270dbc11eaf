/**
 * The UDP ports of the host that a sandbox publishes. Each client of one (an address and a port) is a flow: a socket of its
 * own in the guest, so that answers find their way back. Datagrams are dropped where they do not fit, and never queued
 * without a bound: in the host's sockets, on the way to the guest (`UDP_BUFFERED_BYTES_MAX`), and on the way back.
 *
 * @module
 */
import { createSocket, type Socket } from "node:dgram";
import type { UdpSession } from "../../agent/udp_session.ts";
import type { PublishedPort } from "../../network/published_port.ts";
import { formatPortAddress } from "../../network/published_port.ts";
import { listenError, type PortListener } from "./port_listener.ts";

/** Clients of all UDP ports at a time; the one that was silent longest makes room for another. */
export const UDP_FLOWS_MAX = 64;
/** A flow that was silent so long is over: RFC 4787, section 4.3, recommends five minutes and forbids less than two. */
const FLOW_IDLE_MS = 5 * 60_000;
/** Answers of one port that the host's network has not taken yet. */
const ANSWERS_MAX = 64;

interface Flow {
  readonly session: UdpSession;
  readonly port: string;
  lastUsedMs: number;
}

/** What flows need of their sandbox. */
export interface UdpHost {
  /** Opens a flow in the guest; `undefined` while the guest does not answer yet. */
  open(guestPort: number): UdpSession | undefined;
  /** Whether the guest has room for one more flow or connection. */
  hasRoom(): boolean;
}

export class UdpPorts {
  readonly #host: UdpHost;
  readonly #idleMs: number;
  /** By port and client; those used last are last. */
  readonly #flows = new Map<string, Flow>();
  #sweeper: ReturnType<typeof setInterval> | undefined;

  constructor(host: UdpHost, idleMs: number = FLOW_IDLE_MS) {
    this.#host = host;
    this.#idleMs = idleMs;
  }

  get flowCount(): number {
    return this.#flows.size;
  }

  /** Listens at a port. @throws {PortInUseError} @throws {NetworkError} */
  async listen(wanted: PublishedPort): Promise<PortListener> {
    const socket = createSocket(wanted.bind.includes(":") ? "udp6" : "udp4");
    const hostPort = await bind(socket, wanted);
    const port = { ...wanted, hostPort };
    const name = formatPortAddress(port);
    const answers = new Answers(socket);
    socket.on("message", (data, { address, port: clientPort }) => {
      const key = `${name} ${address} ${clientPort}`;
      const flow = this.#flows.get(key) ?? this.#open(key, name, wanted.guestPort);
      if (flow === undefined) return;
      flow.session.onDatagram = (answer) => {
        this.#use(key, flow);
        answers.send(answer, clientPort, address);
      };
      this.#use(key, flow);
      flow.session.send(data);
    });
    const close = () => {
      answers.close();
      for (const [key, flow] of this.#flows) if (flow.port === name) this.#end(key, flow);
    };
    return { port, close, reset: close };
  }

  #open(key: string, port: string, guestPort: number): Flow | undefined {
    while (this.#flows.size >= UDP_FLOWS_MAX || !this.#host.hasRoom()) {
      const [oldest] = this.#flows;
      if (oldest === undefined) return undefined;
      this.#end(...oldest);
    }
    const session = this.#host.open(guestPort);
    if (session === undefined) return undefined;
    const flow = { session, port, lastUsedMs: performance.now() };
    this.#flows.set(key, flow);
    session.finished.then(() => {
      if (this.#flows.get(key) === flow) this.#end(key, flow);
    });
    this.#sweeper ??= setInterval(() => this.#sweep(), this.#idleMs / 4);
    return flow;
  }

  #use(key: string, flow: Flow): void {
    if (this.#flows.get(key) !== flow) return; // over
    flow.lastUsedMs = performance.now();
    this.#flows.delete(key);
    this.#flows.set(key, flow);
  }

  #end(key: string, { session }: Flow): void {
    this.#flows.delete(key);
    session.close();
    if (this.#flows.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  #sweep(): void {
    const oldestMs = performance.now() - this.#idleMs;
    for (const [key, flow] of this.#flows) {
      if (flow.lastUsedMs > oldestMs) return;
      this.#end(key, flow);
    }
  }
}

/** No port: a datagram from there wants no answer (RFC 768), and there is nowhere to send one. */
const NO_PORT = 0;

/** What goes back to the clients of one port. */
export class Answers {
  readonly #socket: Socket;
  #waiting = 0;
  #isClosed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  send(data: Uint8Array, port: number, address: string): void {
    if (this.#isClosed || port === NO_PORT || this.#waiting >= ANSWERS_MAX) return;
    this.#waiting++;
    this.#socket.send(data, port, address, () => this.#waiting--); // one that was not sent is one that was lost
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
  }
}

/** Binds, and returns the port. */
function bind(socket: Socket, wanted: PublishedPort): Promise<number> {
  return new Promise((resolve, reject) => {
    socket.once("error", (cause) => {
      socket.close();
      reject(listenError(wanted, cause));
    });
    socket.bind({ address: wanted.bind, port: wanted.hostPort, exclusive: true }, () => {
      socket.removeAllListeners("error");
      socket.on("error", () => {}); // of one datagram: it is lost
      resolve(socket.address().port);
    });
  });
}
