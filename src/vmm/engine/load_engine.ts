/** Loads an engine in the VM host process; only the one in use. @module */
import type { EngineName } from "../../base/engine_name.ts";
import type { Engine } from "./engine.ts";

const ENGINES: Readonly<Record<EngineName, () => Promise<Engine>>> = {
  krun: async () => (await import("./krun/krun.ts")).krunEngine,
  qemu: async () => (await import("./qemu/qemu.ts")).qemuEngine,
};

/** Loads the engine of that name. */
export function loadEngine(name: EngineName): Promise<Engine> {
  return ENGINES[name]();
}
