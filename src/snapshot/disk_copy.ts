/**
 * Copies disks: by reflink where the host's file system supports it, which takes no time and no space, or else by
 * copying the blocks that are in use.
 *
 * @module
 */
import { constants } from "node:fs";
import { copyFile, type FileHandle, mkdtemp, open, rm, stat, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { KiB, MiB } from "../base/bytes.ts";
import { AbortedError, errnoOf, IoError, MicrosandboxError } from "../base/errors.ts";
import { ContentDigest, type DiskChunk } from "./content_digest.ts";
import { type DiskProgressListener, readContent } from "./disk_content.ts";

/** A disk may hold secrets, so only its owner may read it. */
const FILE_MODE = 0o600;
const BLOCK_BYTES = 4 * KiB;
const PROBE_BYTES = 1 * MiB;
const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES);

export interface CopyDiskOptions {
  readonly from: string;
  /** Must not exist. Removed again if the copy fails. */
  readonly to: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: DiskProgressListener | undefined;
}

/** Result of a copy. */
export interface CopiedDisk {
  readonly method: "reflink" | "sparse";
  readonly sizeBytes: number;
  /** Digest of the content, if the copy had to read it. */
  readonly contentDigest: string | undefined;
}

/**
 * @throws {IoError} `diskFull`, or `io` with `errno` `EEXIST` if `to` exists
 * @throws {AbortedError}
 */
export async function copyDisk(options: CopyDiskOptions): Promise<CopiedDisk> {
  const { from, to, signal } = options;
  if (signal?.aborted) throw new AbortedError("copying a disk", signal.reason);
  let target: FileHandle | undefined;
  try {
    if (await canReflink(from, dirname(to))) {
      await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
      return { method: "reflink", sizeBytes: (await stat(to)).size, contentDigest: undefined };
    }
    await using source = await open(from, "r");
    target = await open(to, "wx", FILE_MODE);
    return await copyContent(source, target, options);
  } catch (error) {
    if (target !== undefined) await rm(to, { force: true });
    throw MicrosandboxError.is(error) ? error : new IoError(`copy ${from} to ${to}`, to, error);
  } finally {
    await target?.close();
  }
}

async function copyContent(
  source: FileHandle,
  target: FileHandle,
  options: CopyDiskOptions,
): Promise<CopiedDisk> {
  const sizeBytes = (await source.stat()).size;
  await target.truncate(sizeBytes);
  const digest = new ContentDigest(sizeBytes);
  for await (const chunk of readContent(source, sizeBytes, options)) {
    digest.add(chunk);
    for (const { begin, end } of dataRuns(chunk.bytes)) await writeFully(target, chunk, begin, end);
  }
  return { method: "sparse", sizeBytes, contentDigest: digest.finish() };
}

/**
 * Yields the parts of `bytes`, in whole blocks, that are not zeros. Joins parts with at most `gapBytes` between them.
 */
export function* dataRuns(
  bytes: Uint8Array,
  gapBytes = 0,
): Generator<{ readonly begin: number; readonly end: number }, void, undefined> {
  let run: { begin: number; end: number } | undefined;
  for (let begin = 0; begin < bytes.length; begin += BLOCK_BYTES) {
    const end = Math.min(begin + BLOCK_BYTES, bytes.length);
    if (ZERO_BLOCK.subarray(0, end - begin).equals(bytes.subarray(begin, end))) continue;
    if (run !== undefined && begin - run.end <= gapBytes) run.end = end;
    else {
      if (run !== undefined) yield run;
      run = { begin, end };
    }
  }
  if (run !== undefined) yield run;
}

async function writeFully(file: FileHandle, chunk: DiskChunk, begin: number, end: number): Promise<void> {
  for (let done = begin; done < end; ) {
    const { bytesWritten } = await file.write(chunk.bytes, done, end - done, chunk.offsetBytes + done);
    done += bytesWritten;
  }
}

const reflinks = new Map<number, boolean>();

/**
 * Returns whether a copy can share its blocks. Tests this on a file that is one hole: without support, one runtime
 * fails, and the other silently makes an ordinary copy in which the hole is filled.
 */
async function canReflink(from: string, directory: string): Promise<boolean> {
  const device = (await stat(directory)).dev;
  if ((await stat(from)).dev !== device) return false;
  const known = reflinks.get(device);
  if (known !== undefined) return known;
  const scratch = await mkdtemp(join(directory, ".reflink-"));
  try {
    const [source, copy] = [join(scratch, "source"), join(scratch, "copy")];
    await writeFile(source, "");
    await truncate(source, PROBE_BYTES);
    await copyFile(source, copy, constants.COPYFILE_FICLONE_FORCE);
    const { blocks, size } = await stat(copy);
    reflinks.set(device, blocks === 0 && size === PROBE_BYTES);
  } catch (error) {
    if (errnoOf(error) === "ENOSPC") throw error;
    reflinks.set(device, false);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return reflinks.get(device) ?? false;
}
