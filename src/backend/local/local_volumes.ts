/** The volumes of one home on this machine. @module */
import { chmodSync, mkdirSync, statSync } from "node:fs";
import { MiB } from "../../base/bytes.ts";
import { IoError, UnsupportedError } from "../../base/errors.ts";
import { formatExt4 } from "../../image/ext4.ts";
import { configIfReadable } from "../../options/stored_config.ts";
import { checkWanted, type VolumeConfig, type VolumeRequest } from "../../options/volume_options.ts";
import { ownProcess, type ProcessIdentity } from "../../platform/process_identity.ts";
import type { StateStore } from "../../state/state_store.ts";
import { LIVE_STATUSES } from "../../state/status.ts";
import { VolumeAlreadyExistsError, VolumeNotFoundError } from "../../volume/errors.ts";
import { type StoredVolume, VolumeStore } from "../../volume/volume_store.ts";
import type { VolumeBackend, VolumeFiles, VolumeRecord } from "../backend.ts";
import { openDirectory, openShared } from "./open_volumes.ts";

/** The usual mode of a file system's root. Other users of this machine cannot reach it: the home is closed to them. */
const DIRECTORY_MODE = 0o755;
/** An ext4 file system has a label of 16 bytes at most. */
const DISK_LABEL = "msb-volume";
/** Attempts, because other processes may make and remove a volume of that name at the same time. */
const OBTAIN_ATTEMPTS_MAX = 5;
const BLOCK_BYTES = 512;

/** See the module. */
export class LocalVolumes implements VolumeBackend {
  readonly #state: StateStore;
  readonly #store: VolumeStore;

  constructor(state: StateStore) {
    this.#state = state;
    this.#store = new VolumeStore(state);
  }

  async create(config: VolumeConfig, maker?: ProcessIdentity): Promise<StoredVolume> {
    const { name, kind, sizeMiB, labels } = config;
    const sizeBytes = sizeMiB === undefined ? undefined : sizeMiB * MiB;
    return await this.#store.create({ name, kind, sizeBytes, labels, maker }, (path) =>
      makeContent(path, sizeBytes),
    );
  }

  async obtain(request: VolumeRequest): Promise<{ readonly volume: StoredVolume; readonly isNew: boolean }> {
    const maker = ownProcess();
    if (request.mode === "create") return { volume: await this.create(request.config, maker), isNew: true };
    for (let attempt = 1; ; attempt++) {
      const volume = await this.find(request);
      if (volume !== undefined) return { volume, isNew: false };
      try {
        return { volume: await this.create(request.config, maker), isNew: true };
      } catch (error) {
        const isRaceLost = error instanceof VolumeAlreadyExistsError && attempt < OBTAIN_ATTEMPTS_MAX;
        if (!isRaceLost) throw error;
      }
    }
  }

  async discard(volume: VolumeRecord): Promise<void> {
    this.#store.discard(volume);
  }

  /**
   * The requested volume; `undefined` if it must be made.
   *
   * @throws {VolumeNotFoundError} {@linkcode VolumeAlreadyExistsError} depending on its mode.
   * @throws {InvalidConfigError} if it is not what was asked for.
   */
  async find(request: VolumeRequest): Promise<StoredVolume | undefined> {
    const { name, mode } = request;
    const volume = mode === "existing" ? await this.#store.get(name) : await this.#store.find(name);
    if (volume === undefined) return undefined;
    if (mode === "create") throw new VolumeAlreadyExistsError(name);
    checkWanted(request, volume);
    return volume;
  }

  get(name: string): Promise<StoredVolume> {
    return this.#store.get(name);
  }

  list(): Promise<readonly StoredVolume[]> {
    return this.#store.list();
  }

  async remove(name: string, id?: string): Promise<void> {
    await this.#store.remove(name, id, () => this.usersOf(name));
  }

  /** Names of the running sandboxes that were created with a volume. */
  usersOf(volume: string): string[] {
    return this.#state
      .list({ statuses: LIVE_STATUSES })
      .filter(({ configJson }) =>
        configIfReadable(configJson)?.mounts.some(
          (mount) => mount.kind === "volume" && mount.volume === volume,
        ),
      )
      .map(({ name }) => name);
  }

  async usedBytes(volume: VolumeRecord): Promise<number | undefined> {
    if (volume.kind === "disk") {
      const status = statSync(volume.path, { throwIfNoEntry: false });
      return (status?.blocks ?? 0) * BLOCK_BYTES;
    }
    const { measureTree } = await import("../../mount/measure_tree.ts");
    try {
      const opened = await this.#open(volume);
      try {
        return await measureTree(opened.files);
      } finally {
        await opened.close();
      }
    } catch (error) {
      if (error instanceof VolumeNotFoundError) return undefined;
      if (error instanceof IoError) return 0; // its directory is gone
      throw error;
    }
  }

  async openFiles(volume: VolumeRecord): Promise<VolumeFiles> {
    const { id, name, kind } = volume;
    if (kind === "disk")
      throw new UnsupportedError(
        `The volume ${JSON.stringify(name)} is a disk, whose files only a sandbox can read`,
        { hint: "mount it in a sandbox, and use sandbox.fs()" },
      );
    const opened = await this.#open(volume);
    this.#state.volumes.settle(id); // a caller that works on its files wants it to stay, even if it was made for a sandbox
    return opened;
  }

  #open(volume: VolumeRecord): Promise<VolumeFiles> {
    return openShared(volume.path, async () => {
      const use = await this.#store.use(volume);
      try {
        return { use, files: await openDirectory(volume.path) };
      } catch (error) {
        use[Symbol.dispose]();
        throw new IoError(`open the files of the volume ${JSON.stringify(volume.name)}`, volume.path, error);
      }
    });
  }
}

/** An empty directory, or a disk with an empty file system. */
async function makeContent(path: string, sizeBytes: number | undefined): Promise<void> {
  if (sizeBytes === undefined) {
    mkdirSync(path);
    chmodSync(path, DIRECTORY_MODE); // whatever the umask is
    return;
  }
  await formatExt4({ path, sizeBytes, label: DISK_LABEL, timestampSeconds: Math.floor(Date.now() / 1000) });
}
