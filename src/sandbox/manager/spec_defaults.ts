/**
 * What a spec does not say, `SandboxManager` takes from its defaults.
 *
 * @module
 */
import { withoutUndefined } from "../../base/defined.ts";
import type { SandboxSpec } from "./types.ts";

export type SpecDefaults = Omit<SandboxSpec, "name">;

/** What is asked for over what is usual. What says where a sandbox begins, or what it writes to, says all of that. */
export function withDefaults(defaults: SpecDefaults, wanted: SandboxSpec): SandboxSpec {
  const spec = withoutUndefined(wanted);
  const { image, rootDirectory, fromSnapshot, diskMiB, rootDisk, ...others } = defaults;
  const saysOrigin = [spec.image, spec.rootDirectory, spec.fromSnapshot].some((value) => value !== undefined);
  const saysDisk = [spec.diskMiB, spec.rootDisk, spec.fromSnapshot].some((value) => value !== undefined);
  return {
    ...others,
    ...(saysOrigin ? {} : withoutUndefined({ image, rootDirectory, fromSnapshot })),
    ...(saysDisk ? {} : withoutUndefined({ diskMiB, rootDisk })),
    ...spec,
  };
}
