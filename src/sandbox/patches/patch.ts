/**
 * Patches as plain objects, for the option `patches`.
 *
 * @module
 */
import type {
  Patch as AnyPatch,
  PatchFileOptions,
  PatchModeOptions,
  PatchReplaceOptions,
} from "../../options/patch_options.ts";

type PatchOf<K extends AnyPatch["kind"]> = Extract<AnyPatch, { readonly kind: K }>;

/** One change to the files of a new sandbox. Paths are absolute and in the sandbox, except for `src`, which is on this machine. */
export type Patch = AnyPatch;

/**
 * Makes patches: what `PatchBuilder` collects, one at a time.
 *
 * @example
 * ```ts no-run: needs files of its own
 * const patches = [Patch.mkdir("/srv"), Patch.copyFile("./app.conf", "/etc/app.conf", { mode: 0o600 })];
 * await using sandbox = await Sandbox.create({ image: "alpine", patches });
 * ```
 */
export const Patch = {
  /** Writes text as UTF-8. Directories above the file are made. */
  text: (path: string, content: string, options: PatchFileOptions = {}): PatchOf<"text"> => ({
    ...options,
    kind: "text",
    path,
    content,
  }),
  /** Writes bytes. Directories above the file are made. */
  file: (path: string, contentBytes: Uint8Array, options: PatchFileOptions = {}): PatchOf<"file"> => ({
    ...options,
    kind: "file",
    path,
    contentBytes,
  }),
  /** Copies a file of this machine, with its time of change. Directories above it are made. */
  copyFile: (src: string, dst: string, options: PatchFileOptions = {}): PatchOf<"copyFile"> => ({
    ...options,
    kind: "copyFile",
    src,
    dst,
  }),
  /**
   * Copies a directory of this machine with all that is in it, as `copyFromHost()` does. With `replace`, one that is there is
   * merged with.
   */
  copyDir: (src: string, dst: string, options: PatchReplaceOptions = {}): PatchOf<"copyDir"> => ({
    ...options,
    kind: "copyDir",
    src,
    dst,
  }),
  /** Makes a symbolic link at `link` that leads to `target`, which need not be there. */
  symlink: (target: string, link: string, options: PatchReplaceOptions = {}): PatchOf<"symlink"> => ({
    ...options,
    kind: "symlink",
    target,
    link,
  }),
  /** Makes a directory, and those above it. It may be there already. */
  mkdir: (path: string, options: PatchModeOptions = {}): PatchOf<"mkdir"> => ({
    ...options,
    kind: "mkdir",
    path,
  }),
  /** Removes a file, or a directory with all that is in it. It may be gone already. For a symbolic link, removes the link itself. */
  remove: (path: string): PatchOf<"remove"> => ({ kind: "remove", path }),
  /** Writes text as UTF-8 behind what a file holds, which has to be there. */
  append: (path: string, content: string): PatchOf<"append"> => ({ kind: "append", path, content }),
} as const;
