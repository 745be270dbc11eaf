/** A volume that was found. @module */
import type { Backend, VolumeRecord } from "../../backend/backend.ts";
import { MiB } from "../../base/bytes.ts";
import type { VolumeKind } from "../../options/volume_options.ts";
import { VolumeFs } from "./volume_fs.ts";

/** What is known of a volume, when it was found. Made by `Volume.get()` and `Volume.list()`. */
export class VolumeHandle {
  /** Its name, unique in the home. */
  readonly name: string;
  /** Identifies this volume alone, even if another one has its name later. */
  readonly id: string;
  /** Always `false`: kept for the known SDK, where accounts of a cloud have a default volume. */
  readonly isDefault: boolean = false;
  /** Whether it is a directory or a disk. */
  readonly kind: VolumeKind;
  /** The directory with its files, or the disk, on the machine that keeps it. */
  readonly path: string;
  /** What it may hold in MiB: the size of a disk; `null` for a directory, which has no limit. */
  readonly quotaMib: number | null;
  /**
   * Bytes that it takes on the machine that keeps it: what has been written to a disk; of a directory, what its files take,
   * up to 5,000,000 of them.
   */
  readonly usedBytes: number;
  /** Size of a disk in bytes; `null` for a directory. */
  readonly capacityBytes: number | null;
  /** Format of a disk; `null` for a directory. */
  readonly diskFormat: "raw" | null;
  /** File system on a disk; `null` for a directory. */
  readonly diskFstype: "ext4" | null;
  /** Its labels, each a key and a value. */
  readonly labels: ReadonlyArray<readonly [string, string]>;
  /** When it was made. */
  readonly createdAt: Date | null;
  readonly #backend: Backend;
  readonly #record: VolumeRecord;

  private constructor(backend: Backend, record: VolumeRecord, usedBytes: number) {
    const { name, id, kind, path, sizeBytes, labels, createdAt } = record;
    this.#backend = backend;
    this.#record = record;
    this.name = name;
    this.id = id;
    this.kind = kind;
    this.path = path;
    this.quotaMib = sizeBytes === undefined ? null : sizeBytes / MiB;
    this.usedBytes = usedBytes;
    this.capacityBytes = sizeBytes ?? null;
    this.diskFormat = kind === "disk" ? "raw" : null;
    this.diskFstype = kind === "disk" ? "ext4" : null;
    this.labels = Object.entries(labels);
    this.createdAt = createdAt;
  }

  /** @internal */
  static async of(backend: Backend, record: VolumeRecord): Promise<VolumeHandle | undefined> {
    const usedBytes = await backend.volumes.usedBytes(record);
    return usedBytes === undefined ? undefined : new VolumeHandle(backend, record, usedBytes);
  }

  /** Works on its files: see `Volume.fs()`. */
  fs(): VolumeFs {
    return new VolumeFs(this.#backend.volumes, this.#record);
  }

  /**
   * Removes this very volume, never another that has taken its name since.
   *
   * @throws {VolumeNotFoundError} if it is gone.
   * @throws {VolumeInUseError} while a sandbox that runs has it.
   */
  async remove(): Promise<void> {
    await this.#backend.volumes.remove(this.name, this.id);
  }
}
