/**
 * The store of images: disks that all sandboxes share, and what is known about them. Any number of processes may use a
 * store at the same time.
 *
 * @module
 */
import { mkdirSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { IoError } from "../../base/errors.ts";
import type { FileLock } from "../../platform/file_lock.ts";
import type { Digest } from "../oci/digest.ts";
import { BlobStore } from "./blob_store.ts";
import { FileLocks } from "./file_lock.ts";
import {
  FORMAT_VERSION,
  type ImageRecord,
  imageRecordSchema,
  type ReferenceRecord,
  readRecord,
  referenceRecordSchema,
  writeRecord,
} from "./records.ts";
import { StorePaths } from "./store_paths.ts";
import { Workspaces } from "./workspace.ts";

/** Called with an image's digest while it cannot be removed: note here that it is used. */
export type ImageClaim = (digest: Digest) => void | Promise<void>;

/** An image in the store. */
export interface StoredImage {
  readonly record: ImageRecord;
  /** Path of its disk. */
  readonly erofsPath: string;
}

/** Record of a new image, without what the store itself adds. */
export type NewImage = Omit<ImageRecord, "version" | "sizeBytes" | "createdAt">;

export class ImageStore {
  readonly paths: StorePaths;
  readonly locks: FileLocks;
  readonly workspaces: Workspaces;
  readonly blobs: BlobStore;

  constructor(home: string) {
    this.paths = new StorePaths(home);
    this.locks = new FileLocks(this.paths.locks);
    this.workspaces = new Workspaces(this.paths, this.locks);
    this.blobs = new BlobStore(this.paths, this.workspaces);
  }

  /**
   * Takes the lock of a process that adds to the store. A prune waits for it, because it must see complete images only.
   */
  open(signal: AbortSignal | undefined): Promise<FileLock> {
    return this.locks.acquire("store", "", "shared", signal);
  }

  /** Returns the image if it is stored and complete. */
  find(digest: Digest): StoredImage | undefined {
    const record = readRecord(this.paths.imageRecord(digest), imageRecordSchema);
    if (record?.digest !== digest) return undefined;
    const erofsPath = this.paths.erofs(digest);
    const size = statSync(erofsPath, { throwIfNoEntry: false })?.size;
    return size === record.sizeBytes ? { record, erofsPath } : undefined;
  }

  /** Returns the image and notes its use, or `undefined` if it is not stored. */
  async use(
    digest: Digest,
    claim: ImageClaim | undefined,
    signal: AbortSignal | undefined,
  ): Promise<StoredImage | undefined> {
    if (this.find(digest) === undefined) return undefined;
    return await this.workspaces.run("image", digest, signal, async () => {
      const found = this.find(digest);
      if (found !== undefined) await this.#claim(digest, claim);
      return found;
    });
  }

  /**
   * Returns the image and notes its use; makes it first if it is missing. If several processes want it, one makes it
   * and the others wait.
   *
   * @param options.check Called for an image that was already stored. Throws if the image does not fit.
   * @param make Makes the image in the given directory and passes it to {@linkcode ImageStore.add}.
   */
  async ensure(
    digest: Digest,
    options: {
      readonly claim: ImageClaim | undefined;
      readonly signal: AbortSignal | undefined;
      readonly check?: (found: StoredImage) => void;
    },
    make: (directory: () => string) => StoredImage | Promise<StoredImage>,
  ): Promise<StoredImage> {
    return await this.workspaces.run("image", digest, options.signal, async (directory) => {
      const found = this.find(digest);
      if (found !== undefined) options.check?.(found);
      const image = found ?? (await make(directory));
      await this.#claim(digest, options.claim);
      return image;
    });
  }

  /** Notes the use of an image. Call it while holding the image's lock. */
  async #claim(digest: Digest, claim: ImageClaim | undefined): Promise<void> {
    const now = new Date();
    utimesSync(this.paths.imageRecord(digest), now, now); // what `lastUsedAt` is read from
    await claim?.(digest);
  }

  /** Moves a finished disk into the store. Call it while holding the image's lock. */
  add(erofsPath: string, image: NewImage): StoredImage {
    const target = this.paths.erofs(image.digest);
    try {
      const record: ImageRecord = {
        version: FORMAT_VERSION,
        ...image,
        sizeBytes: statSync(erofsPath).size,
        createdAt: new Date().toISOString(),
      };
      mkdirSync(this.paths.images, { recursive: true, mode: 0o700 });
      renameSync(erofsPath, target);
      writeRecord(this.paths.imageRecord(image.digest), record); // last: a disk without it is not an image yet
      return { record, erofsPath: target };
    } catch (error) {
      throw error instanceof IoError ? error : new IoError(`store ${target}`, target, error);
    }
  }

  /** Removes a disk. Call it while holding the image's lock. Returns its size in bytes. */
  remove(digest: Digest): number {
    const path = this.paths.erofs(digest);
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    rmSync(this.paths.imageRecord(digest), { force: true }); // first: see add()
    rmSync(path, { force: true });
    return size;
  }

  /** Returns the image that a name stands for on a platform. */
  findReference(reference: string, platform: string): ReferenceRecord | undefined {
    const record = readRecord(this.paths.reference(reference, platform), referenceRecordSchema);
    return record?.reference === reference && record.platform === platform ? record : undefined;
  }

  setReference(reference: Omit<ReferenceRecord, "version" | "pulledAt">): void {
    writeRecord(this.paths.reference(reference.reference, reference.platform), {
      version: FORMAT_VERSION,
      ...reference,
      pulledAt: new Date().toISOString(),
    });
  }
}
