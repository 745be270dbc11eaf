/**
 * Interprets a text that names an image, with the names of the official microsandbox SDK.
 *
 * @module
 */
import { UnsupportedError } from "../base/errors.ts";
import { isLocalImage } from "../image/local_name.ts";
import { DISK_IMAGE_FORMATS, type DiskImageFormat } from "./disk_mount.ts";

/** Kinds of {@linkcode RootfsSource}. */
export const ROOTFS_SOURCE_KINDS = ["bind", "oci", "disk"] as const;

/** A kind of {@linkcode RootfsSource}. */
export type RootfsSourceKind = (typeof ROOTFS_SOURCE_KINDS)[number];

/** Where a root file system is from: a directory or an archive of this machine, a registry, or a disk image. */
export type RootfsSource =
  | {
      /** A path of this machine. */
      readonly kind: "bind";
      /** A directory, or an archive. */
      readonly path: string;
    }
  | {
      /** An image of a registry. */
      readonly kind: "oci";
      /** Its reference: `alpine:3.22`. */
      readonly reference: string;
    }
  | {
      /** A disk image, which `rootDisk` and `volume` take, and no sandbox starts from. */
      readonly kind: "disk";
      /** The file. */
      readonly path: string;
      /** What its name says. */
      readonly format: DiskImageFormat;
      /** The file system on it. @default the guest finds out */
      readonly fstype?: string | undefined;
    };

/**
 * What `input` stands for, by its form: a path, a reference, or a disk image (`.raw`, `.qcow2`). A source is returned as it is.
 * {@linkcode SandboxOptions.image} reads texts in the same way, except that it takes no disk image.
 *
 * @throws {UnsupportedError} `unsupported`: a disk image of VMware (`.vmdk`), which no engine here reads.
 *
 * @example
 * ```ts no-vm
 * import { intoRootfsSource } from "microsandbox";
 *
 * console.log(intoRootfsSource("./rootfs")); // { kind: "bind", path: "./rootfs" }
 * console.log(intoRootfsSource("alpine:3.22")); // { kind: "oci", reference: "alpine:3.22" }
 * ```
 */
export function intoRootfsSource(input: string | RootfsSource): RootfsSource {
  if (typeof input !== "string") return input;
  const extension = /[^/]\.([^./]+)$/.exec(input)?.[1]?.toLowerCase();
  if (extension === "vmdk")
    throw new UnsupportedError(`Cannot read ${input}, a disk image of VMware`, {
      hint: "convert it: qemu-img convert -O raw disk.vmdk disk.raw",
    });
  const format = DISK_IMAGE_FORMATS.find((known) => known === extension);
  if (format !== undefined) return { kind: "disk", path: input, format };
  return isLocalImage(input) ? { kind: "bind", path: input } : { kind: "oci", reference: input };
}
