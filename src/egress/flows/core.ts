/**
 * What all flows of a sandbox share.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import type { FlowEnd, GuestLink } from "../flow.ts";
import type { Interceptor } from "../interceptor.ts";
import type { FlowLog } from "./flow_log.ts";
import type { Judge } from "./judge.ts";
import type { RateLimits } from "./rate_limit.ts";

/** What `Egress` shares with the carriers of flows. An update changes its fields, so they are read each time. */
export interface FlowCore {
  readonly link: GuestLink;
  readonly log: FlowLog;
  readonly clock: Clock;
  interceptor: Interceptor | undefined;
  judge: Judge;
  limits: RateLimits;
  maxConnections: number;
  /** Where a destination is dialled. */
  readonly dialledEnds: (destination: FlowEnd) => readonly FlowEnd[];
  readonly terminate: (reason: string) => Promise<void>;
  /** Whether sockets and timers leave the process free to end. */
  readonly isBackground: boolean;
}
