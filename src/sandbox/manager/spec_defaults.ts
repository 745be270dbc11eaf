/**
 * What a spec does not say, `SandboxManager` takes from its defaults.
 *
 * @module
 */
import { withoutUndefined } from "../../base/defined.ts";
import type { SandboxSpec } from "./types.ts";

export type SpecDefaults = Omit<SandboxSpec, "name">;

/** What is asked for over what is usual. A sandbox made of a snapshot has no image or disk from elsewhere. */
export function withDefaults(defaults: SpecDefaults, wanted: SandboxSpec): SandboxSpec {
  const spec = withoutUndefined(wanted);
  const { image, fromSnapshot, diskMiB, rootDisk, ...others } = defaults;
  if (spec.fromSnapshot !== undefined) return { ...others, ...spec };
  if (spec.image !== undefined)
    return {
      ...others,
      ...(spec.rootDisk === undefined && spec.diskMiB === undefined ? { diskMiB, rootDisk } : {}),
      ...spec,
    };
  return { ...defaults, ...spec };
}
