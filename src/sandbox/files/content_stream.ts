/**
 * The content of a file as a stream, wherever the file is.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { type AnswerSource, AnswerStream } from "./answer_stream.ts";
import { FileLimitError, type FileTask } from "./errors.ts";
import type { FsMetadata } from "./metadata.ts";
import { READ_BYTES_MAX } from "./options.ts";
import { ContentBuffer } from "./read.ts";

/** Chunks of at most 128 KiB, or all at once by {@linkcode collect}. */
export class ContentStream extends AnswerStream<Bytes> {
  /** What the file was when it was opened. */
  readonly metadata: FsMetadata;
  readonly #task: FileTask;

  /** @internal */
  constructor(source: AnswerSource<Bytes>, task: FileTask, metadata: FsMetadata) {
    super(source);
    this.metadata = metadata;
    this.#task = task;
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
}
