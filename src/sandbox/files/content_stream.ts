/**
 * The content of a file as a stream, wherever the file is.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { type AnswerSource, PlainStream, streamOf } from "./answer_stream.ts";
import { FileLimitError, type FileTask } from "./errors.ts";
import type { FsMetadata } from "./metadata.ts";
import { READ_BYTES_MAX } from "./options.ts";
import { ContentBuffer } from "./read.ts";

/** A `ReadableStream` that also has the known SDK's {@linkcode recv} and {@linkcode collect}. It reads nothing ahead. */
export class ContentStream extends PlainStream<Bytes> implements AsyncDisposable {
  /** What the file was when it was opened. */
  readonly metadata: FsMetadata;
  readonly #source: AnswerSource<Bytes>;
  readonly #task: FileTask;

  /** @internal */
  constructor(source: AnswerSource<Bytes>, task: FileTask, metadata: FsMetadata) {
    super(...streamOf(source));
    this.metadata = metadata;
    this.#source = source;
    this.#task = task;
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
        throw new FileLimitError(this.#task, bytesMax, "bytes", "take chunk by chunk, or raise bytesMax");
    }
    return content.take();
  }

  /** Closes the file, even while it is being read. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#source.close();
  }
}
