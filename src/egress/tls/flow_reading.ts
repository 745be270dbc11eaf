/** The reading of one connection, from its first byte to its end. @module */
import type { Socket } from "node:net";
import { concatBytes } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import type { TlsConfig, ViolationAction } from "../config.ts";
import { DuplexChannel } from "../http/duplex_channel.ts";
import { listenFirst } from "../http/first_bytes.ts";
import type { ByteTransform } from "../http/gate.ts";
import { GuestChannel } from "../http/guest_channel.ts";
import type { HttpHooks } from "../http/hooks.ts";
import { MessageReader } from "../http/message_reader.ts";
import { HttpProblem, malformed, upstreamProblem } from "../http/problem.ts";
import { serveHttp } from "../http/proxy.ts";
import { pumpBothWays, type TunnelEnd } from "../http/tunnel.ts";
import { connectReason } from "../http/upstream.ts";
import type { InterceptedFlow, NameVerdict } from "../interceptor.ts";
import { type SecretDestination, type SecretSet, SecretViolation } from "../secrets/secret_gate.ts";
import type { Authority } from "./authority.ts";
import { type ClientHello, ClientHelloReader } from "./client_hello.ts";
import type { ClientSide } from "./client_side.ts";
import { isBypassed, type Verification, verificationOf } from "./scope.ts";
import { acceptTls, refuseProtocols } from "./server_side.ts";

/** The current tools of readings. */
export interface ReadingTools {
  readonly tls: TlsConfig | undefined;
  /** Present if `tls` is. */
  readonly authority: Authority | undefined;
  readonly secrets: SecretSet;
  readonly hasSecrets: boolean;
  readonly violation: ViolationAction;
  readonly hooks: HttpHooks | undefined;
  readonly clientSide: ClientSide;
}

const HTTP_1 = "http/1.1";
/** What a client is offered back, the first choice first. HTTP/2 is not, so that it speaks HTTP/1.1. */
const AGREED_PROTOCOLS = [HTTP_1, "http/1.0"];
/** ALPN names of any version of HTTP, including those of drafts. */
const HTTP_PROTOCOL = /^(?:http\/|h2|h3|hq|spdy\/|grpc)/;

/** How much of a text from outside is put into the flow log. */
const SHOWN_CHARS_MAX = 100;

/** Reads one connection. */
export class FlowReading {
  readonly #flow: InterceptedFlow;
  readonly #tools: () => ReadingTools;
  readonly #guest: GuestChannel;
  readonly #sockets = new Set<Socket>();

  /** @param tools Called for each use, because they change. */
  constructor(flow: InterceptedFlow, tools: () => ReadingTools) {
    this.#flow = flow;
    this.#tools = tools;
    this.#guest = new GuestChannel(flow.guest);
  }

  /** Resolves when the connection is over. Never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#flow;
    const breakOff = () => this.#breakOff();
    signal.addEventListener("abort", breakOff, { once: true });
    try {
      if (!signal.aborted) await this.#read();
    } catch (error) {
      if (error instanceof HttpProblem) this.#onProblem(error, undefined);
      // All else: one side broke off, and so does the other.
    } finally {
      signal.removeEventListener("abort", breakOff);
      this.#breakOff();
    }
  }

  #breakOff(): void {
    this.#guest.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #read(): Promise<void> {
    const { tls, authority } = this.#tools();
    const socket = await this.#connect();
    const isRead = tls?.interceptedPorts.includes(this.#flow.request.destination.port) === true;
    if (!isRead || authority === undefined) return await this.#readPlain(socket, new Uint8Array());
    const reader = await this.#readHello(socket);
    const { state } = reader;
    if (state.kind === "invalid") throw malformed(`not valid TLS: ${state.problem}`);
    if (state.kind !== "hello") return await this.#readPlain(socket, reader.bytes);
    await this.#readTls(tls, authority, socket, state.hello, reader.bytes);
  }

  /** Reads until it is known what the guest speaks, or the server has spoken first. */
  async #readHello(socket: Socket): Promise<ClientHelloReader> {
    const reader = new ClientHelloReader();
    const first = this.#guest.read();
    const isServerFirst = await Promise.race([first.then(() => false), hasSpoken(socket, first)]);
    if (isServerFirst) this.#early = first;
    else
      for (let piece = await first; piece !== undefined; piece = await this.#guest.read())
        if (reader.push(piece).kind !== "incomplete") break;
    return reader;
  }

  /** A read of the guest that has begun, and has no bytes yet. */
  #early: Promise<Uint8Array | undefined> | undefined;

  async #readTls(
    tls: TlsConfig,
    authority: Authority,
    socket: Socket,
    hello: ClientHello,
    first: Uint8Array,
  ): Promise<void> {
    const host = this.#admittedHost(hello);
    if (host === undefined) return;
    if (isBypassed(tls, host)) {
      const guest = this.#guestEnd(first);
      return await pumpBothWays(guest, serverEndOf(new DuplexChannel(socket)));
    }
    const verification = verificationOf(tls, host);
    const offered = hello.alpnProtocols;
    const context = authority.contextFor(host);
    if (offered.length > 0 && !offered.some((protocol) => HTTP_PROTOCOL.test(protocol))) {
      const server = await this.#secured(socket, host, verification, offered);
      const alpnProtocols = server.alpnProtocol === undefined ? [] : [server.alpnProtocol];
      const guest = guestEndOf(await acceptTls(this.#guest, { context, alpnProtocols, first }));
      const serverEnd = serverEndOf(server.channel);
      // A made-up protocol, or one that the server does not care about, must not hide requests.
      if ((await listenFirst(guest.reader, serverEnd.reader.look())) === "http")
        return await this.#serve("https", guest, Promise.resolve(serverEnd), host, verification);
      return await this.#passOther(guest, serverEnd, host, verification.isVerified);
    }
    if (offered.length > 0 && !offered.some((protocol) => AGREED_PROTOCOLS.includes(protocol))) {
      const offer = printable(offered.join(", "));
      const reason = `the guest speaks no HTTP/1.1: it offers ${offer}`;
      this.#flow.report({ kind: "blocked", reason, name: host });
      return await refuseProtocols(this.#guest);
    }
    // Both at once. A guest whose server fails is told so by a response, which needs its handshake.
    const serverEnd = this.#secured(socket, host, verification, [HTTP_1]).then(({ channel }) =>
      serverEndOf(channel),
    );
    serverEnd.catch(() => {}); // it is waited for where it is used
    const alpnProtocols = offered.length === 0 ? [] : AGREED_PROTOCOLS;
    const guest = guestEndOf(await this.#accepted(acceptTls(this.#guest, { context, alpnProtocols, first })));
    if (offered.length === 0) {
      const serverSpeaks = serverEnd.then(({ reader }) => reader.look()).catch(() => false);
      const speech = await listenFirst(guest.reader, serverSpeaks);
      if (speech !== "http")
        return await this.#passOther(guest, await serverEnd, host, verification.isVerified);
    }
    await this.#serve("https", guest, serverEnd, host, verification);
  }

  /** The name or address that a hello is for; `undefined` if it may not be reached, which is reported. */
  #admittedHost({ serverName, hasEncryptedHello }: ClientHello): string | undefined {
    const { flow } = this.#named(serverName);
    const verdict = serverName === undefined ? flow.checkNameless() : flow.checkName(serverName);
    if (verdict.allowed) return serverName ?? flow.request.destination.address;
    const cover = hasEncryptedHello ? ", which may be the cover of an encrypted one" : "";
    flow.report({ kind: "blocked", reason: `${verdict.reason}${cover}`, name: serverName });
    return undefined;
  }

  #named(name: string | undefined): { readonly flow: InterceptedFlow } {
    if (name !== undefined && name !== this.#reportedName) this.#flow.report({ kind: "name", name });
    this.#reportedName = name ?? this.#reportedName;
    return { flow: this.#flow };
  }

  #reportedName: string | undefined;

  /** Reads a connection without TLS. */
  async #readPlain(socket: Socket, first: Uint8Array): Promise<void> {
    const guest = this.#guestEnd(first);
    const server = serverEndOf(new DuplexChannel(socket));
    const speech = await listenFirst(guest.reader, server.reader.look());
    if (speech === "http")
      return await this.#serve("http", guest, Promise.resolve(server), undefined, undefined);
    // It shows no name, and its address was allowed. Behind a server that speaks first, a name may still come.
    await this.#passOther(guest, server, this.#flow.request.destination.address, false, this.#nameCheck());
  }

  /** Passes a protocol that is not HTTP. */
  async #passOther(
    guest: TunnelEnd,
    server: TunnelEnd,
    host: string,
    isVerified: boolean,
    names?: ByteTransform,
  ): Promise<void> {
    const { hooks, secrets } = this.#tools();
    if (hooks !== undefined)
      throw new HttpProblem(403, "blocked", "the connection carries no HTTP, so that no hook could see it");
    const kept = secrets.streamFor(this.#secretDestination(host, isVerified));
    await pumpBothWays(guest, server, names === undefined ? kept : inOrder(names, kept));
  }

  /** Breaks off where the guest begins with TLS or HTTP for a name that is denied. */
  #nameCheck(): ByteTransform {
    const filter = this.#flow.nameFilter();
    const judged = (passed: () => Uint8Array | undefined): Uint8Array => {
      try {
        return passed() ?? new Uint8Array();
      } catch (error) {
        throw new HttpProblem(403, "blocked", messageOf(error));
      }
    };
    return { push: (piece) => judged(() => filter.take(piece)), end: () => judged(() => filter.end()) };
  }

  #secretDestination(host: string, isVerified: boolean): SecretDestination {
    const { names, request } = this.#flow;
    return { host, isVerified, isResolved: host === request.destination.address || names.includes(host) };
  }

  /** @param host What the guest wants by TLS; `undefined` without. */
  async #serve(
    scheme: "http" | "https",
    guest: TunnelEnd,
    firstServer: Promise<TunnelEnd>,
    host: string | undefined,
    verification: Verification | undefined,
  ): Promise<void> {
    let first: Promise<TunnelEnd> | undefined = firstServer;
    const connect = async () => {
      const opened = first ?? this.#connectAgain(host, verification);
      first = undefined;
      return await opened;
    };
    await serveHttp({
      scheme,
      guest: guest.channel,
      reader: guest.reader,
      connect,
      admit: (name, port) => this.#admit(name, port, host),
      gateFor: (name) =>
        this.#tools().secrets.gateFor(this.#secretDestination(name, verification?.isVerified === true)),
      hooks: this.#tools().hooks,
      onProblem: (problem) => this.#onProblem(problem, host),
    });
  }

  /** @throws {HttpProblem} if a request may not be for this host. */
  #admit(name: string, port: number | undefined, host: string | undefined): void {
    const { destination } = this.#flow.request;
    if (host !== undefined && name !== host)
      throw new HttpProblem(421, "blocked", "the Host field names another server than the TLS connection");
    if (port !== undefined && port !== destination.port)
      throw new HttpProblem(421, "blocked", "the Host field names another port than the connection");
    if (host !== undefined) return; // it was asked about before
    const { flow } = this.#named(name === destination.address ? undefined : name);
    const verdict: NameVerdict = name === destination.address ? flow.checkNameless() : flow.checkName(name);
    if (!verdict.allowed) throw new HttpProblem(403, "blocked", verdict.reason);
  }

  async #connectAgain(host: string | undefined, verification: Verification | undefined): Promise<TunnelEnd> {
    const socket = await this.#connect();
    if (host === undefined || verification === undefined) return serverEndOf(new DuplexChannel(socket));
    return serverEndOf((await this.#secured(socket, host, verification, [HTTP_1])).channel);
  }

  async #connect(): Promise<Socket> {
    let socket: Socket;
    try {
      socket = await this.#flow.connect();
    } catch (error) {
      throw upstreamProblem(connectReason(error));
    }
    this.#sockets.add(socket);
    socket.setNoDelay(true); // a head and its body are written one after the other
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {}); // also when nothing reads it
    if (this.#flow.signal.aborted) socket.destroy();
    return socket;
  }

  /** @throws {HttpProblem} with the reason, if the server is not who it has to be. */
  async #secured(socket: Socket, host: string, verification: Verification, alpnProtocols: readonly string[]) {
    try {
      return await this.#tools().clientSide.connect(socket, { host, verification, alpnProtocols });
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "no handshake";
      throw upstreamProblem(`the TLS of the server cannot be trusted: ${code}`);
    }
  }

  /** Says why a handshake of the guest failed, and what that probably means. */
  async #accepted<T>(accepting: Promise<T>): Promise<T> {
    try {
      return await accepting;
    } catch (error) {
      const why = printable(messageOf(error));
      const reason = `the guest's TLS handshake failed (${why}): does the program trust the sandbox's authority?`;
      throw new HttpProblem(400, "blocked", reason);
    }
  }

  #guestEnd(first: Uint8Array): TunnelEnd {
    const reader = new MessageReader(this.#guest, malformed, this.#early);
    if (first.length > 0) reader.unread(first);
    return { channel: this.#guest, reader };
  }

  #onProblem(problem: HttpProblem, host: string | undefined): void {
    const name = host ?? this.#reportedName;
    const reason = problem.message;
    const { violation } = this.#tools();
    if (problem instanceof SecretViolation && violation !== "block") {
      this.#flow.report({ kind: "violation", reason, secret: problem.secret, name });
      if (violation === "block-and-terminate") this.#flow.terminate(reason);
    } else
      this.#flow.report({ kind: problem.kind === "upstream" ? "upstreamError" : "blocked", reason, name });
  }
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, SHOWN_CHARS_MAX);
}

/** The second gets what the first lets through. */
function inOrder(first: ByteTransform, second: ByteTransform | undefined): ByteTransform {
  if (second === undefined) return first;
  return {
    push: (piece) => second.push(first.push(piece)),
    end: () => concatBytes([second.push(first.end()), second.end()]),
  };
}

function serverEndOf(channel: TunnelEnd["channel"]): TunnelEnd {
  return { channel, reader: new MessageReader(channel, upstreamProblem) };
}

function guestEndOf(channel: TunnelEnd["channel"]): TunnelEnd {
  return { channel, reader: new MessageReader(channel, malformed) };
}

/** Resolves with `true` when the server has sent bytes, which stay in the socket. No longer than until `until` settles. */
function hasSpoken(socket: Socket, until: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const onReadable = () => leave(socket.readableLength > 0);
    const leave = (isSpoken: boolean) => {
      socket.off("readable", onReadable);
      if (isSpoken) resolve(true);
    };
    socket.on("readable", onReadable);
    const stop = () => leave(false);
    until.then(stop, stop);
  });
}
