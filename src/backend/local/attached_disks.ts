/**
 * Disk images of users that a sandbox mounts: what is checked before anything is made, and how the VM host process gets them.
 *
 * @module
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { InvalidConfigError, IoError, UnsupportedError } from "../../base/errors.ts";
import { pollUntil } from "../../base/wait.ts";
import { storedDiskProblem } from "../../options/disk_mount.ts";
import type { DiskMountConfig } from "../../options/mount_options.ts";
import type { SandboxConfig } from "../../options/sandbox_options.ts";
import { fileIdentity } from "../../platform/file_identity.ts";
import { tryLockFile } from "../../platform/file_lock.ts";
import { homePaths } from "../../platform/home.ts";
import { DiskInUseError } from "../../vmm/errors.ts";
import type { DiskConfig } from "../../vmm/host_protocol.ts";
import type { SelectedEngine } from "../../vmm/launch/doctor.ts";

/** A VM that ends lets go of its disks a moment after its sandbox has ended. */
const LOCK_WAIT_MS_MAX = 1_000;
const LOCK_POLL_MS = 10;

type ConfiguredDisks = Pick<SandboxConfig, "mounts" | "network" | "rootDisk" | "rootDirectory">;

/** A disk image of a user. */
interface AttachedDisk extends Pick<DiskMountConfig, "source" | "format" | "readonly"> {
  /** Which option it comes from. */
  readonly field: string;
}

/** Checks that the engine can give the guest these disks. @throws {UnsupportedError | InvalidConfigError} */
export function checkDiskEngine(config: ConfiguredDisks, { engine, devices }: SelectedEngine): void {
  const disks = attachedDisks(config);
  const foreign = disks.find(({ format }) => !devices.diskFormats.includes(format));
  if (foreign !== undefined) {
    const { source, format } = foreign;
    throw new UnsupportedError(`The engine ${engine} has no ${format} disks: ${devices.formatReason}`, {
      hint: `use the engine qemu, or: qemu-img convert -O raw ${source} ${source}.raw`,
    });
  }
  const hasNetwork = config.network.mode !== "none";
  const { rootDirectory, rootDisk } = config;
  // The agent's, the image, and what is written to.
  const ownDisks = 1 + Number(rootDirectory === undefined) + Number(rootDisk === undefined);
  const count = devices.own + ownDisks + disks.length + Number(hasNetwork);
  if (count <= devices.max) return;
  const excess = count - devices.max;
  const drop = excess === 1 ? "one disk" : `${excess} disks`;
  const instead = hasNetwork && excess === 1 ? ", or the network" : "";
  const problem = `must have fewer disks: a VM of the engine ${engine} has ${devices.max} virtio devices, and this one needs ${count}; drop ${drop}${instead}`;
  throw new InvalidConfigError([{ field: "mounts", problem }]);
}

/** Checks that the disks are there, and free; and the root's directory. @throws {InvalidConfigError | DiskInUseError} */
export async function checkDisks(home: string, config: ConfiguredDisks): Promise<void> {
  const { rootDirectory } = config;
  if (rootDirectory !== undefined && !statSync(rootDirectory, { throwIfNoEntry: false })?.isDirectory()) {
    const problem = `there is no directory ${rootDirectory} on this machine any more`;
    throw new InvalidConfigError([{ field: "rootDirectory", problem }]);
  }
  for (const { field, ...disk } of attachedDisks(config)) {
    const problem = storedDiskProblem(disk);
    if (problem !== undefined) throw new InvalidConfigError([{ field, problem }]);
    if (!(await isDiskFree(home, disk.source, disk.readonly))) throw new DiskInUseError(disk.source);
  }
}

/** Whether a VM could have the disk at `path` now, or in a moment. */
export async function isDiskFree(home: string, path: string, isReadonly: boolean): Promise<boolean> {
  const lockPath = lockPathOf(home, path);
  const look = () => {
    using lock = tryLockFile(lockPath, isReadonly ? "shared" : "exclusive");
    return lock !== undefined;
  };
  const isFree = await pollUntil(look, { everyMs: LOCK_POLL_MS, timeoutMs: LOCK_WAIT_MS_MAX });
  return isFree !== undefined;
}

/** The disk, for the VM host process. @throws {IoError} if it is gone. */
export function diskConfig(home: string, disk: Omit<AttachedDisk, "field">, id: string): DiskConfig {
  const { source: path, format, readonly: readOnly } = disk;
  return { id, path, format, readOnly, lockPath: lockPathOf(home, path) };
}

function attachedDisks({ mounts, rootDisk }: ConfiguredDisks): readonly AttachedDisk[] {
  const mounted = mounts.filter((mount) => mount.kind === "disk");
  return [
    ...(rootDisk?.kind === "disk" ? [{ ...rootDisk, readonly: false, field: "rootDisk" }] : []),
    ...mounted.map((mount) => ({ ...mount, field: `mounts[${JSON.stringify(mount.target)}]` })),
  ];
}

/** By the file, not by its path: a file may have several. The lock files stay; they are empty. */
function lockPathOf(home: string, path: string): string {
  try {
    return join(homePaths(home).diskLocks, fileIdentity(statSync(path, { bigint: true })));
  } catch (error) {
    throw new IoError(`look at ${path}`, path, error);
  }
}
