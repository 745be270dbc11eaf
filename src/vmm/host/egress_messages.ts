/** What the VM host process and its Worker for the guest's network say to each other. @module */

import type { ErrorCode } from "../../base/errors.ts";
import type { EgressConfig } from "../../egress/config.ts";

/** To the Worker. */
export type EgressWorkerRequest =
  /** Once: gives the guest its network. `socketPath` is where this process listens for clients. */
  | {
      readonly type: "start";
      readonly socketPath: string;
      readonly config: EgressConfig;
      /** Two numbers of 8 bytes: what the guest has received and sent, in bytes. The Worker adds to them. */
      readonly traffic: SharedArrayBuffer;
    }
  | { readonly type: "update"; readonly token: number; readonly config: EgressConfig }
  /** The flows that were sent last are written down. */
  | { readonly type: "written" };

/** From the Worker. */
export type EgressWorkerMessage =
  /** Its modules are loaded: it takes requests. */
  | { readonly type: "loaded" }
  /** The guest has its network. `variables` are for its programs. */
  | { readonly type: "started"; readonly variables: Readonly<Record<string, string>> }
  | {
      readonly type: "failed";
      readonly message: string;
      readonly code?: ErrorCode | undefined;
      readonly hint?: string | undefined;
    }
  /** An update is in force if `problem` is empty. */
  | { readonly type: "updated"; readonly token: number; readonly problem: string }
  /** For the log; answered by `written`, before which no more are sent. */
  | { readonly type: "flows"; readonly entries: readonly object[]; readonly lostCount: number }
  /** The sandbox must end: the guest did what ends it. */
  | { readonly type: "terminate"; readonly reason: string }
  /** The guest's side is gone, and all of its flows are in the log. */
  | { readonly type: "ended" };
