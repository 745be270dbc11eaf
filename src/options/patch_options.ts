/**
 * Changes to the files of a new sandbox, as a caller gives them, checked.
 *
 * @module
 */
import { resolve } from "node:path";
import { z } from "zod";
import { type ConfigIssue, InvalidConfigError } from "../base/errors.ts";
import { hostStatus, normalTarget, targetProblem } from "./mount_options.ts";

/** Patches of one sandbox. */
export const PATCHES_MAX = 1000;
const MODE_MAX = 0o7777;
/** PATH_MAX of Linux without its zero: no link target is longer. */
const LINK_TARGET_BYTES_MAX = 4095;

/** Options of patches that write one file. */
export interface PatchFileOptions {
  /** Permission bits of the file. @default {0o644}; of `copyFile`, those of the file on this machine */
  readonly mode?: number | undefined;
  /** Whether a file that is there already is replaced, instead of being an error. @default {false} */
  readonly replace?: boolean | undefined;
}

/** Options of `copyDir` and `symlink`. */
export type PatchReplaceOptions = Pick<PatchFileOptions, "replace">;

/** Options of `mkdir`. */
export interface PatchModeOptions {
  /** Permission bits of the directory. @default {0o755}, and unchanged if it exists */
  readonly mode?: number | undefined;
}

/** One change to the files of a new sandbox. Paths are absolute and in the sandbox, except for `src`, which is on this machine. */
export type Patch =
  /** Writes text as UTF-8. */
  | ({ readonly kind: "text"; readonly path: string; readonly content: string } & PatchFileOptions)
  /** Writes bytes. */
  | ({ readonly kind: "file"; readonly path: string; readonly contentBytes: Uint8Array } & PatchFileOptions)
  /** Copies a file of this machine. */
  | ({ readonly kind: "copyFile"; readonly src: string; readonly dst: string } & PatchFileOptions)
  /** Copies a directory of this machine with all that is in it. */
  | ({ readonly kind: "copyDir"; readonly src: string; readonly dst: string } & PatchReplaceOptions)
  /** Makes a symbolic link at `link` that leads to `target`. */
  | ({ readonly kind: "symlink"; readonly target: string; readonly link: string } & PatchReplaceOptions)
  /** Makes a directory, which may be there already. */
  | ({ readonly kind: "mkdir"; readonly path: string } & PatchModeOptions)
  /** Removes a file or a directory with all that is in it, which may be gone already. */
  | { readonly kind: "remove"; readonly path: string }
  /** Writes text as UTF-8 behind what a file holds, which has to be there. */
  | { readonly kind: "append"; readonly path: string; readonly content: string };

/** What a patch does. */
export type PatchKind = Patch["kind"];

/** Every kind of patch. */
export const PatchKinds: readonly PatchKind[] = [
  "text",
  "file",
  "copyFile",
  "copyDir",
  "symlink",
  "mkdir",
  "remove",
  "append",
];

const text = z.string().refine((value) => value.isWellFormed(), "must not contain half of a surrogate pair");
const path = text.min(1).refine((value) => !value.includes("\0"), "must not contain a NUL byte");
const linkTarget = path.refine(
  (value) => new TextEncoder().encode(value).length <= LINK_TARGET_BYTES_MAX,
  `must be at most ${LINK_TARGET_BYTES_MAX} bytes`,
);
const contentBytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, "must be a Uint8Array");
const mode = z.int().min(0).max(MODE_MAX).optional();
const replace = z.boolean().optional();

/** Patches, as callers give them. */
export const patchesSchema = z
  .array(
    z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("text"), path, content: text, mode, replace }),
      z.strictObject({ kind: z.literal("file"), path, contentBytes, mode, replace }),
      z.strictObject({ kind: z.literal("copyFile"), src: path, dst: path, mode, replace }),
      z.strictObject({ kind: z.literal("copyDir"), src: path, dst: path, replace }),
      z.strictObject({ kind: z.literal("symlink"), target: linkTarget, link: path, replace }),
      z.strictObject({ kind: z.literal("mkdir"), path, mode }),
      z.strictObject({ kind: z.literal("remove"), path }),
      z.strictObject({ kind: z.literal("append"), path, content: text }),
    ]),
  )
  .max(PATCHES_MAX)
  .default([]);

/** What a patch changes in the sandbox. */
export function patchTarget(patch: Patch): string {
  return "path" in patch ? patch.path : "dst" in patch ? patch.dst : patch.link;
}

/**
 * Patches with normal, absolute paths, whose sources are there.
 *
 * @param mounted Where something is mounted: it would hide what is written there.
 * @throws {InvalidConfigError} naming every patch that is wrong.
 */
export function checkPatches(patches: readonly Patch[], mounted: readonly string[]): readonly Patch[] {
  const issues: ConfigIssue[] = [];
  for (const [index, patch] of patches.entries()) {
    const name = "path" in patch ? "path" : "dst" in patch ? "dst" : "link";
    const target = placeProblem(patchTarget(patch), mounted);
    if (target !== undefined) issues.push({ field: `patches.${index}.${name}`, problem: target });
    const source = "src" in patch ? sourceProblem(patch) : undefined;
    if (source !== undefined) issues.push({ field: `patches.${index}.src`, problem: source });
  }
  if (issues.length > 0) throw new InvalidConfigError(issues);
  return patches.map(normalPatch);
}

function placeProblem(target: string, mounted: readonly string[]): string | undefined {
  const problem = targetProblem(target);
  if (problem !== undefined) return problem;
  const normal = normalTarget(target);
  const hiding = mounted.find((mount) => normal === mount || normal.startsWith(`${mount}/`));
  return hiding === undefined ? undefined : `must not be in the mount ${hiding}, which would hide it`;
}

/** The working directory may have changed when the patch is applied. */
function normalPatch(patch: Patch): Patch {
  if ("path" in patch) return { ...patch, path: normalTarget(patch.path) };
  if ("dst" in patch) return { ...patch, src: resolve(patch.src), dst: normalTarget(patch.dst) };
  return { ...patch, link: normalTarget(patch.link) };
}

function sourceProblem({ kind, src }: Extract<Patch, { readonly src: string }>): string | undefined {
  const status = hostStatus(src);
  if (typeof status === "string") return status;
  if (kind === "copyFile" && !status.isFile())
    return `${src} is not a file${status.isDirectory() ? ": use copyDir" : ""}`;
  if (kind === "copyDir" && !status.isDirectory())
    return `${src} is not a directory${status.isFile() ? ": use copyFile" : ""}`;
  return undefined;
}
