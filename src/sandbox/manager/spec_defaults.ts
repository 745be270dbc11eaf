/**
 * What a spec does not say, `SandboxManager` takes from its defaults.
 *
 * @module
 */
import { withoutUndefined } from "../../base/defined.ts";
import type { SandboxSpec } from "./types.ts";

export type SpecDefaults = Omit<SandboxSpec, "name">;

/** Requested options over defaults. An option about the origin, or about where writes go, replaces all defaults about it. */
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
