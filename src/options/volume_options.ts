/**
 * What a caller may ask of a volume, checked.
 *
 * @module
 */
import { z } from "zod";
import { MiB } from "../base/bytes.ts";
import { withoutUndefined } from "../base/defined.ts";
import { type ConfigIssue, InvalidConfigError } from "../base/errors.ts";
import { parseConfig } from "../base/parse_config.ts";
import type { VolumeKind } from "../state/volumes.ts";
import { labelsSchema } from "./labels.ts";
import { nameSchema } from "./names.ts";

export type { VolumeKind } from "../state/volumes.ts";

/**
 * What happens if a volume exists, or does not. `"existing"`: it must exist. `"create"`: it must not exist, and is made.
 * `"ensure"`: it is made if it does not exist.
 */
export type VolumeMode = "existing" | "create" | "ensure";

/** What a new volume is like. */
export interface VolumeSpec {
  /** Whether it is a directory or a disk. @default {"directory"} */
  readonly kind?: VolumeKind | undefined;
  /** Size of a disk in MiB, from 16 to 16,777,216. It takes space only as it is written. @default {4096} */
  readonly sizeMiB?: number | undefined;
  /** Labels to find it by; at most 64, keys of 1 to 128 and values of at most 1024 characters. @default none */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** Options of `Volume.create()`. */
export interface VolumeCreateOptions extends VolumeSpec {
  /** 1 to 128 bytes of letters, digits, `.`, `_` and `-`; the first a letter or digit. Unique in a home. */
  readonly name: string;
}

/** A volume to make, checked. */
export interface VolumeConfig {
  readonly name: string;
  readonly kind: VolumeKind;
  /** `undefined` for a directory. */
  readonly sizeMiB: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** A requested volume: an existing one, or a new one. */
export interface VolumeRequest {
  readonly name: string;
  readonly mode: VolumeMode;
  /** The requested properties, which an existing one must have. */
  readonly wanted: Pick<VolumeSpec, "kind" | "sizeMiB">;
  /** The properties of a new one. */
  readonly config: VolumeConfig;
}

const SIZE_MIB_MIN = 16;
const SIZE_MIB_MAX = 16 * 1024 * 1024;
const SIZE_MIB_DEFAULT = 4096;

/** The fields of {@linkcode VolumeSpec}. */
export const volumeSpecShape = {
  kind: z.enum(["directory", "disk"]).optional(),
  sizeMiB: z.int().min(SIZE_MIB_MIN).max(SIZE_MIB_MAX).optional(),
  labels: labelsSchema.optional(),
} as const;

const createSchema = z.strictObject({ name: nameSchema, ...volumeSpecShape });

/** Checks the options of a new volume. @throws {InvalidConfigError} */
export function parseVolumeOptions(options: VolumeCreateOptions): VolumeConfig {
  const given = typeof options === "object" && options !== null ? withoutUndefined(options) : options;
  const { name, ...spec } = parseConfig(createSchema, given, "options");
  const problem = specProblem(spec);
  if (problem !== undefined) throw new InvalidConfigError([problem]);
  return volumeConfig(name, spec);
}

/** @throws {InvalidConfigError} if no volume can have that name. */
export function checkVolumeName(name: string): string {
  return parseConfig(nameSchema, name, "name");
}

/** Options that exclude each other. */
export function specProblem({ kind = "directory", sizeMiB }: VolumeSpec): ConfigIssue | undefined {
  if (kind === "disk" || sizeMiB === undefined) return undefined;
  return {
    field: "sizeMiB",
    problem: 'is for disks only, with kind: "disk": what a directory takes of this machine has no limit',
  };
}

/** A new volume, with defaults filled in. */
export function volumeConfig(name: string, spec: VolumeSpec): VolumeConfig {
  const { kind = "directory", sizeMiB = SIZE_MIB_DEFAULT, labels = {} } = spec;
  return { name, kind, sizeMiB: kind === "disk" ? sizeMiB : undefined, labels };
}

/** Checks that an existing volume is what was asked for. @throws {InvalidConfigError} if it is not. */
export function checkWanted(
  { name, wanted }: VolumeRequest,
  found: { readonly kind: VolumeKind; readonly sizeBytes: number | undefined },
): void {
  const issues: ConfigIssue[] = [];
  if (wanted.kind !== undefined && wanted.kind !== found.kind)
    issues.push({ field: "kind", problem: `the volume ${JSON.stringify(name)} is a ${found.kind}` });
  else if (wanted.sizeMiB !== undefined && wanted.sizeMiB * MiB !== found.sizeBytes)
    issues.push({
      field: "sizeMiB",
      problem: `the volume ${JSON.stringify(name)} has ${(found.sizeBytes ?? 0) / MiB} MiB`,
    });
  if (issues.length > 0) throw new InvalidConfigError(issues);
}
