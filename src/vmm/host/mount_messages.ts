/** What the VM host process and its Worker for mounts say to each other. @module */
import type { MountRequest } from "../host_protocol.ts";

/** To the Worker. */
export type MountWorkerRequest = {
  readonly token: number;
  readonly socketPath: string;
  /** Where state, locks and disks are: no mount leads there. Absolute, without links. */
  readonly home: string;
} & (
  | { readonly type: "mount"; readonly mount: MountRequest }
  | { readonly type: "root"; readonly source: string; readonly listenPath: string }
  | { readonly type: "unmount"; readonly target: string }
);

/** From the Worker, once for each request. */
export type MountWorkerMessage =
  | { readonly type: "done"; readonly token: number }
  | { readonly type: "failed"; readonly token: number; readonly message: string };
