/**
 * What the core knows of one flow while it is asked for and open, and how that gets into the flow log.
 *
 * @module
 */
import type { FlowRequest } from "../flow.ts";
import type { FlowEnding, FlowLog, FlowReason } from "./flow_log.ts";
import type { Verdict } from "./judge.ts";
import type { Meter } from "./metered.ts";

/** How many characters of a name or a detail are kept: they come from the guest. */
const TEXT_CHARS_MAX = 300;

/** A flow that was let in by its address. */
export class OpenFlow {
  readonly request: FlowRequest;
  readonly verdict: Verdict;
  readonly meter: Meter = { bytesIn: 0, bytesOut: 0 };
  /** The name that the guest showed, by SNI or HTTP Host. */
  shownName: string | undefined;
  /** Whether it carries TLS or HTTP in which no name could be read. Only where no rule was about names. */
  hidesName = false;
  readonly #log: FlowLog;
  readonly #over = new AbortController();
  #forcedEnding: FlowEnding | undefined;
  #hasEnded = false;

  constructor(request: FlowRequest, verdict: Verdict, log: FlowLog) {
    this.request = request;
    this.verdict = verdict;
    this.#log = log;
  }

  /** Fires when the flow must end. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Makes the flow end, for this reason. */
  end(ending: FlowEnding): void {
    this.#forcedEnding ??= ending;
    this.#over.abort();
  }

  /** Logs that it goes on from here. */
  logStart(): void {
    this.#add("allowed", this.verdict.reason, {});
  }

  /** Logs something that was denied on it. */
  logDenied(reason: FlowReason, rule: number | undefined, detail?: string): void {
    this.#add("denied", reason, { rule, detail: detail?.slice(0, TEXT_CHARS_MAX) });
  }

  /** Logs how it ended, once. */
  logEnd(ending: FlowEnding): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#add("allowed", this.verdict.reason, { endedAs: this.#forcedEnding ?? ending });
    this.#over.abort();
  }

  #add(
    decision: "allowed" | "denied",
    reason: FlowReason,
    more: { rule?: number | undefined; detail?: string | undefined; endedAs?: FlowEnding },
  ): void {
    const { id, protocol, destination } = this.request;
    this.#log.add({
      time: Date.now(),
      id,
      protocol,
      destination,
      name: (this.shownName ?? this.verdict.names[0])?.slice(0, TEXT_CHARS_MAX),
      decision,
      reason,
      rule: this.verdict.rule,
      ...this.meter,
      ...more,
    });
  }
}

/** Logs a request that was denied at once. */
export function logDenial(
  log: FlowLog,
  request: FlowRequest,
  verdict: Verdict,
  reason = verdict.reason,
): void {
  const { id, protocol, destination } = request;
  log.add({
    time: Date.now(),
    id,
    protocol,
    destination,
    name: verdict.names[0],
    decision: "denied",
    reason,
    rule: verdict.rule,
    bytesIn: 0,
    bytesOut: 0,
    endedAs: "denied",
  });
}
