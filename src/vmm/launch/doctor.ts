/**
 * Finds the engine that would run a VM on this machine, and what is missing for the others.
 *
 * @module
 */

import { statSync } from "node:fs";
import { resolve } from "node:path";
import type { EngineChoice, EngineName } from "../../base/engine_name.ts";
import { InvalidConfigError, MicrosandboxError, UnsupportedError } from "../../base/errors.ts";
import { type KvmProbe, probeKvm } from "../../ffi/kvm_probe.ts";
import { findLibkrun, findLibkrunfw } from "../../ffi/library_search.ts";
import { findProgram, isProgram } from "../../platform/find_program.ts";
import { checkTrusted } from "../../platform/trust.ts";
import { QEMU_PROGRAM } from "../engine/qemu_command.ts";
import { EngineUnavailableError } from "../errors.ts";

/** Which engine to use, and where its files are. By default, variables of the environment decide, and then a search. */
export interface EngineOptions {
  /** Which engine to use; `"auto"` prefers krun. @default {process.env.MSB_ENGINE ?? "auto"} */
  readonly engine?: EngineChoice | undefined;
  /** File or directory of libkrun. @default {process.env.MSB_LIBKRUN} */
  readonly libkrunPath?: string | undefined;
  /** File or directory of libkrunfw. @default {process.env.MSB_LIBKRUNFW} */
  readonly libkrunfwPath?: string | undefined;
  /** QEMU's program. @default {process.env.MSB_QEMU} */
  readonly qemuPath?: string | undefined;
}

/** Something that an engine needs and that is missing, or cannot be used. */
export interface DoctorProblem {
  /** The engine that cannot run because of it, or runs slowly. */
  readonly engine: EngineName;
  /** What is missing, for programs. */
  readonly kind:
    | "kvmMissing"
    | "kvmPermission"
    | "noVirtualization"
    | "kvmTrialFailed"
    | "libkrunMissing"
    | "libkrunfwMissing"
    | "qemuMissing";
  /** What is wrong, for people. */
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
  /** File of libkrun, if there is one that can be used. */
  readonly libkrun: string | undefined;
  /** File of libkrunfw, if there is one that can be used. */
  readonly libkrunfw: string | undefined;
  /** QEMU's program, if there is one that can be used. */
  readonly qemu: string | undefined;
  /** Everything that keeps an engine from running; empty if both run. */
  readonly problems: readonly DoctorProblem[];
}

/**
 * Examines the machine. Reports what is missing, and never throws because of it.
 *
 * Libraries and programs that another user of this machine could have put there, or could replace, count as missing: the
 * problem's message names the file or directory, and its hint the fix.
 *
 * With `trial`, which is the default, KVM has to run a few instructions. That takes as long as a process takes to start.
 * Without it, only KVM's device and the processor's flags are checked.
 *
 * @throws {InvalidConfigError} if `engine` or `MSB_ENGINE` is not the name of an engine.
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
  const wanted = wantedEngine(options);
  const problems: DoctorProblem[] = [];
  const locate = (kind: DoctorProblem["kind"], engines: readonly EngineName[], find: () => string) => {
    try {
      return find();
    } catch (error) {
      const { summary: message, hint = "" } = knownError(error);
      for (const engine of engines) problems.push({ engine, kind, message, hint });
      return undefined;
    }
  };
  const { libkrunPath, libkrunfwPath, qemuPath = process.env["MSB_QEMU"] || undefined } = options;
  const libkrun = locate("libkrunMissing", ["krun"], () => findLibkrun({ path: libkrunPath }).path);
  const libkrunfw = locate(
    "libkrunfwMissing",
    ["krun", "qemu"],
    () => findLibkrunfw({ path: libkrunfwPath }).path,
  );
  const probe = await probeKvm({ trial: options.trial ?? true });
  if (!probe.usable) problems.push(kvmProblem(probe));
  const qemu = locate("qemuMissing", ["qemu"], () => locateQemu(qemuPath));
  const found = { kvm: probe.usable, libkrun, libkrunfw, qemu, problems };
  return { ...found, ...chooseEngine(wanted, found) };
}

/** The engine to use. @throws {EngineUnavailableError} if the one asked for, or any, cannot run VMs here. */
export async function selectEngine(
  options: EngineOptions = {},
): Promise<DoctorReport & { readonly engine: EngineName }> {
  const report = await doctor({ ...options, trial: false });
  const { engine } = report;
  if (engine !== undefined) return { ...report, engine };
  const wanted = wantedEngine(options);
  const relevant = report.problems.filter((problem) => wanted === "auto" || problem.engine === wanted);
  const hints = new Set(relevant.map(({ hint }) => hint).filter((hint) => hint !== ""));
  throw new EngineUnavailableError(problemLines(relevant), { hint: [...hints].join("; or ") });
}

/** A line for each problem, with the engines that have it. */
function problemLines(problems: readonly DoctorProblem[]): string[] {
  const engines = new Map<string, EngineName[]>();
  for (const { message, engine } of problems) engines.set(message, [...(engines.get(message) ?? []), engine]);
  return [...engines].map(([message, names]) => `${names.join(", ")}: ${message}`);
}

const QEMU_INSTALL_HINT = `apt-get install ${process.arch === "arm64" ? "qemu-system-arm" : "qemu-system-x86"}`;

type Found = Omit<DoctorReport, "engine" | "reason">;

/** The decision, from what was found. */
export function chooseEngine(wanted: EngineChoice, found: Found): Pick<DoctorReport, "engine" | "reason"> {
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

function wantedEngine(options: EngineOptions): EngineChoice {
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

/** @throws {UnsupportedError | UntrustedPathError} if there is none that can be used. */
function locateQemu(chosen: string | undefined): string {
  if (chosen !== undefined && statSync(chosen, { throwIfNoEntry: false })?.isFile()) {
    const path = resolve(chosen); // the VM host process has another working directory
    if (!isProgram(path))
      throw new UnsupportedError(`${path} cannot be executed`, { hint: `chmod u+x ${path}` });
    checkTrusted(path);
    return path;
  }
  const program = findProgram(chosen ?? QEMU_PROGRAM);
  if (program !== undefined) return program;
  if (chosen === undefined)
    throw new UnsupportedError(`${QEMU_PROGRAM} is not installed`, { hint: QEMU_INSTALL_HINT });
  throw new UnsupportedError(`Cannot find QEMU: ${chosen} is neither a program nor the name of one in PATH`, {
    hint: "correct MSB_QEMU, or unset it",
  });
}

/** An error of ours that says what is missing; anything else is thrown on. */
function knownError(error: unknown): MicrosandboxError {
  if (MicrosandboxError.is(error)) return error;
  throw error;
}
