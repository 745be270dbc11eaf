/**
 * Answers of a file session as a Web Stream: nothing is asked for before a reader wants it, and leaving ends the session.
 *
 * @module
 */

/** What yields the values of a stream. */
export interface AnswerSource<T> {
  /** The next value; `undefined` at the end. */
  next(): Promise<T | undefined>;
  /** No more is wanted: after the end, an error, or because the reader has left. */
  close(): void;
}

/** What a `ReadableStream` calls. Written out, since the runtimes' types do not agree on a name for it. */
interface StreamSource<T> {
  pull(controller: ReadableStreamDefaultController<T>): Promise<void>;
  cancel(): void;
}

/** The constructor of `ReadableStream` for sources without a type of their own. */
const PlainStream: new <T>(
  source: StreamSource<T>,
  strategy: { highWaterMark: number },
) => ReadableStream<T> = ReadableStream;

/** A `ReadableStream` that reads nothing ahead, and also has the known SDK's {@linkcode recv}. */
export class AnswerStream<T> extends PlainStream<T> implements AsyncDisposable {
  readonly #source: AnswerSource<T>;

  /** @internal */
  constructor(source: AnswerSource<T>) {
    const pull = async (controller: ReadableStreamDefaultController<T>) => {
      try {
        const value = await source.next();
        if (value !== undefined) return controller.enqueue(value);
        source.close();
        controller.close();
      } catch (error) {
        source.close();
        throw error; // the stream errors with it
      }
    };
    super({ pull, cancel: () => source.close() }, { highWaterMark: 0 });
    this.#source = source;
  }

  /** Waits for the next item; `null` at the end. @throws {TypeError} if a reader has locked the stream. */
  async recv(): Promise<T | null> {
    const reader = this.getReader();
    try {
      const { done, value } = await reader.read();
      return done ? null : value;
    } finally {
      reader.releaseLock();
    }
  }

  /** Ends the stream and what feeds it, even while it is being read. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#source.close();
  }
}
