/**
 * Collects patches step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */
import type { PatchFileOptions, PatchModeOptions, PatchReplaceOptions } from "../../options/patch_options.ts";
import { Patch } from "./patch.ts";

/**
 * What `SandboxBuilder.patch()` hands out: changes to the files of a new sandbox, which are made in the order of the calls, as
 * root. The name of a new file must be free, unless `replace` is set. Nothing is checked before the sandbox is created.
 *
 * @example
 * ```ts
 * await using sandbox = await Sandbox.builder("patched")
 *   .image("./rootfs")
 *   .patch((patch) => patch.text("/etc/motd", "hello\n", { replace: true }).mkdir("/srv/app", { mode: 0o750 }))
 *   .replace()
 *   .create();
 * console.log(await sandbox.fs().readToString("/etc/motd")); // hello
 * ```
 */
export class PatchBuilder {
  readonly #patches: Patch[] = [];

  /** Writes text as UTF-8. Directories above the file are made. */
  text(path: string, content: string, options?: PatchFileOptions): this {
    return this.#add(Patch.text(path, content, options));
  }

  /** Writes bytes. Directories above the file are made. */
  file(path: string, content: Uint8Array, options?: PatchFileOptions): this {
    return this.#add(Patch.file(path, content, options));
  }

  /** Copies the file `src` of this machine to `dst`, with its time of change. Directories above it are made. */
  copyFile(src: string, dst: string, options?: PatchFileOptions): this {
    return this.#add(Patch.copyFile(src, dst, options));
  }

  /**
   * Copies the directory `src` of this machine with all that is in it, as `copyFromHost()` does. With `replace`, one that is
   * at `dst` is merged with.
   */
  copyDir(src: string, dst: string, options?: PatchReplaceOptions): this {
    return this.#add(Patch.copyDir(src, dst, options));
  }

  /** Makes a symbolic link at `link` that leads to `target`, which need not be there. */
  symlink(target: string, link: string, options?: PatchReplaceOptions): this {
    return this.#add(Patch.symlink(target, link, options));
  }

  /** Makes a directory, and those above it. It may be there already. */
  mkdir(path: string, options?: PatchModeOptions): this {
    return this.#add(Patch.mkdir(path, options));
  }

  /** Removes a file, or a directory with all that is in it. It may be gone already. For a symbolic link, removes the link itself. */
  remove(path: string): this {
    return this.#add(Patch.remove(path));
  }

  /** Writes text as UTF-8 behind what a file holds, which has to be there. */
  append(path: string, content: string): this {
    return this.#add(Patch.append(path, content));
  }

  /** Returns the patches collected so far, in order. */
  build(): Patch[] {
    return [...this.#patches];
  }

  #add(patch: Patch): this {
    this.#patches.push(patch);
    return this;
  }
}
