/**
 * What the main thread and the thread that becomes the VM say to each other.
 *
 * @module
 */
import type { LibkrunOptions } from "../../../ffi/libkrun.ts";
import type { VmConfig } from "../engine.ts";

/** To the Worker: first what to load, later what to boot. */
export type KrunWorkerRequest =
  | { readonly type: "load"; readonly libraries: LibkrunOptions }
  | { readonly type: "boot"; readonly config: KrunWorkerConfig };

/** The VM to boot. */
export interface KrunWorkerConfig {
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly disks: VmConfig["disks"];
  readonly networkDevice: VmConfig["networkDevice"];
  readonly consolePath: string;
  readonly agentSocketPath: string;
  /** `undefined`: there is no such port. */
  readonly rootSocketPath: string | undefined;
}

/** From the Worker. After `starting` it is silent for good, unless libkrun refuses. */
export type KrunWorkerMessage =
  | { readonly type: "starting" }
  | { readonly type: "failed"; readonly message: string; readonly code?: string; readonly hint?: string };
