/**
 * Content of files in a volume: reading and writing it, whole or as a stream.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { MiB } from "../../base/bytes.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { FileSystemError } from "../../mount/errno.ts";
import { parentPath } from "../../mount/paths.ts";
import type { ProviderFile } from "../../mount/provider.ts";
import { ContentStream } from "../files/content_stream.ts";
import { FileLimitError } from "../files/errors.ts";
import type { FsWriteOptions } from "../files/options.ts";
import { ContentBuffer } from "../files/read.ts";
import { type FsContent, pieceBytes } from "../files/write.ts";
import {
  attempt,
  giveTurn,
  makeDirectories,
  temporaryBeside,
  type VolumeWork,
  volumeMetadata,
} from "./volume_files.ts";

/** Bytes of one read or write. */
const CHUNK_BYTES = 128 * 1024;
/** Bytes that are read or written before other work gets its turn. */
const TURN_BYTES = 4 * MiB;
const FILE_MODE = 0o644;

/** A part of a file: `length` bytes from `offset` on, or all to the end. */
export interface ReadRange {
  readonly offset: number;
  readonly length: number | undefined;
}

/** Opens a file for reading. */
export async function openToRead(work: VolumeWork, path: string): Promise<ProviderFile> {
  return await attempt(work, () => work.files.open(path, { ...CLOSED, read: true }));
}

const CLOSED = {
  read: false,
  write: false,
  append: false,
  truncate: false,
  create: false,
  exclusive: false,
  mode: FILE_MODE,
} as const;

/** Reads a file, or a part of it. @throws {FileLimitError} if that is more than `bytesMax`. */
export async function readWhole(
  work: VolumeWork,
  path: string,
  range: ReadRange,
  bytesMax: number,
): Promise<Bytes> {
  const file = await openToRead(work, path);
  try {
    const chunks = new Chunks(work, file, range);
    const content = new ContentBuffer(0);
    for (let chunk = await chunks.next(); chunk !== undefined; chunk = await chunks.next()) {
      content.append(chunk);
      if (content.size > bytesMax)
        throw new FileLimitError(work, bytesMax, "bytes", "use readStream(), or raise bytesMax");
    }
    return content.take();
  } finally {
    await file.close();
  }
}

/** A file from one place to another. */
class Chunks {
  readonly #work: VolumeWork;
  readonly #file: ProviderFile;
  #offset: number;
  #left: number;
  #sinceTurn = 0;

  constructor(work: VolumeWork, file: ProviderFile, { offset, length }: ReadRange) {
    this.#work = work;
    this.#file = file;
    this.#offset = offset;
    this.#left = length ?? Number.MAX_SAFE_INTEGER;
  }

  /** `undefined` at the end. */
  async next(): Promise<Bytes | undefined> {
    const wanted = Math.min(this.#left, CHUNK_BYTES);
    if (wanted === 0) return undefined;
    if (this.#sinceTurn >= TURN_BYTES) {
      await giveTurn(this.#work);
      this.#sinceTurn = 0;
    }
    const chunk = await attempt(this.#work, () => this.#file.read(this.#offset, wanted));
    this.#offset += chunk.length;
    this.#left -= chunk.length;
    this.#sinceTurn += chunk.length;
    return chunk.length === 0 ? undefined : (chunk as Bytes);
  }
}

/**
 * The content of a file in a volume: a `ReadableStream` that also has the known SDK's {@linkcode AnswerStream.recv} and
 * {@linkcode ContentStream.collect}. It reads nothing ahead. Cancelling it, leaving a loop over it, or `await using` closes the file.
 */
export class VolumeFsReadStream extends ContentStream {}

/** Opens a file, or a part of it, as a stream. `onClosed` is called once. */
export async function openReadStream(
  work: VolumeWork,
  path: string,
  range: ReadRange,
  onClosed: () => void,
): Promise<VolumeFsReadStream> {
  const file = await openToRead(work, path);
  const chunks = new Chunks(work, file, range);
  let isClosed = false;
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    Promise.resolve(file.close()).catch(() => {}); // nothing was written that could be lost
    onClosed();
  };
  try {
    const metadata = volumeMetadata(await attempt(work, () => file.attributes()));
    const next = async () => (isClosed ? undefined : await chunks.next());
    return new VolumeFsReadStream({ next, close }, work, metadata);
  } catch (error) {
    close();
    throw error;
  }
}

/** A file of a volume that is being written. */
export class VolumeFileWriter {
  readonly #work: VolumeWork;
  readonly #options: FsWriteOptions;
  /** Its final path, and the path where it is written: beside it with `atomic`. */
  readonly #path: string;
  readonly #place: string;
  readonly #file: ProviderFile;
  #offset: number;
  #sinceTurn = 0;
  #isClosed = false;

  private constructor(
    work: VolumeWork,
    options: FsWriteOptions,
    { path, place }: { readonly path: string; readonly place: string },
    file: ProviderFile,
  ) {
    this.#work = work;
    this.#options = options;
    this.#path = path;
    this.#place = place;
    this.#file = file;
    this.#offset = options.offset ?? 0;
  }

  /** @throws {InvalidConfigError} if options exclude each other. */
  static async open(work: VolumeWork, path: string, options: FsWriteOptions): Promise<VolumeFileWriter> {
    checkCombination(options);
    const { files } = work;
    const { append = false, offset, atomic = false, exclusive = false, create = true, mode } = options;
    return await attempt(work, async () => {
      if (options.createParents ?? true) await makeDirectories(files, parentPath(path));
      const place = atomic ? temporaryBeside(path) : path;
      const file = await files.open(place, {
        read: false,
        write: true,
        append,
        truncate: !append && offset === undefined,
        create,
        exclusive: exclusive || atomic,
        mode: mode ?? FILE_MODE,
      });
      return new VolumeFileWriter(work, options, { path, place }, file);
    });
  }

  /** Writes behind what was written before. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let begin = 0; begin < bytes.length; begin += CHUNK_BYTES) {
      const piece = bytes.subarray(begin, begin + CHUNK_BYTES);
      if (this.#sinceTurn >= TURN_BYTES) {
        await giveTurn(this.#work);
        this.#sinceTurn = 0;
      }
      await attempt(this.#work, () => this.#file.write?.(this.#offset, piece));
      this.#offset += piece.length;
      this.#sinceTurn += piece.length;
    }
  }

  /** Completes the file. */
  async finish(): Promise<void> {
    if (this.#isClosed) return;
    const { mode, sync = false, atomic = false, exclusive = false } = this.#options;
    try {
      await attempt(this.#work, async () => {
        if (mode !== undefined) await this.#file.setAttributes?.({ mode });
        if (sync || atomic) await this.#file.sync?.(false);
        if (atomic) await this.#work.files.rename?.(this.#place, this.#path, { exclusive, exchange: false });
      });
    } catch (error) {
      await this.abort();
      throw error;
    }
    await this.#close();
  }

  /** Gives up: one that is written beside its place leaves nothing behind, another one stays as far as it was written. */
  async abort(): Promise<void> {
    if (this.#isClosed) return;
    await this.#close();
    if (this.#place === this.#path) return;
    try {
      await this.#work.files.removeFile?.(this.#place);
    } catch (error) {
      if (!(error instanceof FileSystemError)) throw error; // the guest may have removed it
    }
  }

  async #close(): Promise<void> {
    this.#isClosed = true;
    await this.#file.close();
  }
}

function checkCombination({ append, offset, atomic, exclusive, create = true }: FsWriteOptions): void {
  const refuse = (field: string, problem: string) => new InvalidConfigError([{ field, problem }]);
  if (append === true && offset !== undefined) throw refuse("offset", "cannot be combined with append");
  if (atomic === true && (append === true || offset !== undefined))
    throw refuse("atomic", "writes whole files only: not with append or offset");
  if (atomic === true && !create) throw refuse("atomic", "makes a new file: not with create: false");
  if (exclusive === true && !create)
    throw refuse("exclusive", "needs a file to be made: not with create: false");
}

/** Writes all of `content`. */
export async function writeWhole(
  work: VolumeWork,
  path: string,
  options: FsWriteOptions,
  content: FsContent,
): Promise<void> {
  const pieces = piecesOf(content); // refused before a file is made
  const writer = await VolumeFileWriter.open(work, path, options);
  try {
    for await (const piece of pieces) await writer.write(pieceBytes(piece));
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await writer.finish();
}

function piecesOf(content: unknown): AsyncIterable<unknown> | Iterable<unknown> {
  if (content instanceof Blob) return content.stream() as unknown as AsyncIterable<unknown>;
  if (typeof content === "object" && content !== null && Symbol.asyncIterator in content)
    return content as AsyncIterable<unknown>;
  if (typeof content === "string" || content instanceof Uint8Array || content instanceof ArrayBuffer)
    return [content];
  const problem = "must be a string, bytes, a Blob, a ReadableStream or an async iterable";
  throw new InvalidConfigError([{ field: "data", problem }]);
}

/** The constructor of `WritableStream` for a sink without a type of its own. */
const SinkStream = WritableStream as unknown as new (sink: {
  write(chunk: Uint8Array | string): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}) => WritableStream<Uint8Array | string>;

/**
 * A file in a volume that is being written: a `WritableStream` of bytes and text that also has the known SDK's {@linkcode write}
 * and {@linkcode close}. Aborting it keeps what was written, unless the file is written with `atomic`.
 *
 * `await using` closes it; one with `atomic` is dropped, unless it was closed before.
 */
export class VolumeFsWriteSink extends SinkStream implements AsyncDisposable {
  readonly #isAtomic: boolean;
  /** Writes take their turns, whether callers wait for them or not. */
  #last: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  /** Use `VolumeFs.writeStream()`. @internal */
  constructor(writer: VolumeFileWriter, isAtomic: boolean, onClosed: () => void) {
    super({
      write: async (chunk) => {
        try {
          await writer.write(pieceBytes(chunk));
        } catch (error) {
          await writer.abort().finally(onClosed); // a stream that has failed is not aborted any more
          throw error;
        }
      },
      close: () => writer.finish().finally(onClosed),
      abort: () => writer.abort().finally(onClosed),
    });
    this.#isAtomic = isAtomic;
  }

  /** Resolves when `data` is written. @throws {SandboxFsOpsError} @throws {TypeError} if a writer has locked the stream. */
  write(data: Uint8Array | string): Promise<void> {
    const turn = this.#last.then(async () => {
      const lock = this.getWriter();
      try {
        await lock.write(data);
      } finally {
        lock.releaseLock();
      }
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Completes the file, once all that was written is in it. Does nothing the second time. @throws {SandboxFsOpsError} */
  override close(): Promise<void> {
    this.#closed ??= this.#last.then(() => super.close());
    return this.#closed;
  }

  /** Closes it, or drops it if it is written with `atomic` and was not closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isAtomic || this.#closed !== undefined) return await this.close();
    await this.abort();
  }
}
