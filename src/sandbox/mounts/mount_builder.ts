/**
 * Builds the options of a mount step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */
import { InvalidConfigError } from "../../base/errors.ts";
import type { DiskFileSystem, DiskImageFormat, DiskMountOptions } from "../../options/disk_mount.ts";
import type { BindMountOptions, MemoryMountOptions } from "../../options/mount_options.ts";

/** What `SandboxBuilder.volume()` hands out: choose a kind, `bind()`, `tmpfs()` or `disk()`, and what it is like. */
export class MountBuilder {
  #kind: { readonly bind: string } | { readonly tmpfs: true } | { readonly disk: string } | undefined;
  #format: DiskImageFormat | undefined;
  #fstype: DiskFileSystem | undefined;
  #sizeMiB: number | undefined;
  #readonly: boolean | undefined;
  #noExec: boolean | undefined;
  #owner: { readonly uid: number; readonly gid: number } | undefined;

  /** Mounts a directory, or a file, of this machine. */
  bind(path: string): this {
    this.#kind = { bind: path };
    return this;
  }

  /** Mounts a file system in the guest's memory. */
  tmpfs(): this {
    this.#kind = { tmpfs: true };
    return this;
  }

  /** Mounts a disk image of this machine. See {@linkcode DiskMountOptions}. */
  disk(path: string): this {
    this.#kind = { disk: path };
    return this;
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

  /** Sets whom the files of a `bind()` belong to in the sandbox: those of the owner of the directory here. */
  owner(uid: number, gid: number): this {
    this.#owner = { uid, gid };
    return this;
  }

  /** The options. @throws {InvalidConfigError} if no kind was chosen, or something is set that the kind has not. */
  build(): BindMountOptions | MemoryMountOptions | DiskMountOptions {
    const kind = this.#kind;
    if (kind === undefined)
      throw new InvalidConfigError([{ field: "volume", problem: "needs bind(), tmpfs() or disk()" }]);
    const own = "bind" in kind ? BIND : "tmpfs" in kind ? TMPFS : DISK;
    const set = {
      size: this.#sizeMiB,
      owner: this.#owner,
      format: this.#format,
      fstype: this.#fstype,
    };
    for (const [name, value] of Object.entries(set))
      if (value !== undefined && !own.has(name))
        throw new InvalidConfigError([{ field: name, problem: `is for ${kindOf(name)} only` }]);
    const common = { readonly: this.#readonly, noExec: this.#noExec };
    if ("bind" in kind) return { ...kind, ...common, owner: this.#owner };
    if ("tmpfs" in kind) return { ...kind, ...common, sizeMiB: this.#sizeMiB };
    return { ...kind, ...common, format: this.#format, fstype: this.#fstype };
  }
}

/** What each kind can be given, beside what all can. */
const BIND: ReadonlySet<string> = new Set(["owner"]);
const TMPFS: ReadonlySet<string> = new Set(["size"]);
const DISK: ReadonlySet<string> = new Set(["format", "fstype"]);

function kindOf(name: string): string {
  return BIND.has(name) ? "bind()" : TMPFS.has(name) ? "tmpfs()" : "disk()";
}
