/**
 * Unpacks a snapshot from its archive: see `archive_write.ts`. Everything in an archive is checked before it is used.
 *
 * @module
 */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { type Duplex, Transform, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress } from "node:zlib";
import { extract } from "tar-stream";
import { z } from "zod";
import { assert } from "../base/assert.ts";
import { concatBytes, GiB, MiB } from "../base/bytes.ts";
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
import { type RunTable, SparseWriter } from "./sparse_writer.ts";

const ZSTD_MAGIC = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);
/** A file in a tar. */
interface Entry extends AsyncIterable<unknown> {
  readonly header: {
    readonly name: string;
    readonly type?: string | null | undefined;
    readonly size?: number | undefined;
    readonly pax?: unknown;
  };
}

const sparseFormat = z.object({ "GNU.sparse.major": z.literal("1"), "GNU.sparse.minor": z.literal("0") });

/** Most bytes of data, holes not counted, that an archive may have. */
export const ARCHIVE_DATA_BYTES_MAX = 256 * GiB;
/** Most bytes of a tar that may pass without an entry or its data, such as headers, and zeros at the end. */
const OVERHEAD_BYTES_MAX = 4 * MiB;

export interface ReadArchiveOptions {
  readonly path: string;
  /** An empty directory, which receives the disk. */
  readonly directory: string;
  /** Most bytes of data in the disk. @default {ARCHIVE_DATA_BYTES_MAX} */
  readonly dataBytesMax?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Unpacks the disk of an archived snapshot and verifies it. Returns the descriptor.
 *
 * @throws {SnapshotIntegrityError} The file is not an archive of a snapshot, is cut short or over a limit, or its
 *   content does not match its descriptor.
 * @throws {IoError | AbortedError}
 */
export async function readArchive(options: ReadArchiveOptions): Promise<SnapshotDescriptor> {
  const { path, signal } = options;
  try {
    const { descriptor, data } = await unpack(options);
    const upper = join(options.directory, UPPER_NAME);
    if ((await digestDisk(upper, { signal, data })) !== descriptor.upper.integrity.digest)
      throw new SnapshotIntegrityError(path, `the content of ${UPPER_NAME} does not match its digest`);
    return descriptor;
  } catch (error) {
    if (signal?.aborted) throw new AbortedError(`loading ${path}`, signal.reason);
    if (MicrosandboxError.is(error)) throw error;
    // Errors in a tar or its compression have no errno of the system.
    if (errnoOf(error)?.startsWith("E") !== true || errnoOf(error)?.startsWith("ERR") === true)
      throw new SnapshotIntegrityError(path, messageOf(error), { cause: error });
    throw new IoError(`read ${path}`, path, error);
  }
}

interface Unpacked {
  readonly descriptor: SnapshotDescriptor;
  /** Parts of the disk that have data. */
  readonly data: RunTable;
}

async function unpack(options: ReadArchiveOptions): Promise<Unpacked> {
  const { path, directory, dataBytesMax = ARCHIVE_DATA_BYTES_MAX, signal } = options;
  const guard = new OverheadGuard(path);
  const stages: Duplex[] = (await isZstd(path)) ? [withQuietErrors(createZstdDecompress())] : [];
  stages.push(withQuietErrors(guard));
  const input = createReadStream(path);
  const tar = extract();
  const feeding = pipeline([input, ...stages, tar] as unknown as readonly [NodeJS.ReadableStream, Writable], {
    signal,
  });
  feeding.catch(() => {}); // awaited below, or irrelevant after an earlier error
  let descriptor: SnapshotDescriptor | undefined;
  let data: RunTable | undefined;
  try {
    for await (const entry of tar) {
      guard.progress();
      if (descriptor === undefined) {
        descriptor = await readDescriptor(path, entry);
      } else if (data === undefined) {
        const writing = { path, target: join(directory, UPPER_NAME), guard, dataBytesMax };
        data = await readUpper(entry, descriptor, writing);
      } else {
        throw new SnapshotIntegrityError(path, `it has an unexpected entry: ${entry.header.name}`);
      }
    }
    await feeding;
  } finally {
    tar.destroy();
    input.destroy();
    await feeding.catch(() => {}); // everything is closed then
  }
  if (descriptor === undefined || data === undefined)
    throw new SnapshotIntegrityError(path, "it is cut short");
  return { descriptor, data };
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

/**
 * Passes a tar through while it makes progress. The parser behind it accepts extended headers and zeros without end,
 * which zstd compresses to almost nothing.
 */
class OverheadGuard extends Transform {
  readonly #path: string;
  #bytes = 0;

  constructor(path: string) {
    super();
    this.#path = path;
  }

  /** Resets the count. Call it for each entry, and for each piece of an entry's data. */
  progress(): void {
    this.#bytes = 0;
  }

  override _transform(
    chunk: Uint8Array,
    _encoding: BufferEncoding,
    done: (error?: Error | null, chunk?: Uint8Array) => void,
  ): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= OVERHEAD_BYTES_MAX) return done(null, chunk);
    done(
      new SnapshotIntegrityError(
        this.#path,
        `it has more than ${OVERHEAD_BYTES_MAX} bytes that belong to no entry`,
      ),
    );
  }
}

/** Writes the disk from a sparse entry. Returns the parts of it that have data. */
async function readUpper(
  entry: Entry,
  { upper }: SnapshotDescriptor,
  options: {
    readonly path: string;
    readonly target: string;
    readonly guard: OverheadGuard;
    readonly dataBytesMax: number;
  },
): Promise<RunTable> {
  const { path, target, guard, dataBytesMax } = options;
  const { name, type, pax } = entry.header;
  const isSparse = sparseFormat.safeParse(pax).success;
  if (!name.endsWith(`/${UPPER_NAME}`) || type !== "file" || !isSparse)
    throw new SnapshotIntegrityError(path, `${UPPER_NAME} is missing, or not in the sparse format`);
  await using file = await open(target, "wx", 0o600);
  await file.truncate(upper.sizeBytes);
  const writer = new SparseWriter({ path, file, sizeBytes: upper.sizeBytes, dataBytesMax });
  for await (const part of entry) {
    guard.progress();
    await writer.write(toBytes(part));
  }
  return writer.finish();
}
