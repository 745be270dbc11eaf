/**
 * Keeps the disks of users for one VM while it lives. The kernel takes the locks back when this process ends.
 *
 * A guest that has the directory of a disk's file may put another file, or a link, in its place at any moment. So what has been
 * locked is known by the file itself, and once the VM has opened its disks they are compared with that. No program of the guest
 * runs before.
 *
 * @module
 */
import { readdirSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { basename } from "node:path";
import { IoError } from "../../base/errors.ts";
import { pollUntil } from "../../base/wait.ts";
import { fileIdentity } from "../../platform/file_identity.ts";
import { tryLockFile } from "../../platform/file_lock.ts";
import { ifPresent } from "../../platform/if_present.ts";
import type { StateStore } from "../../state/state_store.ts";
import { DiskInUseError } from "../errors.ts";
import type { DiskConfig } from "../host_protocol.ts";
import { holdVolume } from "./volume_holds.ts";

/** How long to try: a look at a lock holds it for less than a millisecond, a VM that ends a little longer. */
const LOCK_WAIT_MS_MAX = 1_000;
const LOCK_POLL_MS = 10;

/**
 * Takes the locks, and checks that the paths still lead to the disks.
 *
 * @throws {DiskInUseError}
 */
export async function holdDisks(state: StateStore, disks: readonly DiskConfig[]): Promise<void> {
  for (const { path, readOnly, lockPath } of disks) {
    if (lockPath === undefined) continue;
    const lock = await pollUntil(() => tryLockFile(lockPath, readOnly ? "shared" : "exclusive"), {
      everyMs: LOCK_POLL_MS,
      timeoutMs: LOCK_WAIT_MS_MAX,
    });
    if (lock === undefined) throw new DiskInUseError(path);
    holdVolume(state, path);
    checkPath(path, lockPath);
  }
}

/** The path was resolved when the sandbox was created. A guest may have changed it since then. @throws {IoError} */
function checkPath(path: string, lockPath: string): void {
  try {
    if (realpathSync(path) !== path) throw new Error("a symbolic link has come to lie on the path");
    const status = statSync(path, { bigint: true });
    if (!status.isFile()) throw new Error("it is not a regular file any more");
    if (fileIdentity(status) !== basename(lockPath))
      throw new Error("another file has come to lie on the path");
  } catch (error) {
    throw new IoError(`use the disk ${path}`, path, error);
  }
}

/** What is compared with the files that a VM has opened. */
export interface OpenedDisks {
  readonly disks: readonly DiskConfig[];
  /** The process that has opened them. */
  readonly pid: number;
  /** Whether that process does nothing else: then it must open no other files than those of `runDirectory`. */
  readonly isVmAlone: boolean;
  readonly runDirectory: string;
}

/**
 * Checks that a VM has opened the very disks that are locked for it, and, if one of them can name others, nothing else.
 *
 * @throws {IoError}
 */
export function checkOpenedDisks({ disks, pid, isVmAlone, runDirectory }: OpenedDisks): void {
  const attached = disks.filter(({ lockPath }) => lockPath !== undefined);
  if (attached.length === 0) return;
  const open = openFiles(pid);
  for (const { path, lockPath = "" } of attached)
    if (!open.has(basename(lockPath)))
      throw new IoError(`use the disk ${path}`, path, new Error("the VM has opened another file"));
  const naming = attached.find(({ format = "raw" }) => format !== "raw");
  if (naming === undefined || !isVmAlone) return;
  const known = new Set(disks.map(({ path }) => fileIdentity(statSync(path, { bigint: true }))));
  for (const { lockPath = "" } of attached) known.add(basename(lockPath));
  for (const [identity, target] of open) {
    if (known.has(identity) || isOwnFile(target, runDirectory)) continue;
    const cause = new Error(`with it the VM has opened ${target}: a guest may have written its header`);
    throw new IoError(`use the disk ${naming.path}`, naming.path, cause);
  }
}

/** Memory of the VM, and its console and messages. */
function isOwnFile(target: string, runDirectory: string): boolean {
  return target.startsWith("/memfd:") || target.startsWith(`${runDirectory}/`);
}

/** Files and block devices that a process has open, by identity, and what they are called. */
function openFiles(pid: number): ReadonlyMap<string, string> {
  const directory = `/proc/${pid}/fd`;
  const open = new Map<string, string>();
  try {
    for (const fd of readdirSync(directory)) {
      const look = () => {
        const status = statSync(`${directory}/${fd}`, { bigint: true });
        if (status.isFile() || status.isBlockDevice())
          open.set(fileIdentity(status), readlinkSync(`${directory}/${fd}`));
      };
      ifPresent(look); // closed since it was listed
    }
  } catch (error) {
    throw new IoError(`see which files process ${pid} has open`, directory, error);
  }
  return open;
}
