/**
 * Stores blobs by digest, as registries and archives deliver them, so that images share layers and can be saved again.
 *
 * Blobs are not synced to disk. Every reader checks the digest, so a blob that was damaged by a power loss is fetched
 * again.
 *
 * @module
 */
import { mkdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Bytes } from "../../base/bytes.ts";
import { errnoOf, IoError } from "../../base/errors.ts";
import { type Digest, digestLike } from "../oci/digest.ts";
import { ImageDigestMismatchError } from "../oci/errors.ts";
import { readFileChunks } from "../stream/byte_stream.ts";
import type { StorePaths } from "./store_paths.ts";
import type { Workspaces } from "./workspace.ts";

/** Digest and size of a blob. */
export interface BlobKey {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** Source of blobs. The bytes are verified by the time the iteration ends. */
export interface BlobSource {
  read(blob: BlobKey, signal: AbortSignal | undefined): AsyncIterable<Uint8Array>;
}

export class BlobStore {
  readonly #paths: StorePaths;
  readonly #workspaces: Workspaces;

  constructor(paths: StorePaths, workspaces: Workspaces) {
    this.#paths = paths;
    this.#workspaces = workspaces;
  }

  /** Returns whether the blob is stored in its full size. */
  has(blob: BlobKey): boolean {
    return statSync(this.#paths.blob(blob.digest), { throwIfNoEntry: false })?.size === blob.sizeBytes;
  }

  /**
   * Fetches a blob that is not stored yet. If several processes want the same blob, one fetches it and the others wait.
   */
  async ensure(
    blob: BlobKey,
    source: BlobSource,
    signal: AbortSignal | undefined,
    onBytes: (bytes: number) => void = () => {},
  ): Promise<void> {
    if (this.has(blob)) return;
    await this.#workspaces.run("blob", blob.digest, signal, async (directory) => {
      if (this.has(blob)) return;
      const path = join(directory(), "blob");
      await writeStream(path, source.read(blob, signal), onBytes);
      this.#adopt(path, blob.digest);
    });
  }

  /** Stores bytes that the caller has verified. */
  async put(digest: Digest, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    const source = {
      async *read() {
        yield bytes;
      },
    };
    await this.ensure({ digest, sizeBytes: bytes.length }, source, signal);
  }

  /** Moves a file with a known digest into the store. */
  async adopt(path: string, blob: BlobKey, signal: AbortSignal | undefined): Promise<void> {
    await this.#workspaces.run("blob", blob.digest, signal, async () => {
      if (!this.has(blob)) this.#adopt(path, blob.digest);
    });
  }

  /** Returns the verified bytes of a small blob. */
  readSmall(digest: Digest): Bytes {
    const path = this.#paths.blob(digest);
    let bytes: Bytes;
    try {
      bytes = new Uint8Array(readFileSync(path));
    } catch (error) {
      throw new IoError(`read ${path}`, path, error);
    }
    const actual = digestLike(digest, bytes);
    if (actual === digest) return bytes;
    this.remove(digest);
    throw new ImageDigestMismatchError(`stored blob ${path}`, digest, actual);
  }

  /** Yields the bytes of a blob as stored; the caller verifies them. */
  read(digest: Digest): AsyncIterable<Uint8Array> {
    return readFileChunks(this.#paths.blob(digest));
  }

  /** Removes a blob if it is stored. Returns its size in bytes. */
  remove(digest: Digest): number {
    const path = this.#paths.blob(digest);
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    rmSync(path, { force: true });
    return size;
  }

  #adopt(path: string, digest: Digest): void {
    const target = this.#paths.blob(digest);
    try {
      mkdirSync(this.#paths.blobs, { recursive: true, mode: 0o700 });
      renameSync(path, target);
    } catch (error) {
      throw new IoError(`store ${target}`, target, error);
    }
  }
}

async function writeStream(
  path: string,
  source: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const attempt = async <T>(operation: Promise<T>): Promise<T> => {
    try {
      return await operation;
    } catch (error) {
      throw errnoOf(error) === undefined ? error : new IoError(`write ${path}`, path, error);
    }
  };
  const handle = await attempt(open(path, "wx", 0o600));
  try {
    let total = 0;
    for await (const chunk of source) {
      let done = 0;
      while (done < chunk.length) {
        done += (await attempt(handle.write(chunk, done, chunk.length - done))).bytesWritten;
      }
      total += chunk.length;
      onBytes(total);
    }
  } finally {
    await handle.close();
  }
}
