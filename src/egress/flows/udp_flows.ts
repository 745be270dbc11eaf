/**
 * A guest's datagrams: each pair of source and destination has a socket of its own, for as long as datagrams pass.
 *
 * @module
 */
import { createSocket, type Socket } from "node:dgram";
import { KiB, MiB } from "../../base/bytes.ts";
import type { FlowRequest, GuestDatagrams } from "../flow.ts";
import type { FlowCore } from "./core.ts";
import { connectDatagrams } from "./dial.ts";
import type { FlowEnding } from "./flow_log.ts";
import { logDenial, OpenFlow } from "./open_flow.ts";

/** Flows at once. One more takes the place of the one that was idle for longest. */
export const UDP_FLOWS_MAX = 256;
/** A flow ends when no datagram has passed for so long. Resolvers and games send more often; RFC 4787 asks for two minutes at most. */
export const UDP_IDLE_MS = 60_000;

/** What the host's network has not taken yet: of one flow, and of all. A link slower than the guest would let it grow for ever. */
const WAITING_BYTES_PER_FLOW_MAX = 256 * KiB;
const WAITING_BYTES_MAX: number = 4 * MiB;
/** What a datagram costs beyond its payload. */
const DATAGRAM_BYTES = 1 * KiB;

/** What ends one datagram, and not its flow. */
const LOST: ReadonlySet<string> = new Set(["EMSGSIZE", "ENOBUFS", "EAGAIN", "ENOMEM"]);

interface UdpFlow {
  readonly flow: OpenFlow;
  readonly stop: (ending: FlowEnding) => void;
}

/** All UDP flows of a sandbox; in the order of their last datagram. */
export class UdpFlows {
  readonly #core: FlowCore;
  readonly #flows = new Map<number, UdpFlow>();
  #waitingBytes = 0;

  constructor(core: FlowCore) {
    this.#core = core;
  }

  get size(): number {
    return this.#flows.size;
  }

  /** Answers a request. Resolves when the flow is over; never rejects. */
  async open(request: FlowRequest): Promise<void> {
    const { link, log, judge } = this.#core;
    const verdict = judge.judge("udp", request.destination);
    if (!verdict.allowed) {
      logDenial(log, request, verdict);
      link.refuse(request, "refused");
      return;
    }
    if (this.#flows.size >= UDP_FLOWS_MAX) this.#evictOne();
    const flow = new OpenFlow(request, verdict, log);
    const ended = Promise.withResolvers<FlowEnding>();
    this.#flows.set(request.id, { flow, stop: ended.resolve });
    try {
      flow.logEnd(await this.#carry(flow, ended));
    } finally {
      this.#flows.delete(request.id);
    }
  }

  /** Its place is free at once: many may come in one turn. */
  #evictOne(): void {
    const [oldest] = this.#flows;
    if (oldest === undefined) return;
    this.#flows.delete(oldest[0]);
    oldest[1].stop("evicted");
  }

  /** Ends the flows that another configuration does not allow. */
  recheck(): void {
    for (const { flow, stop } of this.#flows.values())
      if (!this.#core.judge.judge("udp", flow.request.destination, flow.verdict.names).allowed)
        stop("policy");
  }

  /** Ends all. */
  close(): void {
    for (const { stop } of this.#flows.values()) stop("stopped");
  }

  async #carry(
    flow: OpenFlow,
    { promise: ended, resolve: stop }: PromiseWithResolvers<FlowEnding>,
  ): Promise<FlowEnding> {
    const { link, dialledEnds, clock } = this.#core;
    const { request } = flow;
    await undefined; // those that came in the same turn may have taken its place: then it needs no socket
    if (!this.#flows.has(request.id)) {
      link.refuse(request, "refused");
      return "evicted";
    }
    const [end = request.destination] = dialledEnds(request.destination);
    const socket = createSocket(end.address.includes(":") ? "udp6" : "udp4");
    if (this.#core.isBackground) socket.unref();
    const giveUp = () => stop("stopped");
    request.signal.addEventListener("abort", giveUp, { once: true });
    let datagrams: GuestDatagrams | undefined;
    let cancelTimer = () => {};
    let forgetWaiting = () => {};
    try {
      const problem = await Promise.race([connectDatagrams(socket, end), ended]);
      if (problem !== undefined) {
        const ending = problem instanceof Error ? "unreachable" : problem;
        link.refuse(request, ending === "unreachable" ? "unreachable" : "refused");
        return ending;
      }
      datagrams = link.acceptDatagrams(request);
      flow.logStart();
      let usedAt = clock.now();
      const watchIdle = (delayMs: number): void => {
        cancelTimer = clock.after(delayMs, () => {
          const restMs = usedAt + UDP_IDLE_MS - clock.now();
          if (restMs <= 0) stop("idle");
          else watchIdle(restMs);
        });
      };
      watchIdle(UDP_IDLE_MS);
      forgetWaiting = this.#join(flow, socket, datagrams, stop, () => {
        usedAt = clock.now();
      });
      datagrams.closed.then(() => stop("closed"));
      const ending = await ended;
      if (ending === "refused" || ending === "unreachable") datagrams.refuse(ending);
      else if (ending === "policy") datagrams.refuse("refused");
      return ending;
    } finally {
      cancelTimer();
      request.signal.removeEventListener("abort", giveUp);
      datagrams?.close();
      socket.close();
      forgetWaiting();
    }
  }

  /** Returns a function to call when the socket closes: it releases what was not sent. */
  #join(
    { request, meter }: OpenFlow,
    socket: Socket,
    datagrams: GuestDatagrams,
    stop: (ending: FlowEnding) => void,
    touch: () => void,
  ): () => void {
    let waitingBytes = 0; // of this flow
    const use = (): void => {
      touch();
      const own = this.#flows.get(request.id);
      if (own === undefined) return;
      this.#flows.delete(request.id);
      this.#flows.set(request.id, own);
    };
    // Deno reports no error for a datagram that nothing answers to; there the flow ends by being idle.
    const onError = (error: NodeJS.ErrnoException | null | undefined): void => {
      if (error?.code === undefined || LOST.has(error.code)) return;
      stop(error.code === "ECONNREFUSED" ? "refused" : "unreachable");
    };
    socket.on("error", onError);
    socket.on("message", (data) => {
      if (this.#core.limits.ingress?.tryPass(data.length) === false) return;
      use();
      meter.bytesIn += data.length;
      datagrams.send(data);
    });
    const wait = (bytes: number): void => {
      waitingBytes += bytes;
      this.#waitingBytes += bytes;
    };
    datagrams.onDatagram = (data) => {
      const bytes = data.length + DATAGRAM_BYTES;
      if (waitingBytes + bytes > WAITING_BYTES_PER_FLOW_MAX) return;
      if (this.#waitingBytes + bytes > WAITING_BYTES_MAX) return;
      if (this.#core.limits.egress?.tryPass(data.length) === false) return;
      use();
      meter.bytesOut += data.length;
      wait(bytes);
      const onTaken = (error?: NodeJS.ErrnoException | null): void => {
        if (waitingBytes >= bytes) wait(-bytes); // else the flow has ended
        onError(error);
      };
      try {
        socket.send(data, onTaken);
      } catch (error) {
        onTaken(error instanceof Error ? error : undefined);
      }
    };
    return () => wait(-waitingBytes);
  }
}
