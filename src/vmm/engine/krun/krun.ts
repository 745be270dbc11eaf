/**
 * libkrun as an engine. `krun_start_enter` blocks its thread for the life of the VM and then ends the process, so it is
 * called in a Worker while the main thread serves clients.
 *
 * @module
 */
import { join } from "node:path";
import { MicrosandboxError } from "../../../base/errors.ts";
import { RunFile } from "../../run_directory/run_directory.ts";
import type { Engine, RunningVm, VmConfig } from "../engine.ts";
import type { KrunWorkerMessage, KrunWorkerRequest } from "./krun_messages.ts";
import { krunThread } from "./krun_thread.ts";

export const krunEngine: Engine = {
  name: "krun",
  launch(config: VmConfig): Promise<RunningVm> {
    const { worker, failed } = krunThread();
    const exited = Promise.withResolvers<string>();
    return new Promise((resolve, reject) => {
      // A refusal before the VM runs fails the launch; later it is the VM's end. Each promise settles once.
      const fail = (error: Error) => {
        reject(error);
        exited.resolve(error.message);
      };
      failed.then(fail);
      worker.onmessage = ({ data }: MessageEvent<KrunWorkerMessage>) => {
        if (data.type === "failed")
          return fail(new MicrosandboxError("libkrunCall", data.message, { hint: data.hint }));
        config.onStarting();
        resolve({
          exited: exited.promise,
          pid: process.pid,
          cpuThreadName: /^fc_vcpu \d+$/,
          kill: () => process.kill(process.pid, "SIGKILL"),
        });
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
          rootSocketPath: config.hasRootPort ? join(config.runDirectory, RunFile.root) : undefined,
        },
      };
      worker.postMessage(request);
    });
  },
};
