/**
 * Builds the options of a mount step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */
import { InvalidConfigError } from "../../base/errors.ts";
import type { BindMountOptions, MemoryMountOptions } from "../../options/mount_options.ts";

/** What `SandboxBuilder.volume()` hands out: choose a kind, `bind()` or `tmpfs()`, and what it is like. */
export class MountBuilder {
  #kind: { readonly bind: string } | { readonly tmpfs: true } | undefined;
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
  build(): BindMountOptions | MemoryMountOptions {
    const kind = this.#kind;
    if (kind === undefined)
      throw new InvalidConfigError([{ field: "volume", problem: "needs bind() or tmpfs()" }]);
    const common = { readonly: this.#readonly, noExec: this.#noExec };
    if ("bind" in kind && this.#sizeMiB !== undefined)
      throw new InvalidConfigError([{ field: "size", problem: "is for tmpfs() only" }]);
    if ("tmpfs" in kind && this.#owner !== undefined)
      throw new InvalidConfigError([{ field: "owner", problem: "is for bind() only" }]);
    return "bind" in kind
      ? { ...kind, ...common, owner: this.#owner }
      : { ...kind, ...common, sizeMiB: this.#sizeMiB };
  }
}
