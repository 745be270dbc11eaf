/**
 * The ports of the host that a sandbox publishes. Their listeners live in the VM host process, so that they last exactly
 * as long as the sandbox runs; each connection becomes one TCP stream of the agent.
 *
 * @module
 */
import { createServer, type Server, type Socket } from "node:net";
import type { MessageFields } from "../agent/protocol.ts";
import { PortAction, PortFailure } from "../agent/protocol.ts";
import type { TcpSession, TcpTarget } from "../agent/tcp_session.ts";
import { TcpStream } from "../agent/tcp_stream.ts";
import { errnoOf, messageOf } from "../base/errors.ts";
import { NetworkError, PortInUseError } from "../network/errors.ts";
import {
  formatPort,
  type PortAddress,
  PUBLISHED_PORTS_MAX,
  type PublishedPort,
} from "../network/published_port.ts";

/** Connections at a time, of all ports together: some of the agent's sessions are left for programs. */
export const PORT_CONNECTIONS_MAX = 192;
/** How long a connection to the guest's own loopback interface may take. */
const GUEST_CONNECT_TIMEOUT_MS = 10_000;

interface Listener {
  readonly port: PublishedPort;
  readonly server: Server;
  readonly sockets: Set<Socket>;
}

/** Makes connections in the guest. */
export type ConnectGuest = (target: TcpTarget) => TcpSession;

export class PublishedPorts {
  readonly #listeners = new Map<string, Listener>();
  readonly #guest = Promise.withResolvers<ConnectGuest>();
  #connectionCount = 0;
  #isClosed = false;

  /** Listens at all of `ports`, or at none. Connections wait until {@linkcode serve}. @throws as {@linkcode add} does */
  async open(ports: readonly PublishedPort[]): Promise<void> {
    try {
      for (const port of ports) await this.add(port);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The guest answers. */
  serve(connect: ConnectGuest): void {
    this.#guest.resolve(connect);
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
    const sockets = new Set<Socket>();
    // Half-open: a client that has sent its request and closed that direction still wants the answer.
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      this.#accept(socket, wanted.guestPort);
    });
    const hostPort = await listen(server, wanted);
    const port = { ...wanted, hostPort };
    if (this.#isClosed) {
      server.close();
      throw new NetworkError("The sandbox is stopping");
    }
    this.#listeners.set(keyOf(port), { port, server, sockets });
    return port;
  }

  /** Stops listening there and ends the connections that came by it. Returns whether it was published. */
  remove(address: PortAddress): boolean {
    const key = keyOf(address);
    const listener = this.#listeners.get(key);
    if (listener === undefined) return false;
    this.#listeners.delete(key);
    listener.server.close();
    for (const socket of listener.sockets) reset(socket);
    return true;
  }

  /** Stops listening at all of them. Connections end with the guest's servers. */
  close(): void {
    this.#isClosed = true;
    for (const { server } of this.#listeners.values()) server.close();
    this.#listeners.clear();
  }

  /** Does what a client asks for. Never rejects. */
  async control(request: MessageFields<"ports">): Promise<MessageFields<"published">> {
    const { token, action, bind, hostPort, guestPort } = request;
    const answer = (failure: number, message: string, ports: readonly PublishedPort[]) => {
      return { token, failure, message, ports: ports.map(formatPort) };
    };
    try {
      if (action === PortAction.add)
        return answer(PortFailure.none, "", [await this.add({ bind, hostPort, guestPort })]);
      if (action === PortAction.list) return answer(PortFailure.none, "", this.list());
      const isRemoved = this.remove({ bind, hostPort });
      return answer(isRemoved ? PortFailure.none : PortFailure.notPublished, "", []);
    } catch (error) {
      const failure = error instanceof PortInUseError ? PortFailure.inUse : PortFailure.other;
      return answer(failure, messageOf(error), []);
    }
  }

  async #accept(socket: Socket, guestPort: number): Promise<void> {
    socket.on("error", () => {}); // "close" follows
    if (this.#connectionCount >= PORT_CONNECTIONS_MAX) return void socket.destroy();
    this.#connectionCount++;
    socket.once("close", () => this.#connectionCount--);
    const connect = await this.#guest.promise;
    if (socket.destroyed) return;
    const session = connect({ port: guestPort, host: "", timeoutMs: GUEST_CONNECT_TIMEOUT_MS });
    socket.once("close", () => session.abort());
    try {
      await session.connected;
    } catch {
      return reset(socket); // nobody listens in the guest: so it looks from outside
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
function listen(server: Server, { bind, hostPort }: PublishedPort): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      if (errnoOf(cause) === "EADDRINUSE") reject(new PortInUseError(bind, hostPort, { cause }));
      else reject(new NetworkError(`Cannot listen at ${bind} port ${hostPort}: ${cause.message}`, { cause }));
    });
    server.listen({ host: bind, port: hostPort, exclusive: true }, () => {
      server.on("error", () => {}); // one failed accept (out of descriptors) must not end the sandbox
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : hostPort);
    });
  });
}

function keyOf({ bind, hostPort }: PortAddress): string {
  return `${bind} ${hostPort}`;
}
