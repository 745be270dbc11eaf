/**
 * Writing a file of a sandbox as a stream.
 *
 * @module
 */
import { FileFlag } from "../../agent/file_messages.ts";
import { fileError } from "./errors.ts";
import type { FileCaller, FileWork } from "./file_caller.ts";
import { FileWriter, pieceBytes, type WriteTarget } from "./write.ts";

/** What a `WritableStream` calls. Written out, since the runtimes' types do not agree on a name for it. */
interface StreamSink {
  start(controller: WritableStreamDefaultController & { readonly signal: AbortSignal }): void;
  write(chunk: Uint8Array | string): Promise<void>;
  close(): Promise<void>;
  abort(): Promise<void>;
}

/** The constructor of `WritableStream`; the declarations of one runtime know no signal of its controller. */
const SinkStream = WritableStream as unknown as new (sink: StreamSink) => WritableStream<Uint8Array | string>;

/**
 * A file in the sandbox that is being written: a `WritableStream` of bytes and text that also has the known SDK's
 * {@linkcode write} and {@linkcode close}. A write resolves when the guest has room for more. Aborting it ends what writes it
 * in the guest; what it has written stays, unless the file is written with `atomic`.
 *
 * `await using` closes it; one with `atomic` is dropped, unless it was closed before.
 *
 * @example
 * ```ts
 * await using sink = await sandbox.fs().writeStream("/tmp/numbers.txt");
 * for (let number = 1; number <= 3; number++) await sink.write(`${number}\n`);
 * ```
 */
export class FsWriteSink extends SinkStream implements AsyncDisposable {
  readonly #writer: FileWriter;
  readonly #isAtomic: boolean;
  /** What was asked for last: writes take their turns, whether callers wait for them or not. */
  #last: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;
  /** Has locked the stream while {@linkcode write} is under way. */
  #lock: WritableStreamDefaultWriter<Uint8Array | string> | undefined;

  /** Use `SandboxFsOps.writeStream()`. @internal */
  constructor(writer: FileWriter, isAtomic: boolean, end: () => void) {
    super({
      start: (controller) => {
        writer.done.catch((error) => controller.error(error));
        // Before a write that is under way has ended, which it may never do without this.
        controller.signal.addEventListener("abort", () => void writer.abort());
      },
      write: (chunk) => writer.write(pieceBytes(chunk)),
      close: () => writer.finish().finally(end),
      abort: () => writer.abort().finally(end),
    });
    this.#writer = writer;
    this.#isAtomic = isAtomic;
    writer.done.then(end, end);
  }

  /** Writes all of `data`. @throws {SandboxFsOpsError} @throws {TypeError} if a writer has locked the stream. */
  write(data: Uint8Array | string): Promise<void> {
    const turn = this.#last.then(async () => {
      const lock = this.getWriter();
      this.#lock = lock;
      try {
        await lock.write(data);
      } finally {
        this.#lock = undefined;
        lock.releaseLock();
      }
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Completes the file, once all that was written is in it. Does nothing the second time. @throws {SandboxFsOpsError} */
  override close(): Promise<void> {
    this.#closed ??= this.#last.then(() => (this.#writer.isOver ? this.#writer.done : super.close()));
    return this.#closed;
  }

  /** Gives up: writes that are under way reject. What was written stays, unless the file is written with `atomic`. */
  override abort(reason?: unknown): Promise<void> {
    return this.#lock === undefined ? super.abort(reason) : this.#lock.abort(reason);
  }

  /** Closes it, or drops it if it is written with `atomic` and was not closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isAtomic || this.#closed !== undefined) return await this.close();
    if (!this.#writer.isOver) await this.abort();
  }
}

/** Opens a file for writing, by a session of its own. */
export async function openWriteSink(
  caller: FileCaller,
  work: FileWork,
  target: WriteTarget,
): Promise<FsWriteSink> {
  const session = await caller.open(work, "leave");
  try {
    const writer = await FileWriter.open(session, work, target);
    return new FsWriteSink(writer, (target.flags & FileFlag.atomic) !== 0, () => session.close());
  } catch (error) {
    session.close();
    throw fileError(error, work);
  }
}
