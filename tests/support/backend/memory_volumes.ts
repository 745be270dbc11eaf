/** Volumes of a backend in memory: file systems in memory. @module */
import { randomUUID } from "node:crypto";
import { MemoryFileSystem } from "../../../mod.ts";
import type {
  ObtainedVolume,
  VolumeBackend,
  VolumeFiles,
  VolumeRecord,
} from "../../../src/backend/backend.ts";
import type { VolumeConfig, VolumeRequest } from "../../../src/options/volume_options.ts";
import { VolumeAlreadyExistsError, VolumeNotFoundError } from "../../../src/volume/errors.ts";

/** See the module comment. */
export class MemoryVolumes implements VolumeBackend {
  readonly #volumes = new Map<string, VolumeRecord & { readonly files: MemoryFileSystem }>();

  async create({ name, kind, labels }: VolumeConfig): Promise<VolumeRecord> {
    if (this.#volumes.has(name)) throw new VolumeAlreadyExistsError(name);
    const record = {
      id: randomUUID(),
      name,
      kind,
      sizeBytes: undefined,
      labels,
      createdAt: new Date(),
      path: "",
    };
    this.#volumes.set(name, { ...record, files: new MemoryFileSystem({}) });
    return record;
  }

  async obtain({ name, config }: VolumeRequest): Promise<ObtainedVolume> {
    const volume = this.#volumes.get(name);
    return { volume: volume ?? (await this.create(config)), isNew: volume === undefined };
  }

  async discard({ name }: VolumeRecord): Promise<void> {
    this.#volumes.delete(name);
  }

  async get(name: string): Promise<VolumeRecord> {
    return this.#found(name);
  }

  async list(): Promise<readonly VolumeRecord[]> {
    return [...this.#volumes.values()];
  }

  async remove(name: string, id?: string): Promise<void> {
    if (id !== undefined && this.#found(name).id !== id) throw new VolumeNotFoundError(name);
    if (!this.#volumes.delete(name)) throw new VolumeNotFoundError(name);
  }

  async usedBytes({ name }: VolumeRecord): Promise<number | undefined> {
    return this.#volumes.has(name) ? 0 : undefined;
  }

  async openFiles({ name }: VolumeRecord): Promise<VolumeFiles> {
    return { files: this.#found(name).files, close: async () => {} };
  }

  #found(name: string) {
    const found = this.#volumes.get(name);
    if (found === undefined) throw new VolumeNotFoundError(name);
    return found;
  }
}
