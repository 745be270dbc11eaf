/** The engines of this release, as the user's process knows them: a row and its types each. See also `load_engine.ts`. @module */
import { ENGINE_NAMES, type EngineName } from "../../base/engine_name.ts";
import type { EngineChecks, KernelFiles } from "./checks.ts";
import { type KrunFiles, type KrunFindings, type KrunProblem, krunChecks } from "./krun/checks.ts";
import { type QemuFiles, type QemuFindings, type QemuProblem, qemuChecks } from "./qemu/checks.ts";

/** Where the engines' files are. By default, variables of the environment decide, and then a search. */
export interface EngineFiles extends KernelFiles, KrunFiles, QemuFiles {}

/** What of each engine is on this machine. */
export interface EngineFindings extends KrunFindings, QemuFindings {}

/** The library or program that an engine misses. */
export type EngineProblem = KrunProblem | QemuProblem;

/** The checks of any engine. */
export type AnyEngineChecks = EngineChecks<EngineFiles, EngineFindings, EngineProblem>;

const CHECKS: Readonly<Record<EngineName, AnyEngineChecks>> = { krun: krunChecks, qemu: qemuChecks };

/** In the order in which `"auto"` tries them. */
export const ENGINE_CHECKS: readonly AnyEngineChecks[] = ENGINE_NAMES.map((name) => CHECKS[name]);
