/**
 * The engines of this release, as the VM host process knows them. It loads only the one in use.
 *
 * @module
 */
import type { EngineName } from "../../base/engine_name.ts";
import type { Engine, EngineStart } from "./engine.ts";
import { startKrunThread } from "./krun/krun_thread.ts";

interface EngineLoader {
  /** Sets off what takes long, before anything else is loaded; a module that does this imports next to nothing. */
  readonly begin?: (start: EngineStart) => void;
  readonly load: () => Promise<Engine>;
}

const ENGINES: Readonly<Record<EngineName, EngineLoader>> = {
  krun: { begin: startKrunThread, load: async () => (await import("./krun/krun.ts")).krunEngine },
  qemu: { load: async () => (await import("./qemu/qemu.ts")).qemuEngine },
};

/** Sets off what the engine needs long for. */
export function beginEngine(name: EngineName, start: EngineStart): void {
  ENGINES[name].begin?.(start);
}

/** Loads the engine of that name. */
export function loadEngine(name: EngineName): Promise<Engine> {
  return ENGINES[name].load();
}
