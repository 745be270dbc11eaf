/**
 * Whether KVM can run an ordinary guest here. A `/dev/kvm` that exists, and even one that opens, may not.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { errnoOf, messageOf } from "../base/errors.ts";
import { packagedFile } from "../platform/asset.ts";
import { runtimeCommand, runtimeEnvironment } from "../platform/runtime.ts";
import type { KvmTrialResult } from "./kvm_trial.ts";

/** Why KVM cannot be used. */
export interface KvmProblem {
  readonly kind: "missing" | "permission" | "noVirtualization" | "trialFailed";
  readonly message: string;
  /** What the reader can do about it. */
  readonly hint: string;
}

/** What {@linkcode probeKvm} found. */
export type KvmProbe =
  | { readonly usable: true; readonly problem?: undefined }
  | { readonly usable: false; readonly problem: KvmProblem };

/** Options of {@linkcode probeKvm}. The paths are for tests. */
export interface KvmProbeOptions {
  /**
   * Run a few instructions in a VM, in a process of their own, if everything else looks well. It takes about as long as
   * the runtime needs to start; without it the answer takes less than a millisecond.
   *
   * @default {true}
   */
  trial?: boolean | undefined;
  /** Milliseconds after which a trial has failed. @default {15_000} */
  trialTimeoutMs?: number | undefined;
  /** @default {"/dev/kvm"} */
  devicePath?: string | undefined;
  /** @default {"/proc/cpuinfo"} */
  cpuInfoPath?: string | undefined;
}

const MISSING_HINT =
  "enable virtualisation in the firmware and load kvm_intel or kvm_amd; in a container, pass the device in";
const PERMISSION_HINT = "add the user to the group kvm (usermod -aG kvm USER) and log in again";

/** A processor takes about 1 ns for an iteration of the trial's loop; a host that emulates each step takes 1,000. */
const TRIAL_NS_PER_ITERATION_MAX = 500;
const TRIALS_MAX = 3;
const NS_PER_MS = 1_000_000;
const TRIAL_OUTPUT_BYTES_MAX = 64 * 1024;

/**
 * Looks, cheapest first, whether KVM is there, may be opened, has a processor behind it that can virtualise, and really
 * runs a guest at the processor's speed. Never throws: whatever goes wrong is a problem to report.
 *
 * @example
 * ```ts
 * const { usable, problem } = await probeKvm();
 * if (!usable) console.warn(problem.message, problem.hint);
 * ```
 */
export async function probeKvm(options: KvmProbeOptions = {}): Promise<KvmProbe> {
  const problem = findDeviceProblem(options.devicePath ?? "/dev/kvm") ?? findCpuProblem(options.cpuInfoPath);
  if (problem !== undefined) return { usable: false, problem };
  if (options.trial === false) return { usable: true };
  const failure = await findTrialProblem(options.trialTimeoutMs ?? 15_000);
  return failure === undefined ? { usable: true } : { usable: false, problem: failure };
}

/** A busy host can make one trial look slow: only a trial that stays slow speaks against KVM. */
async function findTrialProblem(timeoutMs: number): Promise<KvmProblem | undefined> {
  for (let trial = 1; ; trial++) {
    const result = await runTrial(timeoutMs);
    const problem = judgeTrial(result);
    if (problem === undefined || result.outcome === "failed" || trial === TRIALS_MAX) return problem;
  }
}

function findDeviceProblem(path: string): KvmProblem | undefined {
  if (!existsSync(path)) {
    return {
      kind: "missing",
      message: `${path} does not exist`,
      hint: MISSING_HINT,
    };
  }
  try {
    closeSync(openSync(path, "r+"));
    return undefined;
  } catch (error) {
    const isRefused = ["EACCES", "EPERM", "EROFS"].includes(errnoOf(error) ?? "");
    return {
      kind: isRefused ? "permission" : "missing",
      message: `${path} cannot be opened: ${messageOf(error)}`,
      hint: isRefused ? PERMISSION_HINT : MISSING_HINT,
    };
  }
}

/** On x86 a processor that can virtualise says so; guests of other kinds of hosts may see a `/dev/kvm` without it. */
function findCpuProblem(cpuInfoPath = "/proc/cpuinfo"): KvmProblem | undefined {
  if (process.arch !== "x64") return undefined;
  let cpuInfo: string;
  try {
    cpuInfo = readFileSync(cpuInfoPath, "utf8");
  } catch {
    return undefined; // nothing known: the trial decides
  }
  if (!/^flags\s*:/m.test(cpuInfo) || /^flags\s*:.*\b(vmx|svm)\b/m.test(cpuInfo)) return undefined;
  return {
    kind: "noVirtualization",
    message: "the processor offers neither VMX nor SVM, so KVM cannot run an ordinary guest",
    hint: "on a virtual machine, have its host enable nested virtualisation",
  };
}

function runTrial(timeoutMs: number): Promise<KvmTrialResult> {
  const trial = packagedFile(new URL("./kvm_trial.ts", import.meta.url), "src/ffi/kvm_trial.ts");
  const { file, args } = runtimeCommand(trial);
  const options = {
    cwd: "/", // Bun runs what the bunfig.toml of the working directory preloads
    env: runtimeEnvironment(),
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    maxBuffer: TRIAL_OUTPUT_BYTES_MAX,
  } as const;
  return new Promise((resolve) => {
    execFile(file, [...args], options, (error, stdout) => {
      if (error === null) return resolve(parseTrial(stdout));
      const problem = error.killed ? `it did not end in ${timeoutMs} ms` : messageOf(error);
      resolve({ outcome: "failed", problem });
    });
  });
}

function parseTrial(output: string): KvmTrialResult {
  try {
    return JSON.parse(output) satisfies KvmTrialResult; // our own program's words
  } catch {
    return { outcome: "failed", problem: `it printed ${JSON.stringify(output.slice(0, 200))}` };
  }
}

/** What a trial's result says against KVM; `undefined` = nothing. */
export function judgeTrial(result: KvmTrialResult): KvmProblem | undefined {
  if (result.outcome === "failed") {
    return {
      kind: "trialFailed",
      message: `a trial run in a VM failed: ${result.problem}`,
      hint: "another hypervisor may hold the processor's virtualisation; see the kernel's log",
    };
  }
  if (result.runMs * NS_PER_MS <= result.iterations * TRIAL_NS_PER_ITERATION_MAX) return undefined;
  return {
    kind: "trialFailed",
    message: `a trial run of ${result.iterations} iterations in a VM took ${result.runMs} ms: KVM emulates each instruction`,
    hint: "this host's KVM runs only guests made for it; use a host with VMX or SVM",
  };
}
