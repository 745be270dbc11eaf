/** Reads a disk's content: only blocks that are in use and not zero. @module */
import { type FileHandle, open } from "node:fs/promises";
import { AbortedError, IoError, MicrosandboxError } from "../base/errors.ts";
import { CHUNK_BYTES, ContentDigest, type DiskChunk } from "./content_digest.ts";
import { type DiskRange, usedRanges } from "./used_ranges.ts";

/** Called with the number of bytes of a disk that have been processed. */
export type DiskProgressListener = (progress: {
  readonly doneBytes: number;
  readonly totalBytes: number;
}) => void;

const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** Options of {@linkcode readContent}. */
export interface ReadContentOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: DiskProgressListener | undefined;
  /**
   * Parts of the file that have data, in ascending sequence, if known. The rest is holes and is not read.
   *
   * @default everywhere
   */
  readonly data?: Iterable<DiskRange> | undefined;
}

/** Yields the chunks that are not all zeros, in ascending sequence. Blocks that are not in use read as zeros. */
export async function* readContent(
  file: FileHandle,
  sizeBytes: number,
  options: ReadContentOptions = {},
): AsyncGenerator<DiskChunk, void, undefined> {
  const { signal, onProgress, data } = options;
  const used = usedRanges(file, sizeBytes, signal);
  const ranges = data === undefined ? used : intersection(used, data);
  const buffer = Buffer.alloc(CHUNK_BYTES);
  try {
    let range = await nextRange(ranges);
    while (range !== undefined) {
      if (signal?.aborted) throw new AbortedError("reading a disk", signal.reason);
      const offsetBytes = Math.floor(range.begin / CHUNK_BYTES) * CHUNK_BYTES;
      const chunk = buffer.subarray(0, Math.min(CHUNK_BYTES, sizeBytes - offsetBytes));
      range = await readChunk(file, range, ranges, offsetBytes, chunk);
      if (!chunk.equals(ZEROS.subarray(0, chunk.length))) yield { offsetBytes, bytes: chunk };
      onProgress?.({ doneBytes: offsetBytes + chunk.length, totalBytes: sizeBytes });
    }
  } finally {
    await ranges.return();
  }
}

type Ranges = AsyncGenerator<DiskRange, void, undefined>;

async function nextRange(ranges: Ranges): Promise<DiskRange | undefined> {
  const next = await ranges.next();
  return next.done ? undefined : next.value;
}

/**
 * Fills `chunk` from the ranges in it, starting with `first`. Returns the first range that extends beyond the chunk or
 * begins after it.
 */
async function readChunk(
  file: FileHandle,
  first: DiskRange,
  ranges: Ranges,
  offsetBytes: number,
  chunk: Buffer,
): Promise<DiskRange | undefined> {
  const endBytes = offsetBytes + chunk.length;
  chunk.fill(0);
  let range: DiskRange | undefined = first;
  while (range !== undefined && range.begin < endBytes) {
    const end = Math.min(range.end, endBytes);
    await readFully(file, chunk.subarray(range.begin - offsetBytes, end - offsetBytes), range.begin);
    range = range.end > endBytes ? { begin: endBytes, end: range.end } : await nextRange(ranges);
  }
  return range;
}

/** Yields the parts that are in both. Each input is in ascending sequence, without overlaps. */
async function* intersection(a: AsyncIterable<DiskRange>, b: Iterable<DiskRange>): Ranges {
  const others = b[Symbol.iterator]();
  let other = others.next();
  for await (const range of a) {
    while (!other.done && other.value.begin < range.end) {
      const begin = Math.max(range.begin, other.value.begin);
      const end = Math.min(range.end, other.value.end);
      if (begin < end) yield { begin, end };
      if (other.value.end > range.end) break; // it may extend into the next range
      other = others.next();
    }
  }
}

async function readFully(file: FileHandle, bytes: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, offset + done);
    if (bytesRead === 0) throw new IoError("read a disk", undefined, new Error("it has become shorter"));
    done += bytesRead;
  }
}

/** Returns the digest of a disk's content. @throws {IoError | AbortedError} */
export async function digestDisk(path: string, options: ReadContentOptions = {}): Promise<string> {
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
