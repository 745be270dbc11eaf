/**
 * Builds the options of a root disk step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */
import { InvalidConfigError, UnsupportedError } from "../base/errors.ts";
import type { DiskImageFormat } from "../options/disk_mount.ts";
import type { RootDiskOptions, RootFileSystem } from "../options/root_disk.ts";

/** What `SandboxBuilder.rootDisk()` hands out: what the sandbox's writes go to, by default a disk of its own. */
export class RootDiskBuilder {
  #kind: "managed" | "tmpfs" | { readonly disk: string } = "managed";
  #sizeMiB: number | undefined;
  #format: DiskImageFormat | undefined;
  #fstype: RootFileSystem | undefined;

  /** Sets the size in MiB: of the sandbox's own disk, 4096 by default, or of a `tmpfs()`, by default half of its memory. */
  size(sizeMiB: number): this {
    this.#sizeMiB = sizeMiB;
    return this;
  }

  /** Keeps what is written in the guest's memory, until the sandbox stops. */
  tmpfs(): this {
    this.#kind = "tmpfs";
    return this;
  }

  /** Writes to a disk image of this machine, which outlives the sandbox. See {@linkcode ImageRootDiskOptions}. */
  disk(path: string): this {
    this.#kind = { disk: path };
    return this;
  }

  /** Sets the format of a `disk()`. @default {"raw"} */
  format(format: DiskImageFormat): this {
    this.#format = format;
    return this;
  }

  /** Sets the file system that is on a `disk()`. @default {"ext4"} */
  fstype(fstype: RootFileSystem): this {
    this.#fstype = fstype;
    return this;
  }

  /** Not supported: every image is one shared read-only disk here. @throws {UnsupportedError} always */
  flat(): this {
    throw new UnsupportedError("Cannot make a flat root disk: images are shared, read-only disks", {
      hint: "leave flat() out: all sandboxes of an image share its disk, without a copy",
    });
  }

  /** For `flat()` only. @throws {UnsupportedError} always */
  cloneStrategy(_strategy: "auto" | "copy" | "reflink"): this {
    return this.flat();
  }

  /** The options: `diskMiB` for the sandbox's own disk. @throws {InvalidConfigError} for options that the kind does not have. */
  build(): { readonly diskMiB?: number | undefined; readonly rootDisk?: RootDiskOptions | undefined } {
    const kind = this.#kind;
    const isImage = typeof kind === "object";
    const refuse = (field: string, problem: string) => {
      throw new InvalidConfigError([{ field: `rootDisk.${field}`, problem }]);
    };
    if (isImage && this.#sizeMiB !== undefined) refuse("size", "is not for disk(), which has its own");
    if (!isImage && this.#format !== undefined) refuse("format", "is for disk() only");
    if (!isImage && this.#fstype !== undefined) refuse("fstype", "is for disk() only");
    if (isImage) return { rootDisk: { ...kind, format: this.#format, fstype: this.#fstype } };
    return kind === "tmpfs"
      ? { rootDisk: { tmpfs: true, sizeMiB: this.#sizeMiB } }
      : { diskMiB: this.#sizeMiB };
  }
}
