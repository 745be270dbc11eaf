/**
 * Disk images that a caller may mount in a sandbox, checked.
 *
 * @module
 */
import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { messageOf } from "../base/errors.ts";
import { qcow2Problem } from "../image/qcow2_header.ts";

/** How the file of a disk holds the disk's bytes: as they are, or in QEMU's format. */
export const DISK_IMAGE_FORMATS = ["raw", "qcow2"] as const;

/** How the file of a disk holds the disk's bytes: `"raw"`, as they are, or `"qcow2"`, QEMU's format. */
export type DiskImageFormat = (typeof DISK_IMAGE_FORMATS)[number];

/** File systems of disks that the guest's kernel knows. */
export const DISK_FILE_SYSTEMS = ["ext4", "ext3", "ext2", "xfs", "btrfs", "vfat", "erofs"] as const;

/** A file system that the guest's kernel mounts from a disk. */
export type DiskFileSystem = (typeof DISK_FILE_SYSTEMS)[number];

/** A disk image of this machine, which becomes a disk of the VM. */
export interface DiskMountOptions {
  /** Its path here: a regular file, with a file system in it and no partitions. */
  readonly disk: string;
  /**
   * `"qcow2"` needs the qemu engine. It is never guessed: a guest that writes to a raw disk could make it look like a qcow2
   * one that names a file of this machine.
   *
   * @default {"raw"}
   */
  readonly format?: DiskImageFormat | undefined;
  /** The file system on it. @default the guest finds out */
  readonly fstype?: DiskFileSystem | undefined;
  /**
   * Whether the guest has a disk that cannot be written to. Sandboxes may share such a disk; a writable disk
   * has one user at a time.
   *
   * @default {false}
   */
  readonly readonly?: boolean | undefined;
  /** Whether programs in it cannot be run. @default {false} */
  readonly noExec?: boolean | undefined;
}

/** What both engines give the guest: whole sectors. */
const SECTOR_BYTES = 512;

/** What is wrong with a disk to mount; `undefined` if a VM may have it. */
export function diskProblem({
  disk,
  format,
  readonly: isReadonly,
}: {
  readonly disk: string;
  readonly format: DiskImageFormat;
  readonly readonly: boolean;
}): string | undefined {
  const status = statSync(disk, { throwIfNoEntry: false });
  if (status === undefined) return `there is no ${disk} on this machine`;
  if (!status.isFile()) return `${disk} is not a regular file`;
  try {
    accessSync(disk, isReadonly ? constants.R_OK : constants.R_OK | constants.W_OK);
    const problem = format === "qcow2" ? qcow2Problem(disk) : rawProblem(status.size);
    return problem === undefined ? undefined : `${disk} cannot be a ${format} disk: ${problem}`;
  } catch (error) {
    return `${disk} cannot be used: ${messageOf(error)}`;
  }
}

/** What is wrong with the path of a disk that was resolved before; a guest may have made what lies on it since then. */
export function storedDiskProblem(mount: {
  readonly source: string;
  readonly format: DiskImageFormat;
  readonly readonly: boolean;
}): string | undefined {
  const problem = diskProblem({ disk: mount.source, ...mount });
  if (problem !== undefined || realpathSync(mount.source) === mount.source) return problem;
  return `a symbolic link has come to lie on the path ${mount.source}`;
}

function rawProblem(sizeBytes: number): string | undefined {
  return sizeBytes > 0 && sizeBytes % SECTOR_BYTES === 0
    ? undefined
    : `its size must be a multiple of ${SECTOR_BYTES} bytes, and is ${sizeBytes}`;
}
