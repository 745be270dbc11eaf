/**
 * Takes a guest's flows to port 53 of any address, over UDP and TCP: all of them are answered here.
 *
 * @module
 */
import { concatBytes } from "../../base/bytes.ts";
import type { DnsConfig } from "../config.ts";
import type { FlowRequest, GuestConnection } from "../flow.ts";
import type { FlowCore } from "../flows/core.ts";
import { Ipv6Routes } from "./ipv6_routes.ts";
import { QUERY_BYTES_MAX } from "./message.ts";
import { Nameservers } from "./nameservers.ts";
import type { Pins } from "./pins.ts";
import { type DnsDenial, Responder } from "./responder.ts";

/** Clients use another port for each query, so an answered query soon frees its place. */
const UDP_IDLE_MS = 5_000;
const UDP_FLOWS_MAX = 256;
/** RFC 7766 6.2.3 asks for seconds. */
const TCP_IDLE_MS = 10_000;
const TCP_FLOWS_MAX = 64;
/** Queries of one connection at once (RFC 7766 6.2.1.1). */
const PIPELINED_MAX = 16;

/** The DNS of one sandbox. */
export class DnsServer {
  readonly #core: FlowCore;
  readonly #responder: Responder;
  readonly #stops = new Map<FlowRequest, () => void>();
  readonly #closing = new AbortController();
  #config: DnsConfig;
  #nameservers: Nameservers;

  constructor(core: FlowCore, config: DnsConfig, pins: Pins) {
    this.#core = core;
    this.#config = config;
    this.#nameservers = new Nameservers(config.nameservers, core.clock);
    this.#responder = new Responder({
      policy: () => this.#core.judge.policy,
      config: () => this.#config,
      nameservers: () => this.#nameservers,
      pins,
      routes: new Ipv6Routes(core.clock),
    });
  }

  /** How many flows are open. */
  get size(): number {
    return this.#stops.size;
  }

  update(config: DnsConfig): void {
    this.#config = config;
    this.#nameservers = new Nameservers(config.nameservers, this.#core.clock);
  }

  /** Answers the datagrams of a flow. Resolves when it is over. */
  async openUdp(request: FlowRequest): Promise<void> {
    this.#makeRoom("udp", UDP_FLOWS_MAX);
    const datagrams = this.#core.link.acceptDatagrams(request);
    const ended = Promise.withResolvers<void>();
    const idle = this.#idleTimer(UDP_IDLE_MS, ended.resolve);
    this.#stops.set(request, ended.resolve);
    datagrams.onDatagram = (data) => {
      idle.restart();
      void this.#answer(data, request, false).then((reply) => {
        if (reply !== undefined) datagrams.send(reply);
      });
    };
    await Promise.race([ended.promise, datagrams.closed]);
    idle.cancel();
    this.#stops.delete(request);
    datagrams.close();
  }

  /** Answers the queries of a connection. Resolves when it is over. */
  async openTcp(request: FlowRequest): Promise<void> {
    this.#makeRoom("tcp", TCP_FLOWS_MAX);
    const ended = Promise.withResolvers<void>();
    this.#stops.set(request, ended.resolve);
    const idle = this.#idleTimer(TCP_IDLE_MS, ended.resolve);
    try {
      const accepted = this.#core.link.accept(request);
      const guest = await Promise.race([accepted, ended.promise]);
      if (guest === undefined) {
        // The guest asked, but did not take the connection in time. A late one is broken off.
        accepted.then(
          (late) => late.reset(),
          () => {}, // it was never there
        );
        return;
      }
      const served = this.#serve(guest, request, () => idle.restart());
      const isOver = await Promise.race([served, ended.promise.then(() => false)]);
      if (!isOver) guest.reset();
    } catch {
      // The guest has left, or what it sent is not DNS: it gets no answer.
    } finally {
      idle.cancel();
      this.#stops.delete(request);
    }
  }

  close(): void {
    this.#closing.abort();
    for (const stop of this.#stops.values()) stop();
  }

  /** Resolves with `true` when the guest is done, and everything is answered. */
  async #serve(guest: GuestConnection, request: FlowRequest, touch: () => void): Promise<boolean> {
    const reader = guest.readable.getReader();
    const writer = guest.writable.getWriter();
    const pending = new Set<Promise<void>>();
    let received: Uint8Array = new Uint8Array(0);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      received = concatBytes([received, value]);
      for (let length = lengthOf(received); length !== undefined; length = lengthOf(received)) {
        const query = received.subarray(2, 2 + length);
        received = received.subarray(2 + length);
        touch();
        const answered = this.#answer(query, request, true)
          .then(async (reply) => {
            if (reply !== undefined)
              await writer.write(concatBytes([Uint8Array.of(reply.length >> 8, reply.length & 255), reply]));
          })
          .catch(() => {}) // the guest reads no more; the next read says so
          .finally(() => pending.delete(answered));
        pending.add(answered);
        if (pending.size >= PIPELINED_MAX) await Promise.race(pending);
      }
    }
    await Promise.all(pending);
    await writer.close();
    return true;
  }

  async #answer(message: Uint8Array, request: FlowRequest, isTcp: boolean): Promise<Uint8Array | undefined> {
    const tell = (denial: DnsDenial) => this.#logDenial(request, denial, message.length);
    return await this.#responder.answer(message, isTcp, this.#closing.signal, tell);
  }

  #logDenial(
    { destination }: FlowRequest,
    { name, reason, rule, detail }: DnsDenial,
    bytesOut: number,
  ): void {
    this.#core.log.add({
      time: Date.now(),
      id: 0,
      protocol: "dns",
      destination,
      name,
      decision: "denied",
      reason,
      rule,
      detail,
      bytesIn: 0,
      bytesOut,
      endedAs: "denied",
    });
  }

  /** Ends the oldest flow of a kind if there are too many. Its place is free at once: many may come in one turn. */
  #makeRoom(protocol: "udp" | "tcp", countMax: number): void {
    const same = [...this.#stops].filter(([request]) => request.protocol === protocol);
    const [oldest] = same;
    if (oldest === undefined || same.length < countMax) return;
    this.#stops.delete(oldest[0]);
    oldest[1]();
  }

  #idleTimer(delayMs: number, onIdle: () => void): { restart: () => void; cancel: () => void } {
    const { clock } = this.#core;
    let cancel = clock.after(delayMs, onIdle);
    const restart = (): void => {
      cancel();
      cancel = clock.after(delayMs, onIdle);
    };
    return { restart, cancel: () => cancel() };
  }
}

/** The length of the first message, if it is complete. @throws if no query has that length. */
function lengthOf(received: Uint8Array): number | undefined {
  if (received.length < 2) return undefined;
  const length = (received[0]! << 8) | received[1]!;
  if (length === 0 || length > QUERY_BYTES_MAX) throw new RangeError("no query has this length");
  return received.length < 2 + length ? undefined : length;
}
