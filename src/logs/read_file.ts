/**
 * The few file operations that readers need, on plain descriptors: these behave alike on both runtimes, where
 * `FileHandle` closes itself at different moments.
 *
 * @module
 */
import { closeSync, constants, fstat, read, type Stats, stat } from "node:fs";
import { isAbsence } from "../platform/if_present.ts";
import { openRegular } from "../platform/regular_file.ts";

/** Identity, size and age of a file. */
export interface FileStatus {
  readonly device: number;
  readonly inode: number;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

/** A descriptor; `undefined` if there is no such file. Rejects if it is a link, or not a regular file. */
export async function openForReading(path: string): Promise<number | undefined> {
  try {
    return await openRegular(path, constants.O_RDONLY);
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

/** Reads once, up to the length of `target`. Returns the number of bytes; 0 at the end. */
export function readInto(descriptor: number, target: Uint8Array, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(descriptor, target, 0, target.length, offset, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

/** Up to `length` bytes at `offset`; fewer only at the end of the file. */
export async function readAt(descriptor: number, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  while (filled < length) {
    const count = await readInto(descriptor, buffer.subarray(filled), offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
}

export function descriptorStatus(descriptor: number): Promise<FileStatus> {
  return new Promise((resolve, reject) => {
    fstat(descriptor, (error, stats) => (error === null ? resolve(toStatus(stats)) : reject(error)));
  });
}

/** `undefined` if there is no such file. */
export function pathStatus(path: string): Promise<FileStatus | undefined> {
  return new Promise((resolve, reject) => {
    stat(path, (error, stats) => {
      if (error === null) resolve(toStatus(stats));
      else if (isAbsence(error)) resolve(undefined);
      else reject(error);
    });
  });
}

/** For files that were only read: closing them cannot lose anything, whatever it reports. */
export function closeQuietly(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // nothing was written, so nothing is lost
  }
}

export function isSameFile(a: FileStatus, b: FileStatus): boolean {
  return a.inode === b.inode && a.device === b.device;
}

function toStatus(stats: Stats): FileStatus {
  return {
    device: stats.dev,
    inode: stats.ino,
    sizeBytes: stats.size,
    modifiedMs: Math.floor(stats.mtimeMs),
  };
}
