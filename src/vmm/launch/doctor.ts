/**
 * Finds the engine that would run a VM on this machine, and what is missing for the others.
 *
 * @module
 */

import { ENGINE_NAMES, type EngineChoice, type EngineName } from "../../base/engine_name.ts";
import { InternalError, InvalidConfigError, MicrosandboxError } from "../../base/errors.ts";
import { type KvmProbe, probeKvm } from "../../ffi/kvm_probe.ts";
import { findLibkrunfw } from "../../ffi/library_search.ts";
import type { CommonFindings, EngineDevices } from "../engine/checks.ts";
import type { EngineStart } from "../engine/engine.ts";
import {
  type AnyEngineChecks,
  ENGINE_CHECKS,
  type EngineFiles,
  type EngineFindings,
  type EngineProblem,
} from "../engine/engines.ts";
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
    | "libkrunfwMissing"
    | EngineProblem;
  /** What is wrong, for people. */
  readonly message: string;
  /** What to do about it. */
  readonly hint: string;
}

/** One thing that an engine needs, and whether it is there. */
export interface DoctorCheck {
  /** `"KVM"`, or the name of a library or program. */
  readonly name: string;
  /** Its file, or what it can do; `undefined` if it is missing or cannot be used. */
  readonly found: string | undefined;
  /** What is wrong; `undefined` if it was found. */
  readonly problem: DoctorProblem | undefined;
}

/** What {@linkcode doctor} found. */
export interface DoctorReport extends CommonFindings, EngineFindings {
  /** The engine that would be used; `undefined` if none can. */
  readonly engine: EngineName | undefined;
  /** One sentence: why that one. */
  readonly reason: string;
  /** Everything that keeps an engine from running; empty if all run. */
  readonly problems: readonly DoctorProblem[];
  /** Everything that was looked for, in the order in which people want to know. */
  readonly checks: readonly DoctorCheck[];
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
  const files: Partial<Record<keyof EngineFindings, string | undefined>> = {};
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
  const found = { kvm: probe.usable, ...(files as EngineFindings), libkrunfw }; // a field for each row
  return {
    ...found,
    problems,
    checks: checksOf(found, problems),
    ...chooseEngine(wanted, { ...found, problems }),
  };
}

function checksOf(found: CommonFindings & EngineFindings, problems: readonly DoctorProblem[]): DoctorCheck[] {
  const check = (name: string, path: string | undefined, isAbout: (problem: DoctorProblem) => boolean) => {
    return { name, found: path, problem: path === undefined ? problems.find(isAbout) : undefined };
  };
  const kvmKinds: ReadonlySet<string> = new Set(Object.values(KVM_PROBLEMS));
  return [
    check("KVM", found.kvm ? "runs guests" : undefined, ({ kind }) => kvmKinds.has(kind)),
    check("libkrunfw", found.libkrunfw, ({ kind }) => kind === "libkrunfwMissing"),
    ...ENGINE_CHECKS.map(({ file }) =>
      check(file.field, found[file.field], ({ kind }) => kind === file.missing),
    ),
  ];
}

/** An engine that can be used here, with its files. */
export interface SelectedEngine extends EngineStart {
  readonly engine: EngineName;
  readonly kvm: boolean;
  /** What a VM of it can have. */
  readonly devices: EngineDevices;
}

/** The engine to use. @throws {EngineUnavailableError} if the one asked for, or any, cannot run VMs here. */
export async function selectEngine(options: EngineOptions = {}): Promise<SelectedEngine> {
  const report = await doctor({ ...options, trial: false });
  const chosen = ENGINE_CHECKS.find(({ name }) => name === report.engine);
  if (chosen !== undefined) {
    const { libkrunfw, kvm } = report;
    const enginePath = report[chosen.file.field];
    if (enginePath === undefined || libkrunfw === undefined)
      throw new InternalError("an engine was chosen without its files");
    const { name, devices } = chosen;
    return { engine: name, kvm, devices, enginePath, libkrunfwPath: libkrunfw };
  }
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

type Found = CommonFindings & EngineFindings & Pick<DoctorReport, "problems">;

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
  { name, describe }: AnyEngineChecks,
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

const KVM_PROBLEMS = {
  missing: "kvmMissing",
  permission: "kvmPermission",
  noVirtualization: "noVirtualization",
  trialFailed: "kvmTrialFailed",
} as const;

function kvmProblem(engine: EngineName, probe: KvmProbe & { usable: false }): DoctorProblem {
  const { kind, message, hint } = probe.problem;
  return { engine, kind: KVM_PROBLEMS[kind], message, hint };
}

/** An error of ours that says what is missing; anything else is thrown on. */
function knownError(error: unknown): MicrosandboxError {
  if (MicrosandboxError.is(error)) return error;
  throw error;
}
