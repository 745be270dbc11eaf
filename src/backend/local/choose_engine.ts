/**
 * The engine of a boot, with what the caller should know about it.
 *
 * @module
 */
import type { EngineChoice, EngineName } from "../../base/engine_name.ts";
import { InternalError } from "../../base/errors.ts";
import { type DoctorReport, selectEngine } from "../../vmm/launch/doctor.ts";

/** An engine that can be used here. */
export type ChosenEngine = DoctorReport & { readonly engine: EngineName };

let isSlownessTold = false;

/** @throws {EngineUnavailableError} if it, or any, cannot run VMs here. */
export async function chooseEngine(wanted: EngineChoice | undefined): Promise<ChosenEngine> {
  const report = await selectEngine({ engine: wanted });
  if (report.engine === "qemu" && !report.kvm && !isSlownessTold) {
    isSlownessTold = true;
    process.emitWarning("sandboxes run by emulation, which is slow: doctor() says why", {
      code: "MSB_EMULATION",
    });
  }
  if (report.libkrunfw === undefined) throw new InternalError("an engine was chosen without a kernel");
  return report;
}
