/**
 * Writes a snapshot as one file: a tar of `snapshot.json` and `upper.ext4`, compressed with zstd.
 *
 * The disk is a sparse entry in GNU's format 1.0, so that its holes take no space and `tar` can unpack it.
 *
 * Sources: the GNU tar manual, "Storing Sparse Files"; RFC 8878 (zstd).
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { createWriteStream, renameSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { resolve } from "node:path";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdCompress } from "node:zlib";
import { pack } from "tar-stream";
import { encodeUtf8, KiB, roundUp } from "../base/bytes.ts";
import { AbortedError, IoError, MicrosandboxError, UnsupportedError } from "../base/errors.ts";
import { withQuietErrors } from "../platform/quiet_errors.ts";
import { drained } from "../platform/stream_drain.ts";
import { syncFile } from "../platform/sync_file.ts";
import { ContentDigest } from "./content_digest.ts";
import { DESCRIPTOR_NAME, encodeDescriptor, UPPER_NAME } from "./descriptor.ts";
import { type DiskProgressListener, readContent } from "./disk_content.ts";
import { dataRuns } from "./disk_copy.ts";
import { SnapshotIntegrityError } from "./errors.ts";
import { RUNS_MAX } from "./sparse_writer.ts";
import type { StoredSnapshot } from "./store.ts";

/** Holes shorter than this are written as zeros, which compress well and keep the map small. */
const GAP_BYTES = 64 * KiB;
const TAR_BLOCK_BYTES = 512;
/** Equal snapshots give equal archives. */
const EPOCH = new Date(0);

export interface WriteArchiveOptions {
  /** Path of the archive. It appears complete or not at all; an existing file is replaced. */
  readonly path: string;
  /** @default {true} */
  readonly compress?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with the progress of reading the disk, which is read twice. */
  readonly onProgress?: DiskProgressListener | undefined;
}

/**
 * @throws {SnapshotIntegrityError} The disk does not match the descriptor. Nothing is written.
 * @throws {UnsupportedError} The disk's data is in more parts than an archive may have.
 * @throws {IoError | AbortedError}
 */
export async function writeArchive(snapshot: StoredSnapshot, options: WriteArchiveOptions): Promise<void> {
  const path = resolve(options.path);
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await using disk = await open(snapshot.upperPath, "r");
    const runs = await findRuns(disk, snapshot, options);
    await writeTar(disk, snapshot, runs, { ...options, path: temporary });
    await syncFile(temporary);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    if (options.signal?.aborted) throw new AbortedError(`saving ${options.path}`, options.signal.reason);
    throw MicrosandboxError.is(error) ? error : new IoError(`write ${options.path}`, options.path, error);
  }
}

interface Run {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/** Returns the parts of the disk that have data. Reads all of the disk and compares it with the descriptor. */
async function findRuns(
  disk: FileHandle,
  { descriptor }: StoredSnapshot,
  options: WriteArchiveOptions,
): Promise<Run[]> {
  const { sizeBytes, integrity } = descriptor.upper;
  if ((await disk.stat()).size !== sizeBytes)
    throw new SnapshotIntegrityError(descriptor.name, `${UPPER_NAME} has the wrong size`);
  const digest = new ContentDigest(sizeBytes);
  const runs: Run[] = [];
  for await (const chunk of readContent(disk, sizeBytes, options)) {
    digest.add(chunk);
    for (const { begin, end } of dataRuns(chunk.bytes, GAP_BYTES))
      runs.push({ offsetBytes: chunk.offsetBytes + begin, sizeBytes: end - begin });
  }
  if (runs.length >= RUNS_MAX) {
    const problem = `its data is in more than ${RUNS_MAX - 1} parts`;
    throw new UnsupportedError(`Cannot save snapshot "${descriptor.name}": ${problem}`);
  }
  if (digest.finish() !== integrity.digest)
    throw new SnapshotIntegrityError(descriptor.name, `the content of ${UPPER_NAME} has changed`);
  return runs;
}

async function writeTar(
  disk: FileHandle,
  { descriptor }: StoredSnapshot,
  runs: readonly Run[],
  { path, compress = true, signal, onProgress }: WriteArchiveOptions,
): Promise<void> {
  const archive = pack();
  const output = createWriteStream(path, { flags: "wx", mode: 0o600 });
  const stages = compress ? [archive, createZstdCompress(), output] : [archive, output];
  const writing = pipeline(stages as unknown as readonly [NodeJS.ReadableStream, Writable], { signal });
  writing.catch(() => {}); // awaited below, or irrelevant after an earlier error
  try {
    const { bytes } = encodeDescriptor(descriptor);
    withQuietErrors(archive.entry({ name: DESCRIPTOR_NAME, mtime: EPOCH, mode: 0o600 }, Buffer.from(bytes)));
    const { sizeBytes } = descriptor.upper;
    const map = sparseMap(runs, sizeBytes);
    const written = Promise.withResolvers<void>();
    const entry = archive.entry(
      {
        name: `GNUSparseFile.0/${UPPER_NAME}`,
        mtime: EPOCH,
        mode: 0o600,
        size: runs.reduce((sum, run) => sum + run.sizeBytes, map.length),
        pax: {
          "GNU.sparse.major": "1",
          "GNU.sparse.minor": "0",
          "GNU.sparse.name": UPPER_NAME,
          "GNU.sparse.realsize": String(sizeBytes),
        },
      },
      (error) => (error ? written.reject(error) : written.resolve()),
    );
    written.promise.catch(() => {}); // awaited below, unless reading fails first
    withQuietErrors(entry);
    entry.write(Buffer.from(map));
    for await (const chunk of readContent(disk, sizeBytes, { signal, onProgress })) {
      for (const { begin, end } of dataRuns(chunk.bytes, GAP_BYTES)) {
        // A copy, because the reader reuses its buffer while the archive may still hold the chunk.
        if (!entry.write(Buffer.from(chunk.bytes.subarray(begin, end)))) await drained(entry);
      }
    }
    entry.end(Buffer.alloc(0)); // one runtime's types require an argument
    await Promise.race([written.promise, writing]);
    archive.finalize();
    await writing;
  } catch (error) {
    archive.destroy();
    output.destroy();
    await writing.catch(() => {}); // the file is closed then
    throw error;
  }
}

/**
 * Encodes the sparse map: the number of runs, then offset and size of each, in decimal, one per line, padded to whole
 * blocks.
 */
function sparseMap(runs: readonly Run[], sizeBytes: number): Uint8Array {
  const all = [...runs, { offsetBytes: sizeBytes, sizeBytes: 0 }]; // represents a hole at the end
  const lines = all.map((run) => `${run.offsetBytes}\n${run.sizeBytes}\n`);
  const text = encodeUtf8(`${all.length}\n${lines.join("")}`);
  const map = new Uint8Array(roundUp(text.length, TAR_BLOCK_BYTES));
  map.set(text);
  return map;
}
