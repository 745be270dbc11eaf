/**
 * Where volumes lie, and the locks that say who uses them.
 *
 * `volumes/<id>` holds a volume. Its name says how far it is: `<id>.new` is being made, `<id>.old` is being removed. Locks
 * stand beside it; the kernel takes them back when their holder dies:
 *
 * - `<id>.lock`: shared by all who use the volume, exclusive for who makes, heals or removes it.
 * - `<id>.claim.lock`, for disks: of the process that boots a sandbox with it; exclusive if that is to write. So of two
 *   processes that boot at the same time one is refused before it has made anything. The VM itself then has the lock that
 *   every disk of a user has.
 *
 * @module
 */
import { existsSync, realpathSync } from "node:fs";
import { join, sep } from "node:path";
import { isBelow } from "../base/is_below.ts";
import { type FileLock, type LockMode, removeLockFile, tryLockFile } from "../platform/file_lock.ts";
import { homePaths } from "../platform/home.ts";

/** What is in the directory of a volume: files, or a disk. */
export const VOLUME_CONTENT = { directory: "data", disk: "disk.ext4" } as const;

/** Suffixes of directories that are not finished. */
export const UNFINISHED = { made: ".new", removed: ".old" } as const;

/** Which lock of a volume: see the module. */
export type VolumeLock = "use" | "claim";

const LOCK_SUFFIXES = { use: ".lock", claim: ".claim.lock" } as const satisfies Record<VolumeLock, string>;

/** Ids are UUIDs: nothing else in the directory is a volume. */
const ENTRY =
  /^(?<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?<suffix>\.new|\.old|(?:\.\w+)?\.lock(?:-journal)?)?$/;

/** The directory of a volume. */
export function volumeDirectory(home: string, id: string): string {
  return join(homePaths(home).volumes, id);
}

/** An entry of the directory of volumes. */
export interface VolumeEntry {
  readonly id: string;
  readonly is: "whole" | "unfinished" | "lock";
}

/** What an entry of the directory of volumes is; `undefined` for what does not belong there. */
export function parseVolumeEntry(name: string): VolumeEntry | undefined {
  const { id, suffix = "" } = ENTRY.exec(name)?.groups ?? {};
  if (id === undefined) return undefined;
  return { id, is: suffix === "" ? "whole" : suffix.includes(".lock") ? "lock" : "unfinished" };
}

/** The volume that `path`, an absolute path without links, lies in; `undefined` if it lies elsewhere. */
export function volumeIdOf(home: string, path: string): string | undefined {
  const { volumes } = homePaths(home);
  if (!existsSync(volumes)) return undefined;
  const root = `${realpathSync(volumes)}${sep}`;
  if (!path.startsWith(root)) return undefined;
  const [name = ""] = path.slice(root.length).split(sep);
  const entry = parseVolumeEntry(name);
  return entry?.is === "whole" ? entry.id : undefined;
}

/**
 * Whether a mount of `path`, an absolute path without links, would give a guest access to what this library keeps in its home. What
 * a volume holds belongs to guests. A read-only mount may hold the home, which is closed in it, but not lie there: reading a lock
 * is enough to lose it, as the VM host process does when it closes the file (fcntl(2), "Record locking").
 */
export function exposesHome(home: string, path: string, isReadonly: boolean): boolean {
  if (!existsSync(home)) return false;
  const root = realpathSync(home);
  if (path !== root && isBelow(root, path)) return !isReadonly;
  if (!isBelow(path, root)) return false;
  const id = volumeIdOf(home, path);
  return id === undefined || !isBelow(path, join(volumeDirectory(root, id), VOLUME_CONTENT.directory));
}

/** The error text for a mount that {@linkcode exposesHome}. */
export function homeProblem(path: string): string {
  return `must not let the guest into the home of all sandboxes (MSB_HOME): ${path} holds it, or lies in it; mount another directory, or one that holds it with readonly`;
}

/** The lock, or `undefined` while another holder excludes it. */
export function tryLockVolume(
  home: string,
  id: string,
  lock: VolumeLock,
  mode: LockMode,
): FileLock | undefined {
  return tryLockFile(`${volumeDirectory(home, id)}${LOCK_SUFFIXES[lock]}`, mode);
}

/** Whether a lock is not available in that mode now. */
export function isVolumeLocked(home: string, id: string, lock: VolumeLock, mode: LockMode): boolean {
  using held = tryLockVolume(home, id, lock, mode);
  return held === undefined;
}

/** For a volume that is gone: no other ever has its id. */
export function removeVolumeLocks(home: string, id: string): void {
  for (const suffix of Object.values(LOCK_SUFFIXES)) removeLockFile(`${volumeDirectory(home, id)}${suffix}`);
}
