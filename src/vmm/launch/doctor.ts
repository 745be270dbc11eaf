/**
 * Finds the engine that would run a VM on this machine, and what is missing for the others.
 *
 * @module
 */

import { ENGINE_NAMES, type EngineChoice, type EngineName } from "../../base/engine_name.ts";
import { InternalError, InvalidConfigError, MicrosandboxError } from "../../base/errors.ts";
import { type KvmProbe, probeKvm } from "../../ffi/kvm_probe.ts";
import { findLibkrunfw } from "../../ffi/library_search.ts";
import type { EngineChecks, EngineFiles } from "../engine/checks.ts";
import { ENGINE_CHECKS } from "../engine/engines.ts";
import { EngineUnavailableError } from "../errors.ts";

/** Which engine to use, and where its files are. */
export interface EngineOptions extends EngineFiles {
  /** Which engine to use; `"auto"` prefers krun. @default {process.env.MSB_ENGINE ?? "auto"} */
  readonly engine?: EngineChoice | undefined;
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
  const files: { libkrun: string | undefined; qemu: string | undefined } = {
    libkrun: undefined,
    qemu: undefined,
  };
  for (const { name, file } of ENGINE_CHECKS)
    files[file.field] = locate(file.missing, [name], () => file.find(options));
  const libkrunfw = locate(
    "libkrunfwMissing",
    ENGINE_NAMES,
    () => findLibkrunfw({ path: options.libkrunfwPath }).path,
  );
  const probe = await probeKvm({ trial: options.trial ?? true });
  if (!probe.usable)
    for (const { name } of ENGINE_CHECKS.filter(({ needsKvm }) => needsKvm))
      problems.push(kvmProblem(name, probe));
  const found = { kvm: probe.usable, ...files, libkrunfw, problems };
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

type Found = Omit<DoctorReport, "engine" | "reason">;

/** Decides by what was found: the engine that was asked for, or the first that works. */
export function chooseEngine(wanted: EngineChoice, found: Found): Pick<DoctorReport, "engine" | "reason"> {
  const blocks = (engine: EngineName) =>
    found.problems
      .filter((problem) => problem.engine === engine)
      .map(({ message }) => message)
      .join("; ");
  const candidates = ENGINE_CHECKS.filter(({ name }) => wanted === "auto" || name === wanted);
  const chosen = candidates.find(({ works }) => works(found));
  if (chosen !== undefined) {
    const skipped = candidates.slice(0, candidates.indexOf(chosen)).map(({ name }) => blocks(name));
    return { engine: chosen.name, reason: reasonFor(chosen, found, wanted, skipped) };
  }
  const [first, ...others] = candidates.map(({ name }) => ({ name, problems: blocks(name) }));
  if (first === undefined) throw new InternalError(`there is no engine called ${wanted}`);
  if (wanted !== "auto")
    return { engine: undefined, reason: `${wanted} was asked for, but ${first.problems}` };
  const rest = others.map(({ name, problems }) => `, and neither can ${name} (${problems})`).join("");
  return { engine: undefined, reason: `${first.name} cannot be used (${first.problems})${rest}` };
}

function reasonFor(
  { name, describe }: EngineChecks,
  found: Found,
  wanted: EngineChoice,
  skipped: readonly string[],
): string {
  if (skipped.length > 0) return `${name} ${describe(found)}, as ${skipped.join("; ")}`;
  const isDefault = wanted === "auto" || name === ENGINE_NAMES[0];
  return isDefault ? `${name}: ${describe(found)}` : `${name} was asked for: ${describe(found)}`;
}

function wantedEngine(options: EngineOptions): EngineChoice {
  const chosen = options.engine ?? (process.env["MSB_ENGINE"] || "auto");
  const known = [...ENGINE_NAMES, "auto"] as const;
  const choice = known.find((name) => name === chosen);
  if (choice !== undefined) return choice;
  throw new InvalidConfigError([
    { field: "engine", problem: `must be ${ENGINE_NAMES.join(", ")} or auto: current value is ${chosen}` },
  ]);
}

function kvmProblem(engine: EngineName, probe: KvmProbe & { usable: false }): DoctorProblem {
  const kinds = {
    missing: "kvmMissing",
    permission: "kvmPermission",
    noVirtualization: "noVirtualization",
    trialFailed: "kvmTrialFailed",
  } as const;
  const { kind, message, hint } = probe.problem;
  return { engine, kind: kinds[kind], message, hint };
}

/** An error of ours that says what is missing; anything else is thrown on. */
function knownError(error: unknown): MicrosandboxError {
  if (MicrosandboxError.is(error)) return error;
  throw error;
}
