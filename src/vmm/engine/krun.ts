/**
 * libkrun as an engine. `krun_start_enter` blocks its thread for the life of the VM and then ends the process, so it is
 * called in a Worker while the main thread serves clients.
 *
 * @module
 */
import { join } from "node:path";
import { MicrosandboxError } from "../../base/errors.ts";
import type { LibkrunOptions } from "../../ffi/libkrun.ts";
import { RunFile } from "../run_directory/run_directory.ts";
import type { Engine, Machine, MachineConfig } from "./engine.ts";
import { krunThread } from "./krun_thread.ts";

/** What the Worker is told: first what to load, later what to boot. */
export type KrunWorkerRequest =
  | { readonly type: "load"; readonly libraries: LibkrunOptions }
  | { readonly type: "boot"; readonly config: KrunWorkerConfig };

/** The VM to boot. */
export interface KrunWorkerConfig {
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly disks: MachineConfig["disks"];
  readonly networkDevice: MachineConfig["networkDevice"];
  readonly consolePath: string;
  readonly agentSocketPath: string;
}

/** What the Worker tells. After `starting` it is silent for good, unless libkrun refuses. */
export type KrunWorkerMessage =
  | { readonly type: "starting" }
  | { readonly type: "failed"; readonly message: string; readonly code?: string; readonly hint?: string };

export const krunEngine: Engine = {
  name: "krun",
  launch(config: MachineConfig): Promise<Machine> {
    const { worker, failed } = krunThread();
    const refused = Promise.withResolvers<string>();
    return new Promise((resolve, reject) => {
      let starting = false;
      const fail = (error: Error) => {
        if (starting) refused.resolve(error.message);
        else reject(error);
      };
      failed.then(fail);
      worker.onmessage = (event: MessageEvent<KrunWorkerMessage>) => {
        const message = event.data;
        if (message.type === "starting") {
          starting = true;
          config.onStarting();
          resolve({ exited: refused.promise, kill: () => process.kill(process.pid, "SIGKILL") });
        } else {
          fail(new MicrosandboxError("libkrunCall", message.message, { hint: message.hint }));
        }
      };
      const request: KrunWorkerRequest = {
        type: "boot",
        config: {
          cpus: config.cpus,
          memoryMiB: config.memoryMiB,
          disks: config.disks,
          networkDevice: config.networkDevice,
          consolePath: join(config.runDirectory, RunFile.console),
          agentSocketPath: join(config.runDirectory, RunFile.agent),
        },
      };
      worker.postMessage(request);
    });
  },
};
