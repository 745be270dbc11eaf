/** What a process that carries a guest's connections itself tells the VM host process. @module */
import type { FlowEntry } from "./flows/flow_log.ts";
import type { EgressReport } from "./update.ts";

/** What programs of the guest have received and sent so far, in bytes without headers. */
export interface TrafficTotals {
  readonly rxBytes: number;
  readonly txBytes: number;
}

/** One message; `traffic` are the totals of the whole boot. */
export type ServerReport =
  /** First, and again if the guest's side had to be started again. `variables` are for the guest's programs. */
  | {
      readonly type: "serving";
      readonly variables: Readonly<Record<string, string>>;
      readonly rules: EgressReport;
    }
  /** Other rules are in force. */
  | { readonly type: "updated"; readonly rules: EgressReport }
  /** For the log. */
  | {
      readonly type: "flows";
      readonly entries: readonly FlowEntry[];
      readonly lostCount: number;
      readonly traffic: TrafficTotals;
    }
  | { readonly type: "traffic"; readonly traffic: TrafficTotals }
  /** The sandbox must end: the guest did what ends it. */
  | { readonly type: "terminate"; readonly reason: string }
  /** The guest's side is gone, and all of its flows are told. */
  | { readonly type: "ended"; readonly traffic: TrafficTotals };
