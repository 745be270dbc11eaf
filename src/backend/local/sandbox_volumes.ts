/**
 * The volumes of one boot: found or made, and held against removal until the VM host process holds them itself.
 *
 * @module
 */
import { InternalError, InvalidConfigError } from "../../base/errors.ts";
import type { MountConfig } from "../../options/mount_options.ts";
import { type VolumeRequest, volumeConfig } from "../../options/volume_options.ts";
import type { FileLock } from "../../platform/file_lock.ts";
import type { StateStore } from "../../state/state_store.ts";
import { VolumeInUseError } from "../../volume/errors.ts";
import { tryLockVolume } from "../../volume/volume_place.ts";
import { type StoredVolume, VolumeStore } from "../../volume/volume_store.ts";
import { isDiskFree } from "./attached_disks.ts";
import { LocalVolumes } from "./local_volumes.ts";

/** A mount of a volume. */
export type VolumeMount = Extract<MountConfig, { readonly kind: "volume" }>;

/** The volumes that a boot needs. */
export interface VolumesWanted {
  readonly state: StateStore;
  readonly mounts: readonly MountConfig[];
  /** What was asked of them. @default {they must exist} */
  readonly requests?: readonly VolumeRequest[] | undefined;
}

/** A mount whose volume is resolved. */
export type ResolvedMount = Exclude<MountConfig, VolumeMount>;

/** See the module. */
export class SandboxVolumes implements Disposable {
  readonly #store: VolumeStore;
  readonly #byName = new Map<string, StoredVolume>();
  readonly #made: StoredVolume[] = [];
  readonly #locks = new DisposableStack();

  private constructor(state: StateStore) {
    this.#store = new VolumeStore(state);
  }

  /**
   * Checks that the volumes are available. Makes none.
   *
   * @param replaced Name of a sandbox that is removed first, which frees its volumes.
   * @returns The mounts as they will be: a volume that is not made yet has no path.
   * @throws {VolumeNotFoundError | VolumeAlreadyExistsError | VolumeInUseError | InvalidConfigError}
   */
  static async check(wanted: VolumesWanted, replaced?: string): Promise<readonly ResolvedMount[]> {
    const { state, mounts } = wanted;
    const volumes = new LocalVolumes(state);
    const found = new Map<string, Pick<StoredVolume, "kind" | "path">>();
    for (const request of requestsOf(wanted)) {
      const volume = await volumes.find(request);
      const { kind } = volume ?? request.config;
      const own = mounts.filter((mount) => isOf(mount, request.name));
      checkDisk(own, kind);
      if (volume?.kind === "disk") {
        const users = volumes.usersOf(volume.name).filter((name) => name !== replaced);
        const isOwn = replaced !== undefined && users.length === 0;
        using claim = isOwn ? undefined : await claimDisk(state.home, volume, isReadonly(own));
        if (!isOwn && claim === undefined) throw inUse(volume, users, isReadonly(own));
      }
      found.set(request.name, volume ?? { kind, path: "" });
    }
    return resolve(mounts, found);
  }

  /** Finds or makes the volumes. {@linkcode undo} removes those that it made. Errors: see {@linkcode check}. */
  static async open(wanted: VolumesWanted): Promise<SandboxVolumes> {
    const { state, mounts } = wanted;
    const opened = new SandboxVolumes(state);
    const volumes = new LocalVolumes(state);
    try {
      for (const request of requestsOf(wanted)) {
        const { volume, isNew } = await volumes.obtain(request);
        if (isNew) opened.#made.push(volume);
        opened.#locks.use(await opened.#store.use(volume));
        const own = mounts.filter((mount) => isOf(mount, volume.name));
        checkDisk(own, volume.kind);
        if (volume.kind === "disk") {
          const claim = await claimDisk(state.home, volume, isReadonly(own));
          if (claim === undefined) throw inUse(volume, volumes.usersOf(volume.name), isReadonly(own));
          opened.#locks.use(claim);
        }
        opened.#byName.set(volume.name, volume);
      }
      return opened;
    } catch (error) {
      opened.undo();
      throw error;
    }
  }

  /** The mounts, with volumes replaced by directories and disks of this machine. */
  resolve(mounts: readonly MountConfig[]): readonly ResolvedMount[] {
    return resolve(mounts, this.#byName);
  }

  /** Removes the volumes that were made for this failed boot, unless others use them already. */
  undo(): void {
    this[Symbol.dispose]();
    for (const volume of this.#made.splice(0)) this.#store.discard(volume);
  }

  /** Releases the volumes, which the VM host process holds now. */
  [Symbol.dispose](): void {
    this.#locks.dispose();
  }
}

function resolve(
  mounts: readonly MountConfig[],
  volumes: ReadonlyMap<string, Pick<StoredVolume, "kind" | "path">>,
): readonly ResolvedMount[] {
  return mounts.map((mount) => {
    if (mount.kind !== "volume") return mount;
    const { target, volume: name, readonly, noExec, owner, watch, locks } = mount;
    const volume = volumes.get(name);
    if (volume === undefined) throw new InternalError(`the volume ${name} was not looked for`);
    const { kind, path: source } = volume;
    return kind === "disk"
      ? { kind: "disk", target, source, format: "raw", fstype: "ext4", readonly, noExec }
      : {
          ...{ kind: "bind", target, source, readonly, noExec, owner },
          ...(watch === true && { watch }),
          ...(locks !== undefined && { locks }),
        };
  });
}

/** The right to boot a VM with a disk; `undefined` if another VM excludes it. */
async function claimDisk(
  home: string,
  { id, path }: StoredVolume,
  isShared: boolean,
): Promise<FileLock | undefined> {
  const claim = tryLockVolume(home, id, "claim", isShared ? "shared" : "exclusive");
  if (claim === undefined) return undefined;
  // Only the holder of the claim boots a VM with the disk, so testing its lock is harmless.
  if (await isDiskFree(home, path, isShared)) return claim;
  claim[Symbol.dispose]();
  return undefined;
}

function isOf(mount: MountConfig, name: string): mount is VolumeMount {
  return mount.kind === "volume" && mount.volume === name;
}

/** One request for each volume. A restart requires that they exist. */
function requestsOf({ mounts, requests = [] }: VolumesWanted): VolumeRequest[] {
  const names = new Set(mounts.flatMap((mount) => (mount.kind === "volume" ? [mount.volume] : [])));
  return [...names].map((name) => {
    const asked = requests.filter((request) => request.name === name);
    // A volume that is mounted at two places is made once.
    const making = asked.find(({ mode }) => mode !== "existing");
    return making ?? asked[0] ?? { name, mode: "existing", wanted: {}, config: volumeConfig(name, {}) };
  });
}

/** Refuses options that a disk cannot have. */
function checkDisk(mounts: readonly VolumeMount[], kind: StoredVolume["kind"]): void {
  if (kind !== "disk") return;
  const refuse = ({ target }: VolumeMount, problem: string) =>
    new InvalidConfigError([{ field: `mounts[${JSON.stringify(target)}]`, problem }]);
  const [first, second] = mounts;
  if (second !== undefined) throw refuse(second, "a disk can be mounted at one place of a sandbox only");
  if (first?.owner !== undefined)
    throw refuse(first, "owner is for directories only: a disk keeps the owners of its files itself");
  if (first?.watch === true)
    throw refuse(first, "watch is for directories only: a disk is changed by its one sandbox alone");
}

/** A writer excludes all others. */
function isReadonly(mounts: readonly VolumeMount[]): boolean {
  return mounts.every((mount) => mount.readonly);
}

function inUse(volume: StoredVolume, users: readonly string[], isShared: boolean): VolumeInUseError {
  return new VolumeInUseError(volume.name, users, isShared ? "read" : "write");
}
