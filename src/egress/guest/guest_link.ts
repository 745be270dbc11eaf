/**
 * The guest's side of the network over a connection to its agent: see `flow.ts` for what it is, and `network_messages.ts` for
 * what is spoken.
 *
 * The guest is hostile. What it can make this hold: {@linkcode REQUESTS_MAX} requests, {@linkcode FLOWS_MAX} flows, a window of
 * each connection that was let in, {@linkcode EARLY_BYTES_MAX} of datagrams that are not decided yet. Anything beyond that is
 * refused or dropped; an invalid message ends the link.
 *
 * @module
 */
import type { AgentClient } from "../../agent/client.ts";
import { decodeMessage, encodeMessage } from "../../agent/codec.ts";
import { ProtocolError } from "../../agent/errors.ts";
import type { NetworkOpen } from "../../agent/exec_opening.ts";
import type { ExecSession } from "../../agent/exec_session.ts";
import { FrameDecoder } from "../../agent/frame.ts";
import {
  FlowProtocolCode,
  FlowRefusalCode,
  type Message,
  type MessageFields,
  NetworkFeature,
} from "../../agent/protocol.ts";
import { TcpSession } from "../../agent/tcp_session.ts";
import { KiB, MiB } from "../../base/bytes.ts";
import { waitFor } from "../../base/wait.ts";
import type {
  FlowProtocol,
  FlowRefusal,
  FlowRequest,
  GuestConnection,
  GuestDatagrams,
  GuestLink,
} from "../flow.ts";
import { GUEST_NETWORK } from "../guest_network.ts";
import { type Arrival, DatagramFlow } from "./datagram_flow.ts";
import { FrameQueue } from "./frame_queue.ts";
import { addressText } from "./ip_text.ts";
import { TcpFlow } from "./tcp_flow.ts";

/** Requests that were not answered yet: more than the agent asks at a time. */
export const REQUESTS_MAX = 1024;
/** All that is asked or open: more than the agent has places for. */
export const FLOWS_MAX = 8192;
/** Datagrams that came before their flow was decided: of one flow, and bytes of all together. */
const EARLY_DATAGRAMS_MAX = 16;
const EARLY_BYTES_MAX: number = 1 * MiB;
/** What one of them costs beyond its payload. */
const ARRIVAL_BYTES = 1 * KiB;
/**
 * Of a connection, in one frame: what fits into one packet of the guest's interface, whose size is 65,535 bytes, behind the headers of
 * IPv6 and of TCP with time stamps. A larger frame would end in a second packet of a few bytes.
 */
const CONNECTION_FRAME_BYTES_MAX = 65_535 - 40 - 32;
/** How long the agent may take to set up the interface; it needs a few milliseconds. */
const OPEN_TIMEOUT_MS = 30_000;

const PROTOCOLS: ReadonlyMap<number, FlowProtocol> = new Map([
  [FlowProtocolCode.tcp, "tcp"],
  [FlowProtocolCode.udp, "udp"],
  [FlowProtocolCode.icmp, "icmp"],
]);

/** The guest's number of a flow, and its state here. */
type Flow =
  | {
      readonly kind: "asked";
      readonly request: FlowRequest;
      readonly givenUp: AbortController;
      readonly early: Arrival[];
    }
  | { readonly kind: "connection"; readonly session: TcpSession }
  | { readonly kind: "datagrams"; readonly flow: DatagramFlow };

/** The addresses that a guest gets. */
export const GUEST_ADDRESSES: NetworkOpen = {
  address: GUEST_NETWORK.ipv4.address,
  prefixBits: GUEST_NETWORK.ipv4.prefixBits,
  gateway: GUEST_NETWORK.ipv4.gateway,
  address6: GUEST_NETWORK.ipv6.address,
  prefixBits6: GUEST_NETWORK.ipv6.prefixBits,
  gateway6: GUEST_NETWORK.ipv6.gateway,
};

/** Counts what programs of the guest receive and send, in bytes without headers. */
export interface Traffic {
  received(bytes: number): void;
  sent(bytes: number): void;
}

const UNCOUNTED: Traffic = { received: () => {}, sent: () => {} };

/** The network of one guest. */
export class AgentGuestLink implements GuestLink {
  onRequest: (request: FlowRequest) => void = (request) => this.refuse(request, "unreachable");
  readonly closed: Promise<void>;
  /** Whether the guest has IPv6. */
  readonly hasIpv6: boolean;
  readonly #process: ExecSession;
  readonly #queue: FrameQueue;
  readonly #traffic: Traffic;
  /** By the guest's number, which it may use again. */
  readonly #flows = new Map<number, Flow>();
  /** The guest's number of each request that was not answered. */
  readonly #asked = new Map<FlowRequest, number>();
  #earlyBytes = 0;
  #hasEnded = false;
  #nextId = 1;

  /**
   * Gives the guest its interface, addresses and routes.
   *
   * @throws {MicrosandboxError} of code `network` if the guest cannot have one: its kernel lacks TUN devices, or there is one already.
   */
  static async open(
    client: AgentClient,
    addresses: NetworkOpen = GUEST_ADDRESSES,
    traffic: Traffic = UNCOUNTED,
  ): Promise<AgentGuestLink> {
    const process = client.openNetwork(addresses);
    const ready = Promise.withResolvers<AgentGuestLink>();
    const wait = async () => {
      await process.started;
      return await ready.promise;
    };
    AgentGuestLink.#run(process, ready, traffic);
    const limits = { action: "waiting for the guest's network interface", timeoutMs: OPEN_TIMEOUT_MS };
    try {
      return await waitFor(wait(), limits);
    } catch (error) {
      process.close(error as Error);
      throw error;
    }
  }

  /** Reads frames until the end. An invalid one ends the link. */
  static async #run(
    process: ExecSession,
    ready: PromiseWithResolvers<AgentGuestLink>,
    traffic: Traffic,
  ): Promise<void> {
    const output = process.outputs.get("stdout");
    const decoder = new FrameDecoder();
    let link: AgentGuestLink | undefined;
    ready.promise.catch(() => {}); // the call that waits for it may have another reason
    try {
      for (let chunk = await output?.next(); chunk !== undefined; chunk = await output?.next()) {
        for (const frame of decoder.feed(chunk)) {
          const message = decodeMessage(frame);
          if (link !== undefined) link.#receive(message);
          else {
            link = new AgentGuestLink(process, message, traffic);
            ready.resolve(link);
          }
        }
      }
      ready.reject(new ProtocolError("The guest's network ended before it was ready"));
    } catch (error) {
      process.close(error as Error);
      ready.reject(error);
    }
    if (link !== undefined) link.#end();
  }

  private constructor(process: ExecSession, first: Message | undefined, traffic: Traffic) {
    if (first?.name !== "networkReady")
      throw new ProtocolError("The guest's network did not say that it is ready");
    this.hasIpv6 = (first.fields.features & NetworkFeature.ipv6) !== 0;
    this.#process = process;
    this.#traffic = traffic;
    this.#queue = new FrameQueue(
      (parts) => process.stdin.writeParts(parts),
      (bytes) => traffic.received(bytes),
      () => this.close(),
    );
    this.closed = process.finished;
  }

  async accept(request: FlowRequest): Promise<GuestConnection> {
    const stream = this.#takeAsked(request, "tcp");
    const { address: host, port } = request.destination;
    const session = new TcpSession(
      stream,
      { host, port, timeoutMs: 0 },
      this.#queue,
      CONNECTION_FRAME_BYTES_MAX,
    );
    this.#flows.set(stream, { kind: "connection", session });
    this.#queue.send(encodeMessage("flowAccept", stream, {}));
    await session.connected;
    return new TcpFlow(session, request);
  }

  acceptDatagrams(request: FlowRequest): GuestDatagrams {
    const { early } = this.#flowAsked(request);
    const stream = this.#takeAsked(request, "udp", "icmp");
    const flow = new DatagramFlow(stream, request.protocol === "icmp", this.#queue, early);
    this.#flows.set(stream, { kind: "datagrams", flow });
    this.#queue.send(encodeMessage("flowAccept", stream, {}));
    return flow;
  }

  refuse(request: FlowRequest, reason: FlowRefusal): void {
    if (!this.#asked.has(request)) return; // the guest has given up
    const stream = this.#takeAsked(request, request.protocol);
    this.#flows.delete(stream);
    this.#queue.send(encodeMessage("flowRefuse", stream, { reason: FlowRefusalCode[reason] }));
  }

  close(): void {
    this.#process.close(new ProtocolError("The network was closed on this side"));
    this.#end();
  }

  #flowAsked(request: FlowRequest): Flow & { readonly kind: "asked" } {
    const stream = this.#asked.get(request);
    const flow = stream === undefined ? undefined : this.#flows.get(stream);
    if (flow?.kind !== "asked") throw new ProtocolError("The guest no longer waits for this flow");
    return flow;
  }

  /** The number of a request that is answered now. @throws {ProtocolError} if the guest has given it up. */
  #takeAsked(request: FlowRequest, ...protocols: readonly FlowProtocol[]): number {
    if (!protocols.includes(request.protocol)) throw new TypeError(`not for a flow of ${request.protocol}`);
    this.#flowAsked(request);
    return this.#forgetAsked(request);
  }

  #forgetAsked(request: FlowRequest): number {
    const stream = this.#asked.get(request) ?? 0;
    const flow = this.#flows.get(stream);
    this.#asked.delete(request);
    for (const { data } of flow?.kind === "asked" ? flow.early : [])
      this.#earlyBytes -= data.length + ARRIVAL_BYTES;
    return stream;
  }

  #receive(message: Message | undefined): void {
    if (message === undefined || this.#hasEnded) return; // a later agent may say more
    const { stream } = message;
    if (message.name === "flowRequest") return this.#ask(stream, message.fields);
    const flow = this.#flows.get(stream);
    if (flow === undefined) return; // it was refused or closed, and the guest does not know yet
    if (message.name === "closed") this.#flows.delete(stream);
    if ("data" in message.fields) this.#traffic.sent(message.fields.data.length);
    if (flow.kind === "connection") return flow.session.receive(message);
    switch (message.name) {
      case "closed":
        return this.#guestClosed(flow);
      case "datagram":
        return this.#arrive(flow, { data: message.fields.data.slice() });
      case "echo":
        return this.#arrive(flow, { data: message.fields.data.slice(), sequence: message.fields.sequence });
      default:
        throw new ProtocolError(`A ${message.name} of the guest on a flow that does not accept it`);
    }
  }

  #ask(stream: number, fields: MessageFields<"flowRequest">): void {
    const protocol = PROTOCOLS.get(fields.protocol);
    const [source, destination] = [addressText(fields.source), addressText(fields.destination)];
    if (stream === 0 || protocol === undefined || source === undefined || destination === undefined)
      throw new ProtocolError("An invalid flow request of the guest");
    if (this.#flows.has(stream)) throw new ProtocolError("A request of the guest on a flow that is open");
    if (this.#asked.size >= REQUESTS_MAX || this.#flows.size >= FLOWS_MAX)
      return this.#queue.send(encodeMessage("flowRefuse", stream, { reason: FlowRefusalCode.refused }));
    const givenUp = new AbortController();
    const request: FlowRequest = {
      id: this.#nextId++,
      protocol,
      source: { address: source, port: fields.sourcePort },
      destination: { address: destination, port: fields.destinationPort },
      signal: givenUp.signal,
    };
    this.#asked.set(request, stream);
    this.#flows.set(stream, { kind: "asked", request, givenUp, early: [] });
    this.onRequest(request);
  }

  #arrive(flow: Exclude<Flow, { readonly kind: "connection" }>, arrival: Arrival): void {
    if (flow.kind === "datagrams") return flow.flow.receive(arrival);
    const bytes = arrival.data.length + ARRIVAL_BYTES;
    if (flow.early.length >= EARLY_DATAGRAMS_MAX || this.#earlyBytes + bytes > EARLY_BYTES_MAX) return;
    this.#earlyBytes += bytes;
    flow.early.push(arrival);
  }

  #guestClosed(flow: Exclude<Flow, { readonly kind: "connection" }>): void {
    if (flow.kind === "datagrams") return flow.flow.end();
    // Before it is forgotten: its datagrams are counted.
    for (const { data } of flow.early) this.#earlyBytes -= data.length + ARRIVAL_BYTES;
    this.#asked.delete(flow.request);
    flow.givenUp.abort();
  }

  #end(): void {
    this.#hasEnded = true;
    this.#queue.close();
    const error = new ProtocolError("The guest's network has ended");
    for (const flow of this.#flows.values()) {
      if (flow.kind === "connection") flow.session.disconnect(error);
      else this.#guestClosed(flow);
    }
    this.#flows.clear();
  }
}
