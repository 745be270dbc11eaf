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
export const PlainStream: new <T>(
  source: StreamSource<T>,
  strategy: { highWaterMark: number },
) => ReadableStream<T> = ReadableStream;

/** The arguments of a stream that reads nothing ahead. */
export function streamOf<T>(source: AnswerSource<T>): [StreamSource<T>, { highWaterMark: number }] {
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
  return [{ pull, cancel: () => source.close() }, { highWaterMark: 0 }];
}
