/**
 * Reading a file of a sandbox as it is taken.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { type AnswerSource, PlainStream, streamOf } from "./answer_stream.ts";
import { FileLimitError, fileError } from "./errors.ts";
import { answerOf, type FileCaller, type FileWork } from "./file_caller.ts";
import { type FsMetadata, metadataOf } from "./metadata.ts";
import { READ_BYTES_MAX } from "./options.ts";
import { ContentBuffer, type ReadRequest } from "./read.ts";

/**
 * The content of a file in the sandbox: a `ReadableStream` that also has the known SDK's {@linkcode recv} and
 * {@linkcode collect}. What is not read stays on the sandbox's disk. Cancelling it, leaving a loop over it, or `await using`
 * ends what reads it in the guest.
 *
 * @example
 * ```ts
 * await using stream = await sandbox.fs().readStream("/etc/passwd");
 * let bytes = 0;
 * for await (const chunk of stream) bytes += chunk.length;
 * console.log(bytes === stream.metadata.size);
 * ```
 */
export class FsReadStream extends PlainStream<Bytes> implements AsyncDisposable {
  /** What the file was when it was opened. */
  readonly metadata: FsMetadata;
  readonly #source: AnswerSource<Bytes>;
  readonly #work: FileWork;

  /** Use `SandboxFsOps.readStream()`. @internal */
  constructor(source: AnswerSource<Bytes>, work: FileWork, metadata: FsMetadata) {
    super(...streamOf(source));
    this.metadata = metadata;
    this.#source = source;
    this.#work = work;
  }

  /** Waits for the next chunk, of at most 128 KiB; `null` at the end. @throws {TypeError} if a reader has locked it. */
  async recv(): Promise<Bytes | null> {
    const reader = this.getReader();
    try {
      const { done, value } = await reader.read();
      return done ? null : value;
    } finally {
      reader.releaseLock();
    }
  }

  /** Reads all that is left. @throws {FileLimitError} if that is more than `bytesMax`; then the stream is cancelled. */
  async collect(bytesMax: number = READ_BYTES_MAX): Promise<Bytes> {
    const content = new ContentBuffer(0);
    for await (const chunk of this) {
      content.append(chunk);
      if (content.size > bytesMax)
        throw new FileLimitError(this.#work, bytesMax, "bytes", "take chunk by chunk, or raise bytesMax");
    }
    return content.take();
  }

  /** Ends what reads it in the guest, even while it is being read. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#source.close();
  }
}

/** Opens a file for reading, by a session of its own. */
export async function openReadStream(
  caller: FileCaller,
  work: FileWork,
  { path, offset, length = Number.MAX_SAFE_INTEGER }: Omit<ReadRequest, "bytesMax">,
): Promise<FsReadStream> {
  const session = await caller.open(work);
  const call = session.call("read", { path, offset, length, flags: 0 });
  const close = () => {
    call.discard();
    session.close();
  };
  try {
    const metadata = metadataOf(answerOf("opened", await call.next()));
    const next = async () => {
      try {
        const answer = await call.next();
        // Content is given as it came, in memory of its own.
        return answer?.name === "data" ? (answer.fields.data as Bytes) : undefined;
      } catch (error) {
        throw fileError(error, work);
      }
    };
    return new FsReadStream({ next, close }, work, metadata);
  } catch (error) {
    close();
    throw fileError(error, work);
  }
}
