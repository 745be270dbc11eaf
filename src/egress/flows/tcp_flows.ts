/**
 * A guest's TCP connections: decided, connected, accepted, and then pumped or handed to the interceptor.
 *
 * @module
 */
import type { Socket } from "node:net";
import { waitFor } from "../../base/wait.ts";
import type { FlowEnd, FlowRequest, GuestConnection } from "../flow.ts";
import type { InterceptEvent, InterceptedFlow, NameVerdict } from "../interceptor.ts";
import type { FlowCore } from "./core.ts";
import { dial, refusalOf } from "./dial.ts";
import type { FlowEnding } from "./flow_log.ts";
import { meteredConnection } from "./metered.ts";
import { NameFilter } from "./name_filter.ts";
import { logDenial, OpenFlow } from "./open_flow.ts";
import { pump } from "./pump.ts";

/** All TCP flows of a sandbox. */
export class TcpFlows {
  readonly #core: FlowCore;
  readonly #flows = new Set<OpenFlow>();

  constructor(core: FlowCore) {
    this.#core = core;
  }

  /** How many are open or being opened. */
  get size(): number {
    return this.#flows.size;
  }

  /** Answers a request. Resolves when the flow is over; never rejects. */
  async open(request: FlowRequest): Promise<void> {
    const { link, log, judge, maxConnections } = this.#core;
    const verdict = judge.judge("tcp", request.destination);
    if (!verdict.allowed || this.#flows.size >= maxConnections) {
      logDenial(log, request, verdict, verdict.allowed ? "connections" : verdict.reason);
      link.refuse(request, "refused");
      return;
    }
    const flow = new OpenFlow(request, verdict, log);
    this.#flows.add(flow);
    try {
      flow.logEnd(await this.#carry(flow));
    } finally {
      this.#flows.delete(flow);
    }
  }

  /** Ends the flows that another configuration does not allow. */
  recheck(): void {
    for (const flow of this.#flows) if (!this.#isStillAllowed(flow)) flow.end("policy");
  }

  /** Ends all. */
  close(): void {
    for (const flow of this.#flows) flow.end("stopped");
  }

  /** By the address, and by the name that was shown. A name that was only shown opens no address. */
  #isStillAllowed({ request: { destination }, verdict, shownName, hidesName }: OpenFlow): boolean {
    const { judge } = this.#core;
    const now = judge.judge("tcp", destination, verdict.names);
    if (hidesName && now.nameMatters) return false;
    if (!now.allowed || shownName === undefined || !now.nameMatters) return now.allowed;
    return judge.judgeName(destination, shownName).action === "allow";
  }

  async #carry(flow: OpenFlow): Promise<FlowEnding> {
    const { link } = this.#core;
    const { request } = flow;
    const giveUp = () => flow.end("reset");
    request.signal.addEventListener("abort", giveUp, { once: true });
    if (request.signal.aborted) giveUp();
    const ends = this.#core.dialledEnds(request.destination);
    let socket: Socket | undefined;
    try {
      socket = await this.#dial(ends, flow.signal);
    } catch (error) {
      const refusal = await refusalOf(error, ends[0] ?? request.destination);
      link.refuse(request, refusal);
      return refusal;
    } finally {
      request.signal.removeEventListener("abort", giveUp);
    }
    const guest = await this.#accept(flow);
    if (guest === undefined) {
      socket.resetAndDestroy();
      return "reset"; // the guest no longer wants it, or may no longer have it
    }
    flow.logStart();
    return await this.#move(flow, guest, socket);
  }

  /** Ends at once when the flow must: a guest may be slow to take what it asked for. */
  async #accept({ request, signal }: OpenFlow): Promise<GuestConnection | undefined> {
    const accepted = this.#core.link.accept(request);
    try {
      return await waitFor(accepted, { action: "waiting for the guest to take a connection", signal });
    } catch {
      accepted.then(
        (guest) => guest.reset(),
        () => {}, // it was never there
      );
      return undefined;
    }
  }

  async #move(flow: OpenFlow, guest: GuestConnection, socket: Socket): Promise<FlowEnding> {
    const { interceptor } = this.#core;
    const metering = { meter: flow.meter, limits: () => this.#core.limits, signal: flow.signal };
    const { destination } = flow.request;
    // By the current rules: they may have changed since the flow was let in, and may change again.
    const nameMatters = () => this.#core.judge.judge("tcp", destination, flow.verdict.names).nameMatters;
    const nameFilter = () =>
      new NameFilter({
        matters: nameMatters,
        judge: (name) => this.#judgeShown(flow, name),
        onUnreadable: () => {
          flow.hidesName = true;
        },
      });
    if (interceptor?.wants(destination, nameMatters())) {
      const onAbort = () => {
        guest.reset();
        socket.destroy();
      };
      flow.signal.addEventListener("abort", onAbort, { once: true });
      if (flow.signal.aborted) onAbort();
      try {
        const metered = meteredConnection(guest, metering);
        await interceptor.handle(this.#intercepted(flow, metered, socket, nameFilter));
        return "closed";
      } catch {
        guest.reset(); // it reports its own errors; this one is unexpected
        return "reset";
      } finally {
        flow.signal.removeEventListener("abort", onAbort);
        socket.destroy();
      }
    }
    const ending = await pump(guest, socket, metering, nameFilter());
    if (ending === "denied")
      flow.logDenied("serverName", undefined, "the first bytes of the guest name no host that is allowed");
    return ending;
  }

  /** Why the name that a guest shows is denied; `undefined` if it is allowed. */
  #judgeShown(flow: OpenFlow, name: string | undefined): string | undefined {
    const decision = this.#core.judge.judgeName(flow.request.destination, name);
    if (name !== undefined) flow.shownName = name;
    return decision.action === "allow" ? undefined : "the name is denied";
  }

  async #dial(ends: readonly FlowEnd[], signal: AbortSignal): Promise<Socket> {
    const socket = await dial(ends, signal);
    if (this.#core.isBackground) socket.unref();
    return socket;
  }

  #intercepted(
    flow: OpenFlow,
    guest: GuestConnection,
    socket: Socket,
    nameFilter: () => NameFilter,
  ): InterceptedFlow {
    const { destination } = flow.request;
    let first: Socket | undefined = socket;
    const verdictOf = (name: string | undefined): NameVerdict => {
      const { action, reason, rule } = this.#core.judge.judgeName(destination, name);
      return action === "allow" ? { allowed: true } : { allowed: false, reason, rule };
    };
    return {
      request: flow.request,
      guest,
      names: flow.verdict.names,
      signal: flow.signal,
      checkName: verdictOf,
      checkNameless: () => verdictOf(undefined),
      nameFilter,
      connect: async () => {
        const opened = first;
        first = undefined;
        if (opened !== undefined && !opened.destroyed) return opened;
        return await this.#dial(this.#core.dialledEnds(destination), flow.signal);
      },
      report: (event) => report(flow, event),
      terminate: (reason) => void this.#core.terminate(reason),
    };
  }
}

function report(flow: OpenFlow, event: InterceptEvent): void {
  if (event.name !== undefined) flow.shownName = event.name;
  if (event.kind === "blocked" || event.kind === "upstreamError")
    flow.logDenied("blocked", undefined, event.reason);
  else if (event.kind === "violation")
    flow.logDenied("violation", undefined, `${event.secret}: ${event.reason}`);
}
