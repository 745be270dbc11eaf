/**
 * Named volumes as users see them: files that outlive sandboxes.
 *
 * @module
 */
import { z } from "zod";
import type { Backend, VolumeRecord } from "../../backend/backend.ts";
import { defaultBackend } from "../../backend/default_backend.ts";
import { withoutUndefined } from "../../base/defined.ts";
import { UnsupportedError } from "../../base/errors.ts";
import { parseConfig } from "../../base/parse_config.ts";
import { hasLabels, wantedLabelsSchema } from "../../options/labels.ts";
import {
  checkVolumeName,
  parseVolumeOptions,
  type VolumeCreateOptions,
  type VolumeKind,
} from "../../options/volume_options.ts";
import { VolumeNotFoundError } from "../../volume/errors.ts";
import { VolumeFs } from "./volume_fs.ts";
import { VolumeHandle } from "./volume_handle.ts";

/** Which volumes to list. */
export interface VolumeListOptions {
  /** Only those that have all of these. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

const listSchema = z.strictObject({ labels: wantedLabelsSchema.optional() });

/**
 * Files that outlive sandboxes, under a name. A volume is a directory of this machine, which any number of sandboxes may have
 * at once, or a disk with a size of its own, which one sandbox may write at a time.
 *
 * @example
 * ```ts
 * import { Sandbox, Volume } from "microsandbox";
 *
 * const volume = await Volume.create({ name: "results" });
 * {
 *   await using sandbox = await Sandbox.create({
 *     name: "worker",
 *     image: "./rootfs",
 *     replace: true,
 *     mounts: { "/data": { volume: "results" } },
 *   });
 *   await sandbox.shell("echo 42 > /data/answer");
 * }
 * console.log(await volume.fs().readToString("/answer")); // 42
 * await volume.remove();
 * ```
 */
export class Volume {
  /** Its name, unique in the home. */
  readonly name: string;
  /** Identifies this volume alone, even if another one has its name later. */
  readonly id: string;
  /** Whether it is a directory or a disk. */
  readonly kind: VolumeKind;
  /** The directory with its files, or the disk, on the machine that keeps it. */
  readonly path: string;
  readonly #backend: Backend;
  readonly #record: VolumeRecord;

  /** Use `Volume.create()`. */
  private constructor(backend: Backend, record: VolumeRecord) {
    this.#backend = backend;
    this.#record = record;
    this.name = record.name;
    this.id = record.id;
    this.kind = record.kind;
    this.path = record.path;
  }

  /** Collects options; ends with `create()`. */
  static builder(name: string): VolumeBuilder {
    return new VolumeBuilder(name);
  }

  /**
   * Makes a volume.
   *
   * @throws {InvalidConfigError} naming every option that is wrong.
   * @throws {VolumeAlreadyExistsError} if the name is taken.
   * @throws {IoError} `diskFull` if there is no room for it.
   */
  static async create(options: VolumeCreateOptions): Promise<Volume> {
    const config = parseVolumeOptions(options);
    const backend = defaultBackend();
    return new Volume(backend, await backend.volumes.create(config));
  }

  /** Finds a volume by its name. @throws {VolumeNotFoundError} @throws {InvalidConfigError} if no volume can have that name. */
  static async get(name: string): Promise<VolumeHandle> {
    const backend = defaultBackend();
    const handle = await VolumeHandle.of(backend, await backend.volumes.get(checkVolumeName(name)));
    if (handle === undefined) throw new VolumeNotFoundError(name); // it was removed while it was measured
    return handle;
  }

  /** Kept for the known SDK, where accounts of a cloud have one. @throws {UnsupportedError} always */
  static async getDefault(): Promise<VolumeHandle> {
    throw new UnsupportedError("There is no default volume on this machine", {
      hint: "use Volume.get() or Volume.create() with a name",
    });
  }

  /** The volumes of this home, by name. Those that are directories are measured, which takes about 12 s for a million files. */
  static async list(options: VolumeListOptions = {}): Promise<VolumeHandle[]> {
    const { labels = {} } = parseConfig(listSchema, withoutUndefined(options), "options");
    const backend = defaultBackend();
    const records = (await backend.volumes.list()).filter((record) => hasLabels(record.labels, labels));
    const handles: VolumeHandle[] = [];
    for (const record of records) {
      const handle = await VolumeHandle.of(backend, record);
      if (handle !== undefined) handles.push(handle);
    }
    return handles;
  }

  /**
   * Removes a volume with all that it holds. Stopped sandboxes that were created with it stay; they can start again once a
   * volume has that name.
   *
   * @throws {VolumeNotFoundError}
   * @throws {VolumeInUseError} while a sandbox that runs has it.
   */
  static async remove(name: string): Promise<void> {
    await defaultBackend().volumes.remove(checkVolumeName(name));
  }

  /** Works on its files, whether a sandbox has it or not. Of a disk, all calls reject with `UnsupportedError`. */
  fs(): VolumeFs {
    return new VolumeFs(this.#backend.volumes, this.#record);
  }

  /** Like `Volume.remove()`, but never a volume that has taken its name since. */
  async remove(): Promise<void> {
    await this.#backend.volumes.remove(this.name, this.id);
  }
}

/**
 * Collects the options of a new volume. They are checked in `create()`.
 *
 * @example
 * ```ts no-vm
 * import { Volume } from "microsandbox";
 *
 * const volume = await Volume.builder("database").disk().size(1024).label("team", "blue").create();
 * await volume.remove();
 * ```
 */
export class VolumeBuilder {
  #options: VolumeCreateOptions;

  /** The same as `Volume.builder(name)`. */
  constructor(name: string) {
    this.#options = { name };
  }

  /** Makes a directory, which is the default. */
  directory(): this {
    return this.#set({ kind: "directory" });
  }

  /** Makes a disk with an ext4 file system. */
  disk(): this {
    return this.#set({ kind: "disk" });
  }

  /** Sets the size of a disk in MiB. @default {4096} */
  size(sizeMiB: number): this {
    return this.#set({ sizeMiB });
  }

  /** Bounds a directory, in the known SDK. @throws {UnsupportedError} always */
  quota(quotaMiB: number): this {
    throw new UnsupportedError(`A directory cannot be kept to ${quotaMiB} MiB`, {
      hint: "make a disk, with disk() and size()",
    });
  }

  /** Adds a label. */
  label(key: string, value: string): this {
    return this.labels({ [key]: value });
  }

  /** Adds labels. */
  labels(labels: Readonly<Record<string, string>>): this {
    return this.#set({ labels: { ...this.#options.labels, ...labels } });
  }

  /** Returns the options collected so far, unchecked. */
  build(): VolumeCreateOptions {
    return { ...this.#options };
  }

  /** Makes the volume. For the errors, see `Volume.create()`. */
  async create(): Promise<Volume> {
    return await Volume.create(this.build());
  }

  #set(options: Partial<VolumeCreateOptions>): this {
    this.#options = { ...this.#options, ...options };
    return this;
  }
}
