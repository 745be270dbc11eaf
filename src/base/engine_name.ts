/** What can run a VM. @module */

/** The engines, in the order in which `"auto"` tries them. */
export const ENGINE_NAMES: readonly ["krun", "qemu"] = ["krun", "qemu"];

/** A program or library that runs VMs. */
export type EngineName = (typeof ENGINE_NAMES)[number];

/** One engine, or `"auto"`: the first that works on this machine. */
export type EngineChoice = EngineName | "auto";
