/**
 * The guest's network, where the process that has created or started the sandbox carries it: its functions see the requests. This
 * process keeps, and has to be told, the log, the totals, and the rules for clients that ask.
 *
 * Without that process there is no network: the agent takes the guest's interface away with its connection.
 *
 * @module
 */
import { settlesWithin } from "../../base/wait.ts";
import type { ServerReport, TrafficTotals } from "../../egress/server_report.ts";
import type { EgressReport, EgressUpdate } from "../../egress/update.ts";
import type { FlowLog, VariablesSink } from "./egress_service.ts";

/** How long the last flows may take to be told, once the guest's side is gone. */
const SETTLE_TIMEOUT_MS = 500;
/** Flows of one message: what the other end sends at most. */
const ENTRIES_MAX = 1024;

/** What it works with. */
export interface ServedEgressOptions {
  /** Until the first report. */
  readonly rules: EgressReport;
  readonly log: FlowLog;
  readonly guest: VariablesSink;
  /** The guest did what ends the sandbox. */
  readonly onTerminate: (reason: string) => void;
}

/** See the module. */
export class ServedEgress {
  readonly #options: ServedEgressOptions;
  #rules: EgressReport;
  /** The client that carries the connections: the first that says so. */
  #server: object | undefined;
  #isGone = false;
  #ended = Promise.withResolvers<void>();
  traffic: TrafficTotals = { rxBytes: 0, txBytes: 0 };

  constructor(options: ServedEgressOptions) {
    this.#options = options;
    this.#rules = options.rules;
    this.#ended.resolve(); // nothing is under way yet
  }

  /** Whether the guest has its network. */
  get isServed(): boolean {
    return this.#server !== undefined && !this.#isGone;
  }

  /** Reports the rules. @throws {Error} for a change, which only the process that carries the connections can make. */
  async update(update: EgressUpdate): Promise<EgressReport> {
    if (Object.keys(update).length === 0) return this.#rules;
    throw new Error("the process that gave its hooks carries the connections, and changes their rules");
  }

  /** Takes what the process that carries the connections tells. @throws {Error} if another one does. */
  report(client: object, report: ServerReport): void {
    if (this.#server === undefined && report.type === "serving") this.#server = client;
    if (this.#server !== client) throw new Error("another process carries the connections");
    switch (report.type) {
      case "serving":
        this.#ended = Promise.withResolvers();
        this.#rules = report.rules;
        return this.#options.guest.setVariables(report.variables);
      case "updated":
        this.#rules = report.rules;
        return;
      case "flows":
        this.traffic = report.traffic;
        return this.#write(report.entries, report.lostCount);
      case "traffic":
        this.traffic = report.traffic;
        return;
      case "terminate":
        return this.#options.onTerminate(report.reason);
      case "ended":
        this.traffic = report.traffic;
        return this.#ended.resolve();
    }
  }

  /** A client's connection has ended. */
  left(client: object): void {
    if (this.#server !== client) return;
    this.#isGone = true;
    this.#ended.resolve();
    console.error("the network has ended: the process that carried its connections is gone"); // into the diagnostics
  }

  /** Resolves when all flows of a guest that is ending are written down, or soon after. Never rejects. */
  async settled(): Promise<void> {
    await settlesWithin(this.#ended.promise, SETTLE_TIMEOUT_MS);
  }

  #write(entries: readonly object[], lostCount: number): void {
    const { log } = this.#options;
    const excess = Math.max(0, entries.length - ENTRIES_MAX);
    if (lostCount + excess > 0) log.flowsLost(lostCount + excess);
    for (const entry of entries.slice(0, ENTRIES_MAX)) log.flow({ kind: "flow", ...entry });
  }
}
