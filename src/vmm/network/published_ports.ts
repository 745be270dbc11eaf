/**
 * The ports of the host that a sandbox publishes. Their listeners live in the VM host process, so that they last exactly
 * as long as the sandbox runs; each connection becomes one TCP stream of the agent, and each client of a UDP port one flow.
 *
 * @module
 */
import { createServer, type Server, type Socket } from "node:net";
import { PortAction, PortFailure, PortProtocol } from "../../agent/port_codes.ts";
import type { MessageFields } from "../../agent/protocol.ts";
import type { TcpSession, TcpTarget } from "../../agent/tcp_session.ts";
import { TcpStream } from "../../agent/tcp_stream.ts";
import type { UdpSession } from "../../agent/udp_session.ts";
import { messageOf } from "../../base/errors.ts";
import { NetworkError, PortInUseError } from "../../network/errors.ts";
import {
  formatPort,
  formatPortAddress,
  type PortAddress,
  PUBLISHED_PORTS_MAX,
  type PublishedPort,
} from "../../network/published_port.ts";
import { listenError, type PortListener } from "./port_listener.ts";
import { UdpPorts } from "./udp_ports.ts";

/** Connections and UDP flows at a time, of all ports together: some of the agent's sessions are left for programs. */
export const PORT_CONNECTIONS_MAX = 192;
/** How long a connection to the guest's own loopback interface may take. */
const GUEST_CONNECT_TIMEOUT_MS = 10_000;

/** Makes connections and flows in the guest. */
export interface GuestNetwork {
  connect(target: TcpTarget): TcpSession;
  openUdp(port: number): UdpSession;
}

export class PublishedPorts {
  readonly #listeners = new Map<string, PortListener>();
  readonly #guestReady = Promise.withResolvers<GuestNetwork>();
  readonly #udp: UdpPorts;
  #guest: GuestNetwork | undefined;
  #connectionCount = 0;
  #isClosed = false;

  /** @param udpIdleMs How long a UDP flow may be silent. */
  constructor(udpIdleMs?: number) {
    const host = {
      open: (guestPort: number) => this.#guest?.openUdp(guestPort),
      hasRoom: () => this.#hasRoom,
    };
    this.#udp = new UdpPorts(host, udpIdleMs);
  }

  /**
   * Listens at all of `ports`, or at none. Connections wait until {@linkcode serve}; datagrams are dropped until then.
   *
   * @throws as {@linkcode add} does
   */
  async open(ports: readonly PublishedPort[]): Promise<void> {
    try {
      for (const port of ports) await this.add(port);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The guest answers. */
  serve(guest: GuestNetwork): void {
    this.#guest = guest;
    this.#guestReady.resolve(guest);
  }

  list(): PublishedPort[] {
    return [...this.#listeners.values()].map(({ port }) => port);
  }

  /**
   * Listens at one more port; returns it with the port that was chosen.
   *
   * @throws {PortInUseError}
   * @throws {NetworkError} if the host does not have the address, does not allow the port, or there are too many.
   */
  async add(wanted: PublishedPort): Promise<PublishedPort> {
    if (this.#listeners.size >= PUBLISHED_PORTS_MAX)
      throw new NetworkError(`A sandbox publishes at most ${PUBLISHED_PORTS_MAX} ports`);
    const isUdp = wanted.protocol === "udp";
    const listener = isUdp ? await this.#udp.listen(wanted) : await this.#listenTcp(wanted);
    if (this.#isClosed) {
      listener.close();
      throw new NetworkError("The sandbox is stopping");
    }
    this.#listeners.set(formatPortAddress(listener.port), listener);
    return listener.port;
  }

  /** Stops listening there and ends the connections that came by it. Returns whether it was published. */
  remove(address: PortAddress): boolean {
    const key = formatPortAddress(address);
    const listener = this.#listeners.get(key);
    if (listener === undefined) return false;
    this.#listeners.delete(key);
    listener.reset();
    return true;
  }

  /** Stops listening at all of them. Connections end with the guest's servers. */
  close(): void {
    this.#isClosed = true;
    for (const listener of this.#listeners.values()) listener.close();
    this.#listeners.clear();
  }

  /** Does what a client asks for. Never rejects. */
  async control(request: MessageFields<"ports">): Promise<MessageFields<"published">> {
    const { token, action, bind, hostPort, guestPort } = request;
    const protocol = request.protocol === PortProtocol.udp ? "udp" : "tcp";
    const answer = (failure: number, message: string, ports: readonly PublishedPort[]) => {
      return { token, failure, message, ports: ports.map(formatPort) };
    };
    try {
      if (action === PortAction.add)
        return answer(PortFailure.none, "", [await this.add({ protocol, bind, hostPort, guestPort })]);
      if (action === PortAction.list) return answer(PortFailure.none, "", this.list());
      const isRemoved = this.remove({ protocol, bind, hostPort });
      return answer(isRemoved ? PortFailure.none : PortFailure.notPublished, "", []);
    } catch (error) {
      const failure = error instanceof PortInUseError ? PortFailure.inUse : PortFailure.other;
      return answer(failure, messageOf(error), []);
    }
  }

  get #hasRoom(): boolean {
    return this.#connectionCount + this.#udp.flowCount < PORT_CONNECTIONS_MAX;
  }

  async #listenTcp(wanted: PublishedPort): Promise<PortListener> {
    const sockets = new Set<Socket>();
    // Half-open: a client that has sent its request and closed that direction still wants the answer.
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      this.#accept(socket, wanted.guestPort);
    });
    const hostPort = await listen(server, wanted);
    return {
      port: { ...wanted, hostPort },
      close: () => void server.close(),
      reset: () => {
        server.close();
        for (const socket of sockets) reset(socket);
      },
    };
  }

  async #accept(socket: Socket, guestPort: number): Promise<void> {
    socket.on("error", () => {}); // "close" follows
    if (!this.#hasRoom) return void socket.destroy();
    this.#connectionCount++;
    socket.once("close", () => this.#connectionCount--);
    const guest = await this.#guestReady.promise;
    if (socket.destroyed) return;
    const session = guest.connect({ port: guestPort, host: "", timeoutMs: GUEST_CONNECT_TIMEOUT_MS });
    socket.once("close", () => session.abort());
    try {
      await session.connected;
    } catch {
      return reset(socket); // no program listens in the guest: a client sees the same
    }
    join(socket, session);
  }
}

/** Moves bytes both ways, each direction with its own end. A fault of one side is a reset for the other. */
function join(socket: Socket, session: TcpSession): void {
  const stream = new TcpStream(session);
  stream.on("error", () => reset(socket));
  socket.pipe(stream);
  stream.pipe(socket);
}

function reset(socket: Socket): void {
  if (!socket.destroyed) socket.resetAndDestroy();
}

/** Listens, and returns the port. */
function listen(server: Server, wanted: PublishedPort): Promise<number> {
  const { bind, hostPort } = wanted;
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(listenError(wanted, cause)));
    server.listen({ host: bind, port: hostPort, exclusive: true }, () => {
      server.on("error", () => {}); // one failed accept (out of descriptors) must not end the sandbox
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : hostPort);
    });
  });
}
