/** The engines of this release, as the user's process knows them: a row of checks each. See also `load_engine.ts`. @module */
import { ENGINE_NAMES, type EngineName } from "../../base/engine_name.ts";
import type { EngineChecks } from "./checks.ts";
import { krunChecks } from "./krun/checks.ts";
import { qemuChecks } from "./qemu/checks.ts";

const CHECKS: Readonly<Record<EngineName, EngineChecks>> = { krun: krunChecks, qemu: qemuChecks };

/** In the order in which `"auto"` tries them. */
export const ENGINE_CHECKS: readonly EngineChecks[] = ENGINE_NAMES.map((name) => CHECKS[name]);
