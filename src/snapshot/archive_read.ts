/**
 * Takes a snapshot out of its archive: see `archive_write.ts`. Nothing of it is believed before it has been checked.
 *
 * @module
 */
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import type { Duplex, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress } from "node:zlib";
import { extract } from "tar-stream";
import { z } from "zod";
import { assert } from "../base/assert.ts";
import { concatBytes, decodeUtf8, MiB, roundUp } from "../base/bytes.ts";
import { AbortedError, errnoOf, IoError, MicrosandboxError, messageOf } from "../base/errors.ts";
import { withQuietErrors } from "../platform/quiet_errors.ts";
import {
  DESCRIPTOR_BYTES_MAX,
  DESCRIPTOR_NAME,
  decodeDescriptor,
  type SnapshotDescriptor,
  UPPER_NAME,
} from "./descriptor.ts";
import { digestDisk } from "./disk_content.ts";
import { SnapshotIntegrityError } from "./errors.ts";

const ZSTD_MAGIC = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);
const TAR_BLOCK_BYTES = 512;
const NEWLINE = 0x0a;
/** A file of a tar. */
interface Entry extends AsyncIterable<unknown> {
  readonly header: {
    readonly name: string;
    readonly type?: string | null | undefined;
    readonly size?: number | undefined;
    readonly pax?: unknown;
  };
}

const sparseFormat = z.object({ "GNU.sparse.major": z.literal("1"), "GNU.sparse.minor": z.literal("0") });

/** Longest sparse map: one that has an entry for each 64 KiB of 16 TiB would be larger, and no disk is so full. */
const MAP_BYTES_MAX = 64 * MiB;

export interface ReadArchiveOptions {
  readonly path: string;
  /** An empty directory, which gets the disk. */
  readonly directory: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * @throws {SnapshotIntegrityError} if it is no archive of a snapshot, is cut short, or its content is not what its
 *   descriptor says.
 * @throws {IoError | AbortedError}
 */
export async function readArchive(options: ReadArchiveOptions): Promise<SnapshotDescriptor> {
  const { path, signal } = options;
  try {
    const descriptor = await unpack(options);
    const upper = join(options.directory, UPPER_NAME);
    if ((await digestDisk(upper, { signal })) !== descriptor.upper.integrity.digest)
      throw new SnapshotIntegrityError(path, `the content of ${UPPER_NAME} is not what it was`);
    return descriptor;
  } catch (error) {
    if (signal?.aborted) throw new AbortedError(`loading ${path}`, signal.reason);
    if (MicrosandboxError.is(error)) throw error;
    // What is wrong with a tar or its compression has no errno of the system.
    if (errnoOf(error)?.startsWith("E") !== true || errnoOf(error)?.startsWith("ERR") === true)
      throw new SnapshotIntegrityError(path, messageOf(error), { cause: error });
    throw new IoError(`read ${path}`, path, error);
  }
}

async function unpack({ path, directory, signal }: ReadArchiveOptions): Promise<SnapshotDescriptor> {
  const stages: Duplex[] = (await isZstd(path)) ? [withQuietErrors(createZstdDecompress())] : [];
  const input = createReadStream(path);
  const tar = extract();
  const feeding = pipeline([input, ...stages, tar] as unknown as readonly [NodeJS.ReadableStream, Writable], {
    signal,
  });
  feeding.catch(() => {}); // awaited below, or of no interest after an earlier fault
  let descriptor: SnapshotDescriptor | undefined;
  let hasUpper = false;
  try {
    for await (const entry of tar) {
      if (descriptor === undefined) {
        descriptor = await readDescriptor(path, entry);
      } else if (!hasUpper) {
        await readUpper(path, entry, descriptor, join(directory, UPPER_NAME));
        hasUpper = true;
      } else {
        throw new SnapshotIntegrityError(path, `it has more than it should: ${entry.header.name}`);
      }
    }
    await feeding;
  } finally {
    tar.destroy();
    input.destroy();
    await feeding.catch(() => {}); // everything is closed then
  }
  if (descriptor === undefined || !hasUpper) throw new SnapshotIntegrityError(path, "it is cut short");
  return descriptor;
}

async function isZstd(path: string): Promise<boolean> {
  await using file = await open(path, "r");
  const magic = Buffer.alloc(ZSTD_MAGIC.length);
  await file.read(magic, 0, magic.length, 0);
  return magic.equals(ZSTD_MAGIC);
}

async function readDescriptor(path: string, entry: Entry): Promise<SnapshotDescriptor> {
  const { name, type, size = 0 } = entry.header;
  if (name !== DESCRIPTOR_NAME || type !== "file" || size > DESCRIPTOR_BYTES_MAX)
    throw new SnapshotIntegrityError(path, `it does not begin with ${DESCRIPTOR_NAME}`);
  const parts: Uint8Array[] = [];
  for await (const part of entry) parts.push(toBytes(part));
  return decodeDescriptor(path, concatBytes(parts)).descriptor;
}

function toBytes(part: unknown): Uint8Array {
  assert(part instanceof Uint8Array, "a tar's entries are bytes");
  return part;
}

/** Writes the disk of a sparse entry. */
async function readUpper(
  path: string,
  entry: Entry,
  { upper }: SnapshotDescriptor,
  target: string,
): Promise<void> {
  const { name, type, pax } = entry.header;
  const isSparse = sparseFormat.safeParse(pax).success;
  if (!name.endsWith(`/${UPPER_NAME}`) || type !== "file" || !isSparse)
    throw new SnapshotIntegrityError(path, `${UPPER_NAME} is missing, or not in the sparse format`);
  await using file = await open(target, "wx", 0o600);
  await file.truncate(upper.sizeBytes);
  const writer = new SparseWriter(path, file, upper.sizeBytes);
  for await (const part of entry) await writer.write(toBytes(part));
  writer.finish();
}

/** Puts the data that follows a sparse map where the map says. */
class SparseWriter {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #sizeBytes: number;
  /** The map, until it is whole. */
  #head: Uint8Array[] = [];
  #headBytes = 0;
  #headLines = 0;
  /** Lines of the map, as far as is known. */
  #mapLines = 1;
  #runs: { offsetBytes: number; sizeBytes: number }[] | undefined;
  #run = 0;

  constructor(path: string, file: FileHandle, sizeBytes: number) {
    this.#path = path;
    this.#file = file;
    this.#sizeBytes = sizeBytes;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#runs !== undefined) return await this.#writeData(bytes);
    this.#head.push(bytes.slice());
    this.#headBytes += bytes.length;
    for (const byte of bytes) if (byte === NEWLINE) this.#headLines++;
    if (this.#headBytes > MAP_BYTES_MAX + bytes.length) throw this.#damaged("its map is too long");
    if (this.#headLines < this.#mapLines) return;
    const head = concatBytes(this.#head);
    const mapBytes = this.#parseMap(head);
    this.#head = mapBytes === undefined ? [head] : [];
    if (mapBytes !== undefined) await this.#writeData(head.subarray(mapBytes));
  }

  /** @throws {SnapshotIntegrityError} if data is missing. */
  finish(): void {
    if (this.#runs === undefined) throw this.#damaged("its map is cut short");
    if (this.#runs.slice(this.#run).some(({ sizeBytes }) => sizeBytes > 0))
      throw this.#damaged("its data is cut short");
  }

  /** Length of the map, if it is all there. */
  #parseMap(head: Uint8Array): number | undefined {
    const text = decodeUtf8(head.subarray(0, head.lastIndexOf(NEWLINE) + 1));
    const countEnd = text.indexOf("\n");
    if (countEnd < 0) return undefined;
    const count = this.#number(text.slice(0, countEnd));
    this.#mapLines = 1 + 2 * count;
    if (this.#headLines < this.#mapLines) return undefined;
    let at = countEnd + 1;
    const next = () => {
      const end = text.indexOf("\n", at);
      if (end < 0) return undefined;
      const value = this.#number(text.slice(at, end));
      at = end + 1;
      return value;
    };
    const runs: { offsetBytes: number; sizeBytes: number }[] = [];
    let endBytes = 0;
    for (let index = 0; index < count; index++) {
      const offsetBytes = next();
      const sizeBytes = next();
      if (offsetBytes === undefined || sizeBytes === undefined) return undefined;
      if (offsetBytes < endBytes || offsetBytes + sizeBytes > this.#sizeBytes)
        throw this.#damaged("its map leads out of the disk");
      endBytes = offsetBytes + sizeBytes;
      runs.push({ offsetBytes, sizeBytes });
    }
    const mapBytes = roundUp(at, TAR_BLOCK_BYTES);
    if (head.length < mapBytes) return undefined;
    this.#runs = runs;
    return mapBytes;
  }

  #number(text: string): number {
    if (!/^\d{1,15}$/.test(text)) throw this.#damaged("its map has something else than numbers");
    return Number(text);
  }

  async #writeData(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const run = this.#runs?.[this.#run];
      if (run === undefined) throw this.#damaged("it has more data than its map says");
      const size = Math.min(run.sizeBytes, bytes.length - done);
      if (size > 0) await writeFully(this.#file, bytes.subarray(done, done + size), run.offsetBytes);
      done += size;
      run.offsetBytes += size;
      run.sizeBytes -= size;
      if (run.sizeBytes === 0) this.#run++;
    }
  }

  #damaged(problem: string): SnapshotIntegrityError {
    return new SnapshotIntegrityError(this.#path, `${UPPER_NAME}: ${problem}`);
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
    done += bytesWritten;
  }
}
