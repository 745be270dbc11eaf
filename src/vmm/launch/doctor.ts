/**
 * Which engine would run a VM on this machine, and what keeps the others from it.
 *
 * @module
 */
import { statSync } from "node:fs";
import { InvalidConfigError, MicrosandboxError, messageOf } from "../../base/errors.ts";
import { type KvmProbe, probeKvm } from "../../ffi/kvm_probe.ts";
import { findLibkrun, findLibkrunfw } from "../../ffi/library_search.ts";
import { findProgram } from "../../platform/find_program.ts";
import { QEMU_PROGRAM } from "../engine/qemu_command.ts";
import { EngineUnavailableError } from "../errors.ts";
import type { EngineName } from "../host_protocol.ts";

/** Where to look, and what to choose. Each falls back to a variable of the environment, then to a search. */
export interface EngineOptions {
  /** Which engine to use; `"auto"` prefers krun. @default {process.env.MSB_ENGINE ?? "auto"} */
  readonly engine?: EngineName | "auto" | undefined;
  /** File or directory of libkrun. @default {process.env.MSB_LIBKRUN} */
  readonly libkrunPath?: string | undefined;
  /** File or directory of libkrunfw. @default {process.env.MSB_LIBKRUNFW} */
  readonly libkrunfwPath?: string | undefined;
  /** QEMU's program. @default {process.env.MSB_QEMU} */
  readonly qemuPath?: string | undefined;
}

/** One thing that is not as an engine needs it. */
export interface DoctorProblem {
  /** The engine that it keeps from running, or slows down. */
  readonly engine: EngineName;
  readonly kind:
    | "kvmMissing"
    | "kvmPermission"
    | "noVirtualization"
    | "kvmTrialFailed"
    | "libkrunMissing"
    | "libkrunfwMissing"
    | "qemuMissing";
  readonly message: string;
  /** What to do about it. */
  readonly hint: string;
}

/** What {@linkcode doctor} found. */
export interface DoctorReport {
  /** The engine that would be used; `undefined` if none can. */
  readonly engine: EngineName | undefined;
  /** One sentence: why that one. */
  readonly reason: string;
  /** Whether KVM runs guests here. Without it, QEMU emulates the processor. */
  readonly kvm: boolean;
  readonly libkrun: string | undefined;
  readonly libkrunfw: string | undefined;
  readonly qemu: string | undefined;
  readonly problems: readonly DoctorProblem[];
}

/**
 * Examines the machine; never throws because of what it finds. With `trial`, KVM has to run a few instructions, which
 * takes as long as a process takes to start; without, its device and the processor's flags are looked at.
 *
 * @example
 * ```ts no-vm
 * import { doctor } from "microsandbox";
 *
 * const report = await doctor();
 * console.log(report.reason);
 * for (const { message, hint } of report.problems) console.log(`- ${message}: ${hint}`);
 * ```
 */
export async function doctor(
  options: EngineOptions & { readonly trial?: boolean | undefined } = {},
): Promise<DoctorReport> {
  const problems: DoctorProblem[] = [];
  const locate = (
    kind: "libkrunMissing" | "libkrunfwMissing",
    engines: readonly EngineName[],
    find: () => string,
  ) => {
    try {
      return find();
    } catch (error) {
      const hint = MicrosandboxError.is(error) ? (error.hint ?? "") : "";
      for (const engine of engines)
        problems.push({ engine, kind, message: firstLine(messageOf(error)), hint });
      return undefined;
    }
  };
  const { libkrunPath, libkrunfwPath } = options;
  const libkrun = locate("libkrunMissing", ["krun"], () => findLibkrun({ path: libkrunPath }).path);
  const libkrunfw = locate(
    "libkrunfwMissing",
    ["krun", "qemu"],
    () => findLibkrunfw({ path: libkrunfwPath }).path,
  );
  const probe = await probeKvm({ trial: options.trial ?? true });
  if (!probe.usable) problems.push(kvmProblem(probe));
  const qemu = locateQemu(options.qemuPath ?? (process.env["MSB_QEMU"] || undefined));
  if (qemu === undefined) {
    problems.push({
      engine: "qemu",
      kind: "qemuMissing",
      message: `${QEMU_PROGRAM} is not installed`,
      hint: "apt-get install qemu-system-x86",
    });
  }
  const found = { kvm: probe.usable, libkrun, libkrunfw, qemu, problems };
  return { ...found, ...chooseEngine(wantedEngine(options), found) };
}

/** The engine to use. @throws {EngineUnavailableError} if it, or any, cannot run VMs here. */
export async function selectEngine(
  options: EngineOptions = {},
): Promise<DoctorReport & { readonly engine: EngineName }> {
  const report = await doctor({ ...options, trial: false });
  const { engine } = report;
  if (engine === undefined) {
    const hints = [...new Set(report.problems.map(({ hint }) => hint))].filter((hint) => hint !== "");
    throw new EngineUnavailableError([report.reason], { hint: hints.join("; or ") });
  }
  return { ...report, engine };
}

type Found = Omit<DoctorReport, "engine" | "reason">;

/** The decision, from what was found. */
export function chooseEngine(
  wanted: EngineName | "auto",
  found: Found,
): Pick<DoctorReport, "engine" | "reason"> {
  const krunWorks = found.kvm && found.libkrun !== undefined && found.libkrunfw !== undefined;
  const qemuWorks = found.qemu !== undefined && found.libkrunfw !== undefined;
  const blocks = (engine: EngineName) =>
    found.problems
      .filter((problem) => problem.engine === engine)
      .map(({ message }) => message)
      .join("; ");
  if (wanted !== "qemu" && krunWorks) return { engine: "krun", reason: "krun: KVM and libkrun are there" };
  if (wanted === "krun") return { engine: undefined, reason: `krun was asked for, but ${blocks("krun")}` };
  if (!qemuWorks) {
    const krun =
      wanted === "auto"
        ? `krun cannot be used (${blocks("krun")}), and neither can qemu`
        : "qemu cannot be used";
    return { engine: undefined, reason: `${krun} (${blocks("qemu")})` };
  }
  const speed = found.kvm ? "with KVM" : "by emulation, which is slow";
  return {
    engine: "qemu",
    reason: wanted === "qemu" ? `qemu was asked for: ${speed}` : `qemu ${speed}, as ${blocks("krun")}`,
  };
}

function wantedEngine(options: EngineOptions): EngineName | "auto" {
  const chosen = options.engine ?? (process.env["MSB_ENGINE"] || "auto");
  if (chosen === "krun" || chosen === "qemu" || chosen === "auto") return chosen;
  throw new InvalidConfigError([
    { field: "engine", problem: `must be krun, qemu or auto: current value is ${chosen}` },
  ]);
}

function kvmProblem(probe: KvmProbe & { usable: false }): DoctorProblem {
  const kinds = {
    missing: "kvmMissing",
    permission: "kvmPermission",
    noVirtualization: "noVirtualization",
    trialFailed: "kvmTrialFailed",
  } as const;
  const { kind, message, hint } = probe.problem;
  return { engine: "krun", kind: kinds[kind], message, hint };
}

function locateQemu(chosen: string | undefined): string | undefined {
  if (chosen === undefined) return findProgram(QEMU_PROGRAM);
  return statSync(chosen, { throwIfNoEntry: false })?.isFile() ? chosen : findProgram(chosen);
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
