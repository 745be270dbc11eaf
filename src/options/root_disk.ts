/**
 * Checks where a sandbox's writes go.
 *
 * @module
 */
import { realpathSync } from "node:fs";
import { z } from "zod";
import { InvalidConfigError } from "../base/errors.ts";
import { DISK_IMAGE_FORMATS, type DiskImageFormat, diskProblem } from "./disk_mount.ts";

/** File systems that the writable layer of an overlay can be on. */
export const ROOT_FILE_SYSTEMS = ["ext4", "xfs", "btrfs"] as const;

/** A file system that a disk for a sandbox's writes can have. */
export type RootFileSystem = (typeof ROOT_FILE_SYSTEMS)[number];

/** Memory of the guest instead of a disk: nothing is kept once the sandbox has stopped. */
export interface MemoryRootDiskOptions {
  /** Chooses it. */
  readonly tmpfs: true;
  /** Its size in MiB, of the sandbox's memory. @default half of the sandbox's memory */
  readonly sizeMiB?: number | undefined;
}

/** A disk image of this machine instead of the sandbox's own disk. It outlives the sandbox. */
export interface ImageRootDiskOptions {
  /** Its path here: a regular file, with a file system in it and no partitions. */
  readonly disk: string;
  /** `"qcow2"` needs the qemu engine. It is never guessed. @default {"raw"} */
  readonly format?: DiskImageFormat | undefined;
  /** The file system on it. @default {"ext4"} */
  readonly fstype?: RootFileSystem | undefined;
}

/** What a sandbox's writes go to, if not to a disk of its own. */
export type RootDiskOptions = MemoryRootDiskOptions | ImageRootDiskOptions;

/** The same, as it is stored. */
export type RootDiskConfig =
  | { readonly kind: "tmpfs"; readonly sizeMiB: number }
  | {
      readonly kind: "disk";
      /** An absolute path of this machine without links. */
      readonly source: string;
      readonly format: DiskImageFormat;
      readonly fstype: RootFileSystem;
    };

const memorySchema = z.strictObject({ tmpfs: z.literal(true), sizeMiB: z.int().min(1).optional() });
const imageSchema = z.strictObject({
  disk: z
    .string()
    .min(1)
    .refine((text) => !text.includes("\0"), "must not contain a NUL byte"),
  format: z.enum(DISK_IMAGE_FORMATS).default("raw"),
  fstype: z.enum(ROOT_FILE_SYSTEMS).default("ext4"),
});

/** What a caller may say. A size alone is `diskMiB`. */
export const rootDiskSchema = z.union(
  [memorySchema, imageSchema],
  "must be { tmpfs: true, … } or { disk: path, … }; the size of the sandbox's own disk is diskMiB",
);

/** The same as it is stored. */
export const storedRootDiskSchema = z
  .discriminatedUnion("kind", [
    z.object({ kind: z.literal("tmpfs"), sizeMiB: z.int() }),
    z.object({
      kind: z.literal("disk"),
      source: z.string(),
      format: z.enum(DISK_IMAGE_FORMATS),
      fstype: z.enum(ROOT_FILE_SYSTEMS),
    }),
  ])
  .optional();

/** What goes to memory by default: the kernel's own bound of a tmpfs. */
const MEMORY_SHARE = 0.5;

/** What to store for a sandbox with that memory. @throws {InvalidConfigError} */
export function checkRootDisk(options: z.output<typeof rootDiskSchema>, memoryMiB: number): RootDiskConfig {
  if ("tmpfs" in options) {
    const { sizeMiB = Math.floor(memoryMiB * MEMORY_SHARE) } = options;
    if (sizeMiB <= memoryMiB) return { kind: "tmpfs", sizeMiB };
    const problem = `must be at most memoryMiB, which is ${memoryMiB}: current value is ${sizeMiB}`;
    throw new InvalidConfigError([{ field: "rootDisk.sizeMiB", problem }]);
  }
  const { disk, format, fstype } = options;
  const problem = diskProblem({ disk, format, readonly: false });
  if (problem !== undefined) throw new InvalidConfigError([{ field: "rootDisk", problem }]);
  return { kind: "disk", source: realpathSync(disk), format, fstype };
}
