/**
 * QEMU as an engine: slower, but it runs where there is no usable KVM, and on KVM where there is no libkrun.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { IoError, UnsupportedError } from "../../base/errors.ts";
import { extractKernel } from "../../ffi/kernel_extract.ts";
import { homePaths } from "../../platform/home.ts";
import { identifyProcess } from "../../platform/process_identity.ts";
import { findProgram } from "../../platform/program.ts";
import { RunFile, recordMachine } from "../run_directory.ts";
import type { Engine, Machine, MachineConfig } from "./engine.ts";
import { QEMU_PROGRAM, qemuArguments } from "./qemu_command.ts";

export const qemuEngine: Engine = {
  name: "qemu",
  async launch(config: MachineConfig): Promise<Machine> {
    const program = config.qemuPath ?? findProgram(QEMU_PROGRAM);
    if (program === undefined) {
      throw new UnsupportedError(`${QEMU_PROGRAM} is not installed`, {
        hint: "apt-get install qemu-system-x86",
      });
    }
    const kernel = await extractKernel({
      cacheDirectory: homePaths(config.home).kernels,
      libkrunfwPath: config.libkrunfwPath,
    });
    config.onStarting();
    return await runQemu(program, qemuArguments(config, kernel.path), config.runDirectory);
  },
};

async function runQemu(program: string, args: readonly string[], runDirectory: string): Promise<Machine> {
  const diagnostics = openSync(join(runDirectory, RunFile.diagnostics), "a", 0o600);
  // The kernel kills QEMU when this process ends, however it ends.
  const [file, ...before] = [...diesWithParent(), program];
  const child = spawn(file ?? program, [...before, ...args], { stdio: ["ignore", diagnostics, diagnostics] });
  try {
    await spawned(child, program);
  } finally {
    closeSync(diagnostics);
  }
  const identity = identifyProcess(child.pid ?? 0);
  if (identity !== undefined) recordMachine(runDirectory, identity);
  const exited = new Promise<string>((resolve) =>
    child.once("exit", (code, signal) => resolve(`QEMU ended with ${signal ?? `status ${code}`}`)),
  );
  return { exited, kill: () => child.kill("SIGKILL") };
}

/** A command prefix that ties a program's life to this process's; none where util-linux's setpriv is missing. */
function diesWithParent(): string[] {
  const setpriv = findProgram("setpriv");
  return setpriv === undefined ? [] : [setpriv, "--pdeathsig", "KILL", "--"];
}

function spawned(child: ChildProcess, program: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("spawn", () => resolve());
    child.once("error", (cause) => reject(new IoError(`run ${program}`, program, cause)));
  });
}
