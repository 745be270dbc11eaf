/**
 * Flags that mount something.
 *
 * @module
 */
import { InvalidArgumentError } from "@commander-js/extra-typings";
import {
  DiskFileSystems,
  DiskImageFormats,
  type DiskMountOptions,
  type ImageRootDiskOptions,
  type MountOptions,
  RootFileSystems,
  type SandboxOptions,
} from "../../mod.ts";
import { parseSizeMiB } from "./parse.ts";

/** What may follow the target of a disk, with commas between. */
const DISK_OPTIONS = [
  ...["ro", "rw", "noexec"],
  ...DiskImageFormats.map((name) => `format=${name}`),
  ...DiskFileSystems.map((name) => `fstype=${name}`),
];

/** What may follow the path of a root disk. */
const ROOT_DISK_OPTIONS = [
  ...DiskImageFormats.map((name) => `format=${name}`),
  ...RootFileSystems.map((name) => `fstype=${name}`),
];

type TargetAndMount = readonly [target: string, mount: MountOptions];

/** A name that the library accepts. */
const VOLUME_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
/** What may follow the target of a directory or a volume, with commas between. */
const VOLUME_OPTIONS = ["ro", "rw", "noexec", "watch"];

/** `./project:/app`, `./project:/app:watch`, `./docs:/docs:ro`; `cache:/data` is a volume, which is made if it does not exist, as with Docker. */
export function parseVolume(text: string): TargetAndMount {
  const [source = "", target = "", mode = "rw", ...rest] = text.split(":");
  if (source === "" || !target.startsWith("/") || rest.length > 0)
    throw new InvalidArgumentError(
      "It must be SOURCE:TARGET or SOURCE:TARGET:OPTIONS, with an absolute TARGET.",
    );
  const options = mode.split(",");
  for (const option of options)
    if (!VOLUME_OPTIONS.includes(option))
      throw new InvalidArgumentError(`${option}: expected one of ${VOLUME_OPTIONS.join(", ")}.`);
  const readonly = options.includes("ro");
  const isVolume = !source.includes("/") && source !== "." && source !== "..";
  const more = {
    ...(options.includes("noexec") && { noExec: true }),
    ...(options.includes("watch") && { watch: true }),
  };
  if (isVolume && !VOLUME_NAME.test(source))
    throw new InvalidArgumentError(
      `No volume can be called ${source}. Begin a path with ./ or /: ./${source}`,
    );
  if (isVolume) return [target, { volume: source, mode: "ensure", readonly, ...more }];
  return [target, { bind: source, readonly, ...more }];
}

/** `/scratch`, `/scratch:64M`. */
export function parseTmpfs(text: string): TargetAndMount {
  const [target = "", size, ...rest] = text.split(":");
  if (!target.startsWith("/") || rest.length > 0)
    throw new InvalidArgumentError("It must be TARGET or TARGET:SIZE, with an absolute TARGET.");
  return [target, { tmpfs: true, sizeMiB: size === undefined ? undefined : parseSizeMiB(size) }];
}

/** `./data.img:/data`, `./data.qcow2:/data:ro,format=qcow2,fstype=ext4`. */
export function parseDiskMount(text: string): TargetAndMount {
  const [disk = "", target = "", options, ...rest] = text.split(":");
  if (disk === "" || !target.startsWith("/") || rest.length > 0)
    throw new InvalidArgumentError("It must be PATH:TARGET or PATH:TARGET:OPTIONS, with an absolute TARGET.");
  const mount: Mutable<DiskMountOptions> = { disk };
  for (const option of options === undefined ? [] : options.split(",")) {
    const format = DiskImageFormats.find((name) => option === `format=${name}`);
    const fstype = DiskFileSystems.find((name) => option === `fstype=${name}`);
    if (format !== undefined) mount.format = format;
    else if (fstype !== undefined) mount.fstype = fstype;
    else if (option === "ro" || option === "rw") mount.readonly = option === "ro";
    else if (option === "noexec") mount.noExec = true;
    else throw new InvalidArgumentError(`${option}: expected one of ${DISK_OPTIONS.join(", ")}.`);
  }
  return [target, mount];
}

/** `8G`, `tmpfs`, `tmpfs:256M`, `./scratch.img`, `./scratch.qcow2:format=qcow2,fstype=ext4`. */
export function parseRootDisk(text: string): Pick<SandboxOptions, "diskMiB" | "rootDisk"> {
  const [disk = "", options, ...rest] = text.split(":");
  if (disk === "tmpfs" && rest.length === 0)
    return { rootDisk: { tmpfs: true, sizeMiB: options === undefined ? undefined : parseSizeMiB(options) } };
  if (/^[\d.]/.test(disk) && !disk.includes("/")) return { diskMiB: parseSizeMiB(text) };
  if (!disk.includes("/") || rest.length > 0)
    throw new InvalidArgumentError(
      "It must be a size (8G), memory (tmpfs, tmpfs:256M), or the path of a disk image with a / in it (./scratch.img).",
    );
  const image: Mutable<ImageRootDiskOptions> = { disk };
  for (const option of options === undefined ? [] : options.split(",")) {
    const format = DiskImageFormats.find((name) => option === `format=${name}`);
    const fstype = RootFileSystems.find((name) => option === `fstype=${name}`);
    if (format !== undefined) image.format = format;
    else if (fstype !== undefined) image.fstype = fstype;
    else throw new InvalidArgumentError(`${option}: expected one of ${ROOT_DISK_OPTIONS.join(", ")}.`);
  }
  return { rootDisk: image };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
