/**
 * Reading a disk's content: only what is in use and not zero.
 *
 * @module
 */
import { type FileHandle, open } from "node:fs/promises";
import { AbortedError, IoError, MicrosandboxError } from "../base/errors.ts";
import { CHUNK_BYTES, ContentDigest, type DiskChunk } from "./content_digest.ts";
import { type DiskRange, usedRanges } from "./used_ranges.ts";

/** Told how many of a disk's bytes are worked off. */
export type DiskProgressListener = (progress: {
  readonly doneBytes: number;
  readonly totalBytes: number;
}) => void;

const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** The chunks that are not all zeros, in order; what is not in use reads as zeros. */
export async function* readContent(
  file: FileHandle,
  sizeBytes: number,
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: DiskProgressListener | undefined;
  } = {},
): AsyncGenerator<DiskChunk, void, undefined> {
  const ranges = await usedRanges(file, sizeBytes);
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let index = 0;
  for (let range = ranges[index]; range !== undefined; range = ranges[index]) {
    if (options.signal?.aborted) throw new AbortedError("reading a disk", options.signal.reason);
    const offsetBytes = Math.floor(range.begin / CHUNK_BYTES) * CHUNK_BYTES;
    const chunk = buffer.subarray(0, Math.min(CHUNK_BYTES, sizeBytes - offsetBytes));
    index = await readChunk(file, ranges, index, offsetBytes, chunk);
    if (!chunk.equals(ZEROS.subarray(0, chunk.length))) yield { offsetBytes, bytes: chunk };
    options.onProgress?.({ doneBytes: offsetBytes + chunk.length, totalBytes: sizeBytes });
  }
}

/** Fills `chunk` from the ranges that lie in it. Returns the first range that goes on, or begins, after it. */
async function readChunk(
  file: FileHandle,
  ranges: DiskRange[],
  first: number,
  offsetBytes: number,
  chunk: Buffer,
): Promise<number> {
  const endBytes = offsetBytes + chunk.length;
  chunk.fill(0);
  for (let index = first; ; index++) {
    const range = ranges[index];
    if (range === undefined || range.begin >= endBytes) return index;
    const begin = Math.max(range.begin, offsetBytes);
    const end = Math.min(range.end, endBytes);
    await readFully(file, chunk.subarray(begin - offsetBytes, end - offsetBytes), begin);
    if (range.end <= endBytes) continue;
    ranges[index] = { begin: endBytes, end: range.end };
    return index;
  }
}

async function readFully(file: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, offset + done);
    if (bytesRead === 0) throw new IoError("read a disk", undefined, new Error("it has become shorter"));
    done += bytesRead;
  }
}

/** The digest of a disk's content. @throws {IoError | AbortedError} */
export async function digestDisk(
  path: string,
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: DiskProgressListener | undefined;
  } = {},
): Promise<string> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    const digest = new ContentDigest(size);
    for await (const chunk of readContent(file, size, options)) digest.add(chunk);
    return digest.finish();
  } catch (error) {
    throw MicrosandboxError.is(error) ? error : new IoError(`read ${path}`, path, error);
  }
}
