/**
 * A guest's echo requests ("ping").
 *
 * A program without privileges cannot send any from here: `node:dgram` has no sockets for ICMP. So the gateway answers those to
 * itself, and the guest hears that all other hosts are unreachable, instead of waiting for answers.
 *
 * @module
 */
import type { FlowRequest } from "../flow.ts";
import { GATEWAY_ADDRESSES } from "../guest_network.ts";
import type { FlowCore } from "./core.ts";
import { logDenial } from "./open_flow.ts";

/** Programs that ping at once. One more takes the place of the oldest. */
const ECHO_FLOWS_MAX = 16;
/** A program that pings does so every second. */
const ECHO_IDLE_MS = 10_000;

/** All echo flows of a sandbox. */
export class EchoFlows {
  readonly #core: FlowCore;
  readonly #stops = new Set<() => void>();

  constructor(core: FlowCore) {
    this.#core = core;
  }

  /** Answers a request. Resolves when the flow is over. */
  async open(request: FlowRequest): Promise<void> {
    const { link, log, judge, clock } = this.#core;
    if (!GATEWAY_ADDRESSES.includes(request.destination.address)) {
      const verdict = judge.judge("icmp", request.destination);
      logDenial(log, request, verdict, verdict.allowed ? "echo" : verdict.reason);
      link.refuse(request, "unreachable");
      return;
    }
    if (this.#stops.size >= ECHO_FLOWS_MAX) this.#endOldest();
    const { promise: ended, resolve: stop } = Promise.withResolvers<void>();
    this.#stops.add(stop);
    const datagrams = link.acceptDatagrams(request);
    let cancel = clock.after(ECHO_IDLE_MS, stop);
    datagrams.onDatagram = (data) => {
      cancel();
      cancel = clock.after(ECHO_IDLE_MS, stop);
      datagrams.send(data);
    };
    await Promise.race([ended, datagrams.closed]);
    cancel();
    this.#stops.delete(stop);
    datagrams.close();
  }

  /** Its place is free at once: many may come in one turn. */
  #endOldest(): void {
    const [stop] = this.#stops;
    if (stop === undefined) return;
    this.#stops.delete(stop);
    stop();
  }

  /** Ends all. */
  close(): void {
    for (const stop of this.#stops) stop();
  }
}
