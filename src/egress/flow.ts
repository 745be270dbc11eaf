/**
 * What a guest asks of the network, and what it may be answered: the seam between the guest's packets and the decisions
 * of `src/egress`. Nothing here knows a wire or a VM.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";

/** How a packet travels. `icmp` is an echo request of IPv4 or IPv6; no other kind leaves the guest. */
export type FlowProtocol = "tcp" | "udp" | "icmp";

/** An end of a flow. */
export interface FlowEnd {
  /** IPv4 in dotted form, or IPv6 in the form of RFC 5952. An IPv4-mapped IPv6 address stands here as IPv4. */
  readonly address: string;
  /** 0 for `icmp`. */
  readonly port: number;
}

/** A flow that the guest wants. */
export interface FlowRequest {
  /** Of this link; never used twice. */
  readonly id: number;
  readonly protocol: FlowProtocol;
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  /** Aborts when the guest no longer waits for the answer. */
  readonly signal: AbortSignal;
}

/** Why a flow is refused, in the terms of the guest's kernel. */
export type FlowRefusal =
  /** The other end refused, or a rule did: `ECONNREFUSED` for TCP, port unreachable for UDP. */
  | "refused"
  /** There is no way to the other end: `ENETUNREACH` or `EHOSTUNREACH`. */
  | "unreachable"
  /** The other end did not answer in time: `ETIMEDOUT`. */
  | "timedOut";

/** A TCP connection of the guest that was accepted. Both directions have windows of their own, and end on their own. */
export interface GuestConnection {
  /** What the guest sends. Ends when the guest shuts its side. Cancelling it resets the connection. */
  readonly readable: ReadableStream<Bytes>;
  /** What the guest receives. Closing it shuts this side only; aborting it resets the connection. */
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves when both directions have ended, with the error that broke the connection off if one did. Never rejects. */
  readonly closed: Promise<Error | undefined>;
  /** The guest sees a reset. Does nothing on a connection that has ended. */
  reset(): void;
}

/** Datagrams of one source to one destination, each whole or not at all. Nothing waits: what finds no room is dropped. */
export interface GuestDatagrams {
  /** Called with each datagram of the guest, or payload of its echo request. */
  onDatagram: (data: Bytes) => void;
  /** To the guest, as from the destination of the flow. */
  send(data: Uint8Array): void;
  /** Resolves when the flow has ended, on whichever side. Never rejects. */
  readonly closed: Promise<void>;
  /** Tells the guest that nothing answers there, and ends the flow. */
  refuse(reason: FlowRefusal): void;
  /** Ends the flow silently. A later datagram of the guest is a new request. */
  close(): void;
}

/** The guest's side of the network. Bounds how many requests and flows a guest can make it hold. */
export interface GuestLink {
  /**
   * Called with each request. It is answered once, by one of the three methods below; a request that is never answered is
   * refused by the guest's own time limit.
   */
  onRequest: (request: FlowRequest) => void;
  /** Lets a TCP flow in, once the way to the other end is known to be open. */
  accept(request: FlowRequest): Promise<GuestConnection>;
  /** Lets a UDP or ICMP flow in. The datagram that asked is delivered first. */
  acceptDatagrams(request: FlowRequest): GuestDatagrams;
  refuse(request: FlowRequest, reason: FlowRefusal): void;
  /** Resolves when the guest's side is gone. Never rejects. */
  readonly closed: Promise<void>;
  close(): void;
}
