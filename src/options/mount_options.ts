/**
 * What a caller may mount in a sandbox, checked.
 *
 * @module
 */
import { realpathSync, type Stats, statSync } from "node:fs";
import { z } from "zod";
import { MiB } from "../base/bytes.ts";
import { type ConfigIssue, errnoOf, InvalidConfigError, messageOf } from "../base/errors.ts";
import { isBelow } from "../base/is_below.ts";
import { parseConfig } from "../base/parse_config.ts";
import {
  DISK_FILE_SYSTEMS,
  DISK_IMAGE_FORMATS,
  type DiskFileSystem,
  type DiskImageFormat,
  type DiskMountOptions,
  diskProblem,
} from "./disk_mount.ts";
import { MOUNT_FORMS, oneKind } from "./mount_form.ts";
import { nameSchema } from "./names.ts";
import type { RootDiskConfig } from "./root_disk.ts";
import {
  specProblem,
  type VolumeMode,
  type VolumeRequest,
  type VolumeSpec,
  volumeConfig,
  volumeSpecShape,
} from "./volume_options.ts";

/** Mounts of one sandbox. */
export const MOUNTS_MAX = 64;
const TARGET_BYTES_MAX = 4095;
const MEMORY_MIB_DEFAULT = 64;
const ID_MAX = 0xffff_fffe;

/** Directories of the guest that belong to its kernel and its agent. */
const RESERVED = ["/", "/proc", "/sys", "/dev"] as const;

/** A directory, or a file, of this machine. */
export interface BindMountOptions {
  /** Its path here. */
  readonly bind: string;
  /** Whether every change is refused on this machine, whatever the guest does. @default {false} */
  readonly readonly?: boolean | undefined;
  /** Whether programs in it cannot be run. @default {false} */
  readonly noExec?: boolean | undefined;
  /**
   * Whom the files of this machine's user belong to in the sandbox; those of others belong to 65534. New files belong
   * to this machine's user, who is the owner of the directory.
   *
   * @default the sandbox's user if it is given by numbers, else root
   */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /**
   * Whether programs in the sandbox are told of changes that are made on this machine, or by other sandboxes: they see them at
   * once, and inotify there tells of them, as servers that reload need it. Each directory in it takes a watch of this machine's
   * kernel (`fs.inotify.max_user_watches`); past 65,536 of them changes in the others are seen within a second, and not told.
   *
   * @default {false}
   */
  readonly watch?: boolean | undefined;
  /**
   * Where locks of the sandbox's programs (`flock`, `fcntl`) are: with `"host"` on the files of this machine, so that they hold
   * against other sandboxes and programs here; with `"guest"` among the programs of one sandbox, and faster.
   *
   * @default {"host"}
   */
  readonly locks?: MountLocks | undefined;
}

/** Where locks of a sandbox's programs are. */
export type MountLocks = "host" | "guest";

/** A file system in the guest's memory. */
export interface MemoryMountOptions {
  /** Chooses it. */
  readonly tmpfs: true;
  /** Its size in MiB. @default {64} */
  readonly sizeMiB?: number | undefined;
  /** Whether nothing can be written to it. @default {false} */
  readonly readonly?: boolean | undefined;
  /** Whether programs in it cannot be run. @default {false} */
  readonly noExec?: boolean | undefined;
}

/** A named volume. `kind`, `sizeMiB` and `labels` are for the modes `"create"` and `"ensure"`. */
export interface VolumeMountOptions extends VolumeSpec {
  /** Its name. */
  readonly volume: string;
  /** What happens if it exists, or does not: see {@linkcode VolumeMode}. @default {"existing"} */
  readonly mode?: VolumeMode | undefined;
  /** Whether nothing can be written to it. A disk may have any number of readers, or one writer. @default {false} */
  readonly readonly?: boolean | undefined;
  /** Whether programs in it cannot be run. @default {false} */
  readonly noExec?: boolean | undefined;
  /** Of a directory: see {@linkcode BindMountOptions.owner}. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  /** Of a directory: see {@linkcode BindMountOptions.watch}. @default {false} */
  readonly watch?: boolean | undefined;
  /** Of a directory: see {@linkcode BindMountOptions.locks}. @default {"host"} */
  readonly locks?: MountLocks | undefined;
}

/** What to mount: the path of a directory or file of this machine, or one of the forms with options. */
export type MountOptions =
  | string
  | BindMountOptions
  | MemoryMountOptions
  | DiskMountOptions
  | VolumeMountOptions;

/** A mount, as it is stored. */
export type MountConfig =
  | {
      readonly kind: "bind";
      /** Where it is in the guest. */
      readonly target: string;
      /** An absolute path of this machine without links: a link that a guest makes later is not to lead anywhere else. */
      readonly source: string;
      readonly readonly: boolean;
      readonly noExec: boolean;
      readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
      readonly watch?: boolean | undefined;
      /** `undefined`: on this machine's files. */
      readonly locks?: MountLocks | undefined;
    }
  | {
      readonly kind: "tmpfs";
      readonly target: string;
      readonly sizeMiB: number;
      readonly readonly: boolean;
      readonly noExec: boolean;
    }
  | {
      readonly kind: "disk";
      readonly target: string;
      /** An absolute path of this machine without links. */
      readonly source: string;
      readonly format: DiskImageFormat;
      /** `undefined`: the guest finds out. */
      readonly fstype?: DiskFileSystem | undefined;
      readonly readonly: boolean;
      readonly noExec: boolean;
    }
  | {
      readonly kind: "volume";
      readonly target: string;
      /** Name of the volume: each start uses the volume that has this name then. */
      readonly volume: string;
      readonly readonly: boolean;
      readonly noExec: boolean;
      readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
      readonly watch?: boolean | undefined;
      /** `undefined`: on this machine's files. */
      readonly locks?: MountLocks | undefined;
    };

/** A disk image to mount, as it is stored. */
export type DiskMountConfig = Extract<MountConfig, { readonly kind: "disk" }>;

const id = z.int().min(0).max(ID_MAX);
const path = z
  .string()
  .min(1)
  .refine((text) => !text.includes("\0"), "must not contain a NUL byte");
const common = { readonly: z.boolean().default(false), noExec: z.boolean().default(false) };
const owner = z.strictObject({ uid: id, gid: id }).optional();
const watch = z.boolean().optional();
const locks = z.enum(["host", "guest"]).optional();
const bindSchema = z.strictObject({ bind: path, ...common, owner, watch, locks });
const memorySchema = z.strictObject({
  tmpfs: z.literal(true),
  sizeMiB: z
    .int()
    .min(1)
    .max(1024 * 1024)
    .default(MEMORY_MIB_DEFAULT),
  ...common,
});
const volumeSchema = z.strictObject({
  volume: nameSchema,
  mode: z.enum(["existing", "create", "ensure"]).default("existing"),
  ...volumeSpecShape,
  ...common,
  owner,
  watch,
  locks,
});

const diskSchema = z.strictObject({
  disk: path,
  format: z.enum(DISK_IMAGE_FORMATS).default("raw"),
  fstype: z.enum(DISK_FILE_SYSTEMS).optional(),
  ...common,
});

/** Options of one mount, as callers give them. Its kind decides which are allowed. */
export const mountSchema = z.preprocess(
  (value: MountOptions) => (typeof value === "string" ? { bind: value } : value),
  oneKind.pipe(z.union([bindSchema, memorySchema, diskSchema, volumeSchema], MOUNT_FORMS)),
);

const storedCommon = { target: z.string(), readonly: z.boolean(), noExec: z.boolean() };
/** Mounts as they are stored. */
export const storedMountsSchema = z
  .array(
    z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("bind"), source: z.string(), owner, watch, locks, ...storedCommon }),
      z.object({ kind: z.literal("tmpfs"), sizeMiB: z.int(), ...storedCommon }),
      z.object({
        kind: z.literal("disk"),
        source: z.string(),
        format: z.enum(DISK_IMAGE_FORMATS),
        fstype: z.enum(DISK_FILE_SYSTEMS).optional(),
        ...storedCommon,
      }),
      z.object({ kind: z.literal("volume"), volume: nameSchema, owner, watch, locks, ...storedCommon }),
    ]),
  )
  .default([]);

type CheckedMount = z.output<typeof mountSchema>;

/**
 * Mounts in the order in which they are made: a mount inside another one comes after it.
 *
 * @throws {InvalidConfigError} naming every mount that is wrong.
 */
export function checkMounts(
  mounts: Readonly<Record<string, CheckedMount>>,
  rootDisk?: RootDiskConfig,
): readonly MountConfig[] {
  const issues: ConfigIssue[] = [];
  const configs: MountConfig[] = [];
  const targets = Object.keys(mounts);
  if (targets.length > MOUNTS_MAX) issues.push({ field: "mounts", problem: `must be at most ${MOUNTS_MAX}` });
  for (const [target, mount] of Object.entries(mounts)) {
    const field = `mounts[${JSON.stringify(target)}]`;
    const problem = targetProblem(target) ?? sourceProblem(mount);
    if (problem !== undefined) issues.push({ field, problem });
    else configs.push(toConfig(normalTarget(target), mount));
  }
  const sorted = configs.toSorted((a, b) => (a.target < b.target ? -1 : 1)); // "/a" before "/a/b"
  for (const [index, { target }] of sorted.entries())
    if (sorted[index + 1]?.target === target)
      issues.push({ field: `mounts[${JSON.stringify(target)}]`, problem: "must not be given twice" });
  issues.push(...sharedDiskIssues(configs, rootDisk));
  if (issues.length > 0) throw new InvalidConfigError(issues);
  return sorted;
}

/** Disks that something else in the same sandbox writes to, behind the back of their file systems. */
function sharedDiskIssues(
  mounts: readonly MountConfig[],
  rootDisk: RootDiskConfig | undefined,
): ConfigIssue[] {
  const disks = mounts.flatMap((mount) =>
    mount.kind === "disk" ? [{ field: `mounts[${JSON.stringify(mount.target)}]`, source: mount.source }] : [],
  );
  if (rootDisk?.kind === "disk") disks.push({ field: "rootDisk", source: rootDisk.source });
  return disks.flatMap(({ field, source }, index) => {
    if (disks.some((other, at) => other.source === source && at !== index))
      return [{ field, problem: `must not be a disk that is used twice: ${source}` }];
    const around = mounts.find(
      (mount) => mount.kind === "bind" && !mount.readonly && isBelow(source, mount.source),
    );
    if (around === undefined) return [];
    const problem = `must not be in a directory that the guest can write to: ${source} is, by ${around.target}`;
    return [{ field, problem }];
  });
}

/** Checks where something is to be mounted in the guest. @throws {InvalidConfigError} */
export function checkMountTarget(target: string): string {
  const problem = targetProblem(target);
  if (problem !== undefined) throw new InvalidConfigError([{ field: "target", problem }]);
  return normalTarget(target);
}

/** One mount, and what was asked of its volume if it has one. */
export interface CheckedMountRequest {
  readonly mount: MountConfig;
  readonly volume: VolumeRequest | undefined;
}

/** Checks one mount. @throws {InvalidConfigError} */
export function checkMount(target: string, options: MountOptions): CheckedMountRequest {
  const checked = parseConfig(mountSchema, options, "mount");
  const problem = sourceProblem(checked);
  if (problem !== undefined) throw new InvalidConfigError([{ field: "mount", problem }]);
  const [volume] = volumeRequests({ [target]: checked });
  return { mount: toConfig(checkMountTarget(target), checked), volume };
}

/** Why nothing can be put at a path of the guest; `undefined` if something can. */
export function targetProblem(target: string): string | undefined {
  if (typeof target !== "string" || !target.startsWith("/")) return "must be an absolute path in the sandbox";
  if (target.includes("\0")) return "must not contain a NUL byte";
  if (new TextEncoder().encode(target).length > TARGET_BYTES_MAX)
    return `must be at most ${TARGET_BYTES_MAX} bytes`;
  if (target.split("/").includes("..")) return "must not contain `..`";
  const normal = normalTarget(target);
  const isReserved = RESERVED.some(
    (path) => normal === path || (path !== "/" && normal.startsWith(`${path}/`)),
  );
  return isReserved ? "must not be /, or in /proc, /sys or /dev" : undefined;
}

function sourceProblem(mount: CheckedMount): string | undefined {
  if ("disk" in mount) return diskProblem(mount);
  if ("volume" in mount) return volumeProblem(mount);
  if (!("bind" in mount)) return undefined;
  const status = hostStatus(mount.bind);
  if (typeof status === "string") return status;
  return status.isDirectory() || status.isFile()
    ? undefined
    : `${mount.bind} is neither a directory nor a file`;
}

/** What a path of this machine leads to; text if it leads nowhere, or cannot be looked at. */
export function hostStatus(path: string): Stats | string {
  try {
    return statSync(path);
  } catch (error) {
    const isAbsent = ["ENOENT", "ENOTDIR"].includes(errnoOf(error) ?? "");
    return isAbsent ? `there is no ${path} on this machine` : `${path} cannot be used: ${messageOf(error)}`;
  }
}

function volumeProblem(mount: z.output<typeof volumeSchema>): string | undefined {
  const { mode, kind, sizeMiB, labels } = mount;
  if (mode === "existing" && (kind ?? sizeMiB ?? labels) !== undefined)
    return 'takes kind, sizeMiB and labels with mode: "create" or "ensure" only';
  const problem = specProblem(mount);
  return problem === undefined ? undefined : `${problem.field} ${problem.problem}`;
}

/** The volumes of mounts, each as it was asked for. */
export function volumeRequests(mounts: Readonly<Record<string, CheckedMount>>): readonly VolumeRequest[] {
  return Object.values(mounts).flatMap((mount) => ("volume" in mount ? [volumeRequest(mount)] : []));
}

function volumeRequest(mount: z.output<typeof volumeSchema>): VolumeRequest {
  const { volume: name, mode, kind, sizeMiB } = mount;
  return { name, mode, wanted: { kind, sizeMiB }, config: volumeConfig(name, mount) };
}

/** Without doubled slashes, `.` and a slash at the end. */
export function normalTarget(target: string): string {
  return `/${target
    .split("/")
    .filter((name) => name !== "" && name !== ".")
    .join("/")}`;
}

function toConfig(target: string, mount: CheckedMount): MountConfig {
  const { readonly, noExec } = mount;
  if ("volume" in mount)
    return { kind: "volume", target, volume: mount.volume, readonly, noExec, ...filesConfig(mount) };
  if ("bind" in mount)
    return {
      ...{ kind: "bind", target, source: realpathSync(mount.bind), readonly, noExec },
      ...filesConfig(mount),
    };
  if ("tmpfs" in mount) return { kind: "tmpfs", target, sizeMiB: mount.sizeMiB, readonly, noExec };
  const { disk, format, fstype } = mount;
  return { kind: "disk", target, source: realpathSync(disk), format, fstype, readonly, noExec };
}

/** What only a directory has. */
function filesConfig({ owner, watch, locks }: Pick<BindMountOptions, "owner" | "watch" | "locks">) {
  return { owner, ...(watch === true && { watch }), ...(locks === "guest" && { locks }) };
}

/** Bytes of a file system in memory. */
export function memoryBytes({ sizeMiB }: { readonly sizeMiB: number }): number {
  return sizeMiB * MiB;
}

/**
 * Whom the files of a bind mount belong to in a sandbox with that user. Names are known in the guest alone: then it is root, who
 * may do everything with the files.
 */
export function defaultOwner(user: string | undefined): { readonly uid: number; readonly gid: number } {
  const [, uid = "0", gid = uid] = /^(\d+)(?::(\d+))?$/.exec(user ?? "") ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}
