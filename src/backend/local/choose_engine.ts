/**
 * The engine of a boot, with what the caller should know about it.
 *
 * @module
 */
import type { EngineChoice } from "../../base/engine_name.ts";
import { type SelectedEngine, selectEngine } from "../../vmm/launch/doctor.ts";

let isSlownessTold = false;

/** @throws {EngineUnavailableError} if it, or any, cannot run VMs here. */
export async function chooseEngine(wanted: EngineChoice | undefined): Promise<SelectedEngine> {
  const selected = await selectEngine({ engine: wanted });
  if (!selected.kvm && !isSlownessTold) {
    isSlownessTold = true;
    process.emitWarning("sandboxes run by emulation, which is slow: doctor() says why", {
      code: "MSB_EMULATION",
    });
  }
  return selected;
}
