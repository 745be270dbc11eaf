/**
 * What happened to a guest's flows: one entry when a flow begins or is denied, one when it ends.
 *
 * @module
 */
import type { FlowEnd, FlowProtocol } from "../flow.ts";

/** Entries that wait for the sink, of about 300 bytes each: a sink that stalls costs a megabyte and then entries. */
const QUEUED_ENTRIES_MAX = 4096;
/** Entries that the sink is handed at once. */
const BATCH_ENTRIES_MAX = 256;

/** What decided about a flow. */
export type FlowReason =
  /** A rule, or the default of the policy. */
  | "rule"
  | "default"
  /** Only a rule that names metadata services or the host opens them. */
  | "unnamed"
  /** Loopback, this network, broadcast: never reached, whatever the rules say. */
  | "unroutable"
  /** DNS over TLS or QUIC bypasses the resolver; a rule that names port 853 opens it. */
  | "dnsOverTls"
  /** QUIC hides the name; refused, so that the guest falls back to TCP. */
  | "quic"
  /** The name in TLS or HTTP is denied, or a required name is missing. */
  | "serverName"
  /** A private address as the answer for a public name. */
  | "rebinding"
  /** A type of DNS query that is not answered. */
  | "queryType"
  /** The bound on connections. */
  | "connections"
  /** Echo requests go no farther than the gateway. */
  | "echo"
  /** An interceptor blocked it. */
  | "blocked"
  /** A secret was on its way to a host that may not get it. */
  | "violation";

/** How a flow ended. */
export type FlowEnding =
  /** Both sides are done. */
  | "closed"
  | "reset"
  | "refused"
  | "unreachable"
  | "timedOut"
  /** A changed policy no longer allows it. */
  | "policy"
  /** No datagram for a while. */
  | "idle"
  /** More flows than there may be at once: the one idle for longest made room. */
  | "evicted"
  /** The guest or the sandbox stopped. */
  | "stopped"
  /** It was denied, at once or by its first bytes. */
  | "denied";

/** One line of the flow log. */
export interface FlowEntry {
  /** Milliseconds since 1970. */
  readonly time: number;
  /** The same for both entries of a flow; 0 for a name. */
  readonly id: number;
  readonly protocol: FlowProtocol | "dns";
  /** The destination. Of a denied name: the address that was asked. */
  readonly destination: FlowEnd;
  /** The name of the destination, if this sandbox resolved one to it or showed it. */
  readonly name?: string | undefined;
  readonly decision: "allowed" | "denied";
  readonly reason: FlowReason;
  /** The rule's place in the policy. */
  readonly rule?: number | undefined;
  /** More about the reason, for people. */
  readonly detail?: string | undefined;
  /** To the guest. */
  readonly bytesIn: number;
  /** From the guest. */
  readonly bytesOut: number;
  /** `undefined` while the flow goes on. */
  readonly endedAs?: FlowEnding | undefined;
}

/** Takes the flow log. */
export interface FlowSink {
  /**
   * Takes entries in order; `lostCount` were dropped before them because the sink was slow. Called again when it resolves. A
   * rejection loses the batch.
   */
  write(entries: readonly FlowEntry[], lostCount: number): Promise<void>;
}

/** A bounded queue in front of a sink. */
export class FlowLog {
  readonly #sink: FlowSink | undefined;
  #queue: FlowEntry[] = [];
  #lostCount = 0;
  #writing: Promise<void> | undefined;

  constructor(sink: FlowSink | undefined) {
    this.#sink = sink;
  }

  /** Adds an entry. Never waits: what finds no room is counted. */
  add(entry: FlowEntry): void {
    if (this.#sink === undefined) return;
    if (this.#queue.length >= QUEUED_ENTRIES_MAX) {
      this.#lostCount++;
      return;
    }
    this.#queue.push(entry);
    this.#writing ??= this.#write(this.#sink);
  }

  /** Resolves when the sink has taken everything added so far. */
  async flushed(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async #write(sink: FlowSink): Promise<void> {
    await undefined; // what is added in the same turn goes in one batch
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, BATCH_ENTRIES_MAX);
      const lostCount = this.#lostCount;
      this.#lostCount = 0;
      try {
        await sink.write(batch, lostCount);
      } catch {
        this.#lostCount += lostCount + batch.length; // told with the next batch
      }
    }
    this.#writing = undefined;
  }
}
