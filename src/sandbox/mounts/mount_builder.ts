/**
 * Builds the options of a mount step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */
import { InvalidConfigError, UnsupportedError } from "../../base/errors.ts";
import type { DiskFileSystem, DiskImageFormat, DiskMountOptions } from "../../options/disk_mount.ts";
import type {
  BindMountOptions,
  MemoryMountOptions,
  MountLocks,
  VolumeMountOptions,
} from "../../options/mount_options.ts";
import type { VolumeKind, VolumeMode, VolumeSpec } from "../../options/volume_options.ts";

/** How `MountBuilder.named()` treats a volume that exists, or does not. */
export interface NamedVolumeOptions extends VolumeSpec {
  /** See {@linkcode VolumeMode}. @default {"existing"} */
  readonly mode?: VolumeMode | undefined;
}

/** A kind, with what only it has. */
type ChosenKind =
  | { readonly bind: string }
  | { readonly tmpfs: true }
  | { readonly disk: string }
  | ({ readonly volume: string } & NamedVolumeOptions);

/** Kinds of mounts, by the methods of {@linkcode MountBuilder} that choose them. */
export const VolumeMountKinds = ["bind", "named", "tmpfs", "disk"] as const;

/** A kind of mount. */
export type VolumeMountKind = (typeof VolumeMountKinds)[number];

/** Policies that {@linkcode MountBuilder.statVirtualization} knows; it takes `"off"` only. */
export const StatVirtualizations = ["strict", "relaxed", "off"] as const;

/** How owners and modes of a mount are kept, in the known SDK: see {@linkcode MountBuilder.statVirtualization}. */
export type StatVirtualization = (typeof StatVirtualizations)[number];

/** Policies that {@linkcode MountBuilder.hostPermissions} knows; it takes `"mirror"` only. */
export const HostPermissionsList = ["private", "mirror"] as const;

/** Whether permission bits reach the host, in the known SDK: see {@linkcode MountBuilder.hostPermissions}. */
export type HostPermissions = (typeof HostPermissionsList)[number];

/** What `SandboxBuilder.volume()` hands out: choose a kind, `bind()`, `named()`, `tmpfs()` or `disk()`, and what it is like. */
export class MountBuilder {
  #kind: ChosenKind | undefined;
  #format: DiskImageFormat | undefined;
  #fstype: DiskFileSystem | undefined;
  #sizeMiB: number | undefined;
  #readonly: boolean | undefined;
  #noExec: boolean | undefined;
  #owner: { readonly uid: number; readonly gid: number } | undefined;
  #watch: boolean | undefined;
  #locks: MountLocks | undefined;

  /** Mounts a directory, or a file, of this machine. */
  bind(path: string): this {
    return this.#choose({ bind: path });
  }

  /**
   * Mounts a named volume, which must be there unless the options say otherwise.
   *
   * @example
   * ```ts
   * await using sandbox = await Sandbox.builder("builder")
   *   .image("./rootfs")
   *   .volume("/data", (m) => m.named("cache", { mode: "ensure" }))
   *   .replace()
   *   .create();
   * await sandbox.shell("date >> /data/runs");
   * ```
   */
  named(name: string, options: NamedVolumeOptions = {}): this {
    return this.#choose({ ...options, volume: name });
  }

  /**
   * {@linkcode named} as the known SDK has it; its mode `"ensure-exists"` is `"ensure"`.
   *
   * @throws {UnsupportedError} for a quota: see {@linkcode quota}.
   */
  namedWith(
    name: string,
    mode?: VolumeMode | "ensure-exists" | null,
    kind?: VolumeKind | null,
    sizeMiB?: number | null,
    quotaMiB?: number | null,
  ): this {
    if (quotaMiB !== undefined && quotaMiB !== null) this.quota(quotaMiB);
    return this.named(name, {
      mode: mode === "ensure-exists" ? "ensure" : (mode ?? undefined),
      kind: kind ?? undefined,
      sizeMiB: sizeMiB ?? undefined,
    });
  }

  /** Mounts a file system in the guest's memory. */
  tmpfs(): this {
    return this.#choose({ tmpfs: true });
  }

  /** Mounts a disk image of this machine. See {@linkcode DiskMountOptions}. */
  disk(path: string): this {
    return this.#choose({ disk: path });
  }

  /** Sets the format of a `disk()`. @default {"raw"} */
  format(format: DiskImageFormat): this {
    this.#format = format;
    return this;
  }

  /** Sets the file system that is on a `disk()`. @default the guest finds out */
  fstype(fstype: DiskFileSystem): this {
    this.#fstype = fstype;
    return this;
  }

  /** Sets the size of a `tmpfs()` in MiB. @default {64} */
  size(sizeMiB: number): this {
    this.#sizeMiB = sizeMiB;
    return this;
  }

  /** Refuses every change. */
  readonly(): this {
    this.#readonly = true;
    return this;
  }

  /** Lets no program in it be run. */
  noexec(): this {
    this.#noExec = true;
    return this;
  }

  /** Set-id bits never count on a mount. This changes nothing. */
  nosuid(): this {
    return this;
  }

  /** Device files never count on a mount. This changes nothing. */
  nodev(): this {
    return this;
  }

  /** Sets who owns, in the sandbox, the files of the owner of the directory here, for a `bind()` or a directory volume. */
  owner(uid: number, gid: number): this {
    this.#owner = { uid, gid };
    return this;
  }

  /** Tells programs in the sandbox of changes that are made on this machine in a `bind()` or a directory volume. */
  watch(): this {
    this.#watch = true;
    return this;
  }

  /**
   * Says how owners and modes in the guest are kept, as in the known SDK. Here they are those of this machine: `"off"`, which
   * changes nothing.
   *
   * @throws {UnsupportedError} for another policy.
   */
  statVirtualization(policy: StatVirtualization): this {
    if (policy === "off") return this;
    throw new UnsupportedError(
      `The policy ${JSON.stringify(policy)} of statVirtualization() does not exist here`,
      {
        hint: "owners and modes are those of this machine; owner() says whom its files belong to in the sandbox",
      },
    );
  }

  /**
   * Says whether the guest's permission bits are set on this machine, as in the known SDK. Here they are: `"mirror"`, which
   * changes nothing.
   *
   * @throws {UnsupportedError} for another policy.
   */
  hostPermissions(policy: HostPermissions): this {
    if (policy === "mirror") return this;
    throw new UnsupportedError(
      `The policy ${JSON.stringify(policy)} of hostPermissions() does not exist here`,
      {
        hint: "what the guest sets is set here; put the directory into one that others cannot enter",
      },
    );
  }

  /** Bounds a directory, in the known SDK. @throws {UnsupportedError} always */
  quota(sizeMiB: number): this {
    throw new UnsupportedError(`A directory cannot be kept to ${sizeMiB} MiB`, {
      hint: 'take disk(), or a volume of the kind "disk": its size is the limit',
    });
  }

  /** Sets where locks of the sandbox's programs are, of a `bind()`. @default {"host"} */
  locks(where: MountLocks): this {
    this.#locks = where;
    return this;
  }

  #choose(kind: ChosenKind): this {
    if (this.#kind !== undefined)
      throw new InvalidConfigError([
        { field: "volume", problem: "needs one of bind(), named(), tmpfs() and disk(), not several" },
      ]);
    this.#kind = kind;
    return this;
  }

  /** The options. @throws {InvalidConfigError} if no kind was chosen, or something is set that the kind has not. */
  build(): BindMountOptions | MemoryMountOptions | DiskMountOptions | VolumeMountOptions {
    const kind = this.#kind;
    if (kind === undefined)
      throw new InvalidConfigError([
        { field: "volume", problem: "needs bind(), named(), tmpfs() or disk()" },
      ]);
    const own = "bind" in kind || "volume" in kind ? BIND : "tmpfs" in kind ? TMPFS : DISK;
    const set = {
      size: this.#sizeMiB,
      owner: this.#owner,
      watch: this.#watch,
      locks: this.#locks,
      format: this.#format,
      fstype: this.#fstype,
    };
    for (const [name, value] of Object.entries(set))
      if (value !== undefined && !own.has(name))
        throw new InvalidConfigError([{ field: name, problem: `is for ${kindOf(name)} only` }]);
    const common = { readonly: this.#readonly, noExec: this.#noExec };
    if ("bind" in kind || "volume" in kind)
      return {
        ...kind,
        ...common,
        owner: this.#owner,
        ...(this.#watch && { watch: true }),
        ...(this.#locks && { locks: this.#locks }),
      };
    if ("tmpfs" in kind) return { ...kind, ...common, sizeMiB: this.#sizeMiB };
    return { ...kind, ...common, format: this.#format, fstype: this.#fstype };
  }
}

/** What each kind can be given, beside what all can. */
const BIND: ReadonlySet<string> = new Set(["owner", "watch", "locks"]);
const TMPFS: ReadonlySet<string> = new Set(["size"]);
const DISK: ReadonlySet<string> = new Set(["format", "fstype"]);

function kindOf(name: string): string {
  return BIND.has(name) ? "bind() and named()" : TMPFS.has(name) ? "tmpfs()" : "disk()";
}
