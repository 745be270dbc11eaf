/** Creates a sparse file that appears complete or not at all. @module */
import { randomBytes } from "node:crypto";
import { type FileHandle, link, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AbortedError, IoError, MicrosandboxError } from "../../base/errors.ts";
import type { DiskWrite } from "./file_system.ts";

/** A disk may hold secrets of the sandbox, so only its owner may read it. */
const FILE_MODE = 0o600;

export interface SparseFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly writes: Iterable<DiskWrite>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Creates `path` with the given writes and zeros elsewhere. It is not synced: a guest that needs durability syncs the
 * file, including all of this, and until then there is nothing to lose.
 *
 * @throws {IoError} `io` (with `errno` `EEXIST` if `path` exists) or `diskFull`
 * @throws {AbortedError} `aborted`
 */
export async function createSparseFile({ path, sizeBytes, writes, signal }: SparseFile): Promise<void> {
  const temporary = join(dirname(path), `.ext4-${randomBytes(8).toString("hex")}.tmp`);
  try {
    throwIfAborted(path, signal);
    const file = await open(temporary, "wx", FILE_MODE);
    try {
      await file.truncate(sizeBytes);
      for (const write of writes) {
        throwIfAborted(path, signal);
        await writeFully(file, write);
      }
    } finally {
      await file.close();
    }
    throwIfAborted(path, signal);
    await link(temporary, path); // unlike a rename, it refuses to replace
  } catch (error) {
    throw MicrosandboxError.is(error) ? error : new IoError(`creating disk "${path}"`, path, error);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function writeFully(file: FileHandle, { offsetBytes, bytes }: DiskWrite): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offsetBytes + done);
    done += bytesWritten;
  }
}

function throwIfAborted(path: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortedError(`creating disk "${path}"`, signal.reason);
}
