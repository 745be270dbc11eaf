/**
 * The volumes of one home: made, found and removed so that a process that is killed at any point leaves nothing that the next
 * look does not heal. A process that works on a volume holds its lock exclusively. So what is unfinished and not locked was left by
 * a process that is gone:
 *
 * - `<id>.new` without a row: half made. Deleted.
 * - `<id>.new` with a row: made, but for its name. Named.
 * - `<id>.old`: half removed. The row goes, too.
 * - made for a sandbox that never came up, by a process that is gone: removed.
 *
 * A directory without a suffix and without a row means that the state database was lost. It is left alone.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, realpathSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { InternalError, IoError, MicrosandboxError } from "../base/errors.ts";
import { pollUntil } from "../base/wait.ts";
import type { FileLock } from "../platform/file_lock.ts";
import { homePaths } from "../platform/home.ts";
import { ifPresent, namesIfPresent, renameIfPresent } from "../platform/if_present.ts";
import { isElsewhere, isSameProcess, type ProcessIdentity } from "../platform/process_identity.ts";
import { removeTree, removeTreeNow } from "../platform/remove_tree.ts";
import type { StateStore } from "../state/state_store.ts";
import type { VolumeKind, VolumeRow } from "../state/volumes.ts";
import { VolumeAlreadyExistsError, VolumeInUseError, VolumeNotFoundError } from "./errors.ts";
import {
  isVolumeLocked,
  parseVolumeEntry,
  removeVolumeLocks,
  tryLockVolume,
  UNFINISHED,
  VOLUME_CONTENT,
  volumeDirectory,
} from "./volume_place.ts";

/** A volume, and where what it holds is. */
export interface StoredVolume extends VolumeRow {
  /** The directory with its files, or the disk: absolute, without links. */
  readonly path: string;
}

/** The properties of a new volume. */
export interface NewVolume {
  readonly name: string;
  readonly kind: VolumeKind;
  readonly sizeBytes: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** The process that makes it for a future sandbox. @default {it stays} */
  readonly maker?: ProcessIdentity | undefined;
}

/** A process that makes or heals a volume holds its lock for a moment; one that removes it, until it is gone. */
const LOCK_MS_MAX = 5_000;
const LOCK_POLL_MS = 5;
/** A VM that ends lets go of its volumes a moment after its sandbox has ended. */
const VM_END_MS_MAX = 1_000;
/** A lock file that leads to no volume may belong to one that is about to be made, unless it is this old. */
const ORPHAN_AGE_MS_MIN = 60_000;

/** See the module. */
export class VolumeStore {
  readonly #state: StateStore;

  constructor(state: StateStore) {
    this.#state = state;
  }

  get #home(): string {
    return this.#state.home;
  }

  /**
   * Makes a volume.
   *
   * @param fill Makes what it holds at the path.
   * @throws {VolumeAlreadyExistsError}
   */
  async create(volume: NewVolume, fill: (path: string) => Promise<void>): Promise<StoredVolume> {
    this.heal();
    if (this.#state.volumes.find(volume.name) !== undefined) throw new VolumeAlreadyExistsError(volume.name);
    const id = randomUUID();
    const directory = volumeDirectory(this.#home, id);
    const unfinished = `${directory}${UNFINISHED.made}`;
    using _lock = this.#lockNew(id);
    const row = { id, ...volume, maker: volume.maker, createdAt: new Date() };
    let isMade = false;
    try {
      mkdirSync(unfinished, { mode: 0o700 });
      await fill(join(unfinished, VOLUME_CONTENT[volume.kind]));
      if (!this.#state.volumes.insert(row)) throw new VolumeAlreadyExistsError(volume.name);
      isMade = true;
      renameSync(unfinished, directory);
      return this.#stored(row);
    } catch (error) {
      if (isMade) this.#state.volumes.remove(id);
      rmSync(unfinished, { recursive: true, force: true });
      removeVolumeLocks(this.#home, id);
      throw MicrosandboxError.is(error) ? error : new IoError(`make ${directory}`, directory, error);
    }
  }

  #lockNew(id: string): FileLock {
    const lock = tryLockVolume(this.#home, id, "use", "exclusive");
    if (lock === undefined) throw new InternalError(`another process has the lock of the new volume ${id}`);
    return lock;
  }

  /** @throws {VolumeNotFoundError} */
  async get(name: string): Promise<StoredVolume> {
    const found = await this.find(name);
    if (found === undefined) throw new VolumeNotFoundError(name);
    return found;
  }

  /** The volume of that name, once it is whole; `undefined` if there is none. */
  async find(name: string): Promise<StoredVolume | undefined> {
    this.heal();
    const row = this.#state.volumes.find(name);
    if (row === undefined) return undefined;
    await this.#named(row.id);
    return this.#stored(row);
  }

  /** All volumes, by name. */
  async list(): Promise<StoredVolume[]> {
    this.heal();
    const rows = this.#state.volumes.list();
    await Promise.all(rows.map(({ id }) => this.#named(id)));
    return rows.map((row) => this.#stored(row));
  }

  /** Between its row and its name, a volume that another process makes is not there yet. */
  async #named(id: string): Promise<void> {
    const directory = volumeDirectory(this.#home, id);
    const look = () => {
      if (!existsSync(`${directory}${UNFINISHED.made}`)) return true;
      this.#healDirectory(id); // its process may have been killed
      return existsSync(directory);
    };
    await pollUntil(look, { everyMs: LOCK_POLL_MS, timeoutMs: LOCK_MS_MAX });
  }

  /**
   * Marks a volume as used until the result is disposed of, so that it is not removed.
   *
   * @throws {VolumeNotFoundError} if it is gone.
   */
  async use({ id, name }: Pick<StoredVolume, "id" | "name">): Promise<FileLock> {
    const isGone = () => this.#state.volumes.findById(id) === undefined;
    const look = () => tryLockVolume(this.#home, id, "use", "shared") ?? (isGone() ? "gone" : undefined);
    const lock = await pollUntil(look, { everyMs: LOCK_POLL_MS, timeoutMs: LOCK_MS_MAX });
    if (lock !== undefined && lock !== "gone" && !isGone()) return lock;
    if (lock !== "gone") lock?.[Symbol.dispose]();
    throw new VolumeNotFoundError(name);
  }

  /**
   * Removes a volume with all that it holds. With `id`, only that very one.
   *
   * @param users Names of those that use it, for the error.
   * @throws {VolumeNotFoundError}
   * @throws {VolumeInUseError}
   */
  async remove(name: string, id: string | undefined, users: () => readonly string[]): Promise<void> {
    this.heal();
    const row = this.#state.volumes.find(name);
    if (row === undefined || (id !== undefined && row.id !== id)) throw new VolumeNotFoundError(name);
    await this.#named(row.id);
    using lock = await this.#lockUnused(row.id, () => users().length > 0);
    if (lock === undefined) throw new VolumeInUseError(name, users(), "remove");
    if (this.#state.volumes.findById(row.id) === undefined) throw new VolumeNotFoundError(name);
    const directory = volumeDirectory(this.#home, row.id);
    try {
      renameIfPresent(directory, `${directory}${UNFINISHED.removed}`);
      this.#state.volumes.remove(row.id);
      await removeTree(`${directory}${UNFINISHED.removed}`);
      removeVolumeLocks(this.#home, row.id);
    } catch (error) {
      throw new IoError(`remove ${directory}`, directory, error);
    }
  }

  /** The exclusive lock, once a VM that ends has released it; `undefined` if the volume stays in use. */
  async #lockUnused(id: string, isUsed: () => boolean): Promise<FileLock | undefined> {
    const look = () => tryLockVolume(this.#home, id, "use", "exclusive") ?? (isUsed() ? "used" : undefined);
    const lock = await pollUntil(look, { everyMs: LOCK_POLL_MS, timeoutMs: VM_END_MS_MAX });
    return lock === "used" ? undefined : lock;
  }

  /** Removes a volume that was made for a sandbox, unless another one uses it, or has come up with it. */
  discard({ id }: Pick<StoredVolume, "id">): void {
    this.#takeBack(id, (maker) => maker !== undefined);
  }

  /**
   * Under the volume's lock. What cannot be removed stays, and is tried again by the next look: it has no name any more, and must
   * not keep other volumes from being used.
   */
  #finishRemoval(id: string): void {
    this.#state.volumes.remove(id);
    try {
      removeTreeNow(`${volumeDirectory(this.#home, id)}${UNFINISHED.removed}`);
    } catch {
      return;
    }
    removeVolumeLocks(this.#home, id);
  }

  /** Finishes or undoes the work of processes that are gone. */
  heal(): void {
    for (const name of namesIfPresent(homePaths(this.#home).volumes)) {
      const entry = parseVolumeEntry(name);
      if (entry?.is === "lock") this.#healLock(name, entry.id);
      if (entry?.is === "unfinished") this.#healDirectory(entry.id);
    }
    for (const { id, maker } of this.#state.volumes.unsettled())
      if (isOver(maker)) this.#takeBack(id, isOver);
  }

  #takeBack(id: string, isToGo: (maker: ProcessIdentity | undefined) => boolean): void {
    using lock = tryLockVolume(this.#home, id, "use", "exclusive");
    if (lock === undefined || !isToGo(this.#state.volumes.findById(id)?.maker)) return;
    const directory = volumeDirectory(this.#home, id);
    renameIfPresent(directory, `${directory}${UNFINISHED.removed}`);
    this.#finishRemoval(id);
  }

  #healDirectory(id: string): void {
    using lock = tryLockVolume(this.#home, id, "use", "exclusive");
    if (lock === undefined) return; // its process is at work
    const directory = volumeDirectory(this.#home, id);
    const unfinished = `${directory}${UNFINISHED.made}`;
    if (existsSync(`${directory}${UNFINISHED.removed}`)) this.#finishRemoval(id);
    else if (this.#state.volumes.findById(id) !== undefined) renameIfPresent(unfinished, directory);
    else {
      rmSync(unfinished, { recursive: true, force: true });
      removeVolumeLocks(this.#home, id);
    }
  }

  #healLock(name: string, id: string): void {
    if (existsSync(volumeDirectory(this.#home, id)) || this.#state.volumes.findById(id) !== undefined) return;
    const path = join(homePaths(this.#home).volumes, name);
    const status = statSync(path, { throwIfNoEntry: false });
    if (status === undefined || Date.now() - status.mtimeMs < ORPHAN_AGE_MS_MIN) return;
    if (!isVolumeLocked(this.#home, id, "use", "exclusive")) removeVolumeLocks(this.#home, id);
  }

  /** If its directory is gone, which only a person can have done, its next use reports that. */
  #stored(row: VolumeRow): StoredVolume {
    const path = join(volumeDirectory(this.#home, row.id), VOLUME_CONTENT[row.kind]);
    return { ...row, path: ifPresent(() => realpathSync(path)) ?? path };
  }
}

/** Whether the process that made a volume for a sandbox is gone. Of one in another PID namespace it cannot be told. */
function isOver(maker: ProcessIdentity | undefined): boolean {
  return maker !== undefined && !isElsewhere(maker) && !isSameProcess(maker);
}
