/**
 * QEMU as an engine: slower, but it runs where there is no usable KVM, and on KVM where there is no libkrun.
 *
 * @module
 */
import type { ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { extractKernel } from "../../../ffi/kernel_extract.ts";
import { TscMeasurement } from "../../../ffi/tsc.ts";
import { spawnBound } from "../../../platform/bound_child.ts";
import { identifyProcess } from "../../../platform/process_identity.ts";
import { RunFile, recordMachine } from "../../run_directory/run_directory.ts";
import type { Engine, RunningVm, VmConfig } from "../engine.ts";
import { privilegeArguments } from "./confine_qemu.ts";
import { qemuArguments } from "./qemu_command.ts";

export const qemuEngine: Engine = {
  name: "qemu",
  async launch(config: VmConfig): Promise<RunningVm> {
    const measurement = config.kvm ? undefined : await TscMeasurement.begin();
    const kernel = await extractKernel({
      home: config.home,
      libkrunfwPath: config.libkrunfwPath,
    });
    const counterKHz = await measurement?.finish();
    config.onStarting();
    const privileges = privilegeArguments(config.networkDevice?.kind === "tap");
    const args = qemuArguments(config, kernel.path, counterKHz);
    return await runQemu(config.enginePath, args, privileges, config.runDirectory);
  },
};

async function runQemu(
  program: string,
  args: readonly string[],
  privileges: readonly string[],
  runDirectory: string,
): Promise<RunningVm> {
  const diagnostics = openSync(join(runDirectory, RunFile.diagnostics), "a", 0o600);
  let child: ChildProcess;
  try {
    child = await spawnBound(program, args, diagnostics, privileges);
  } finally {
    closeSync(diagnostics);
  }
  const identity = identifyProcess(child.pid ?? 0);
  if (identity !== undefined) recordMachine(runDirectory, identity);
  const exited = new Promise<string>((resolve) =>
    child.once("exit", (code, signal) => resolve(`QEMU ended with ${signal ?? `status ${code}`}`)),
  );
  return {
    exited,
    pid: child.pid,
    cpuThreadName: /^CPU \d+\//, // by `debug-threads=on`
    kill: () => child.kill("SIGKILL"),
  };
}
