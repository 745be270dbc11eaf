/**
 * The standard input of a running program: as a sink, as a Web Stream, and fed from what the caller gave.
 *
 * @module
 */
import type { ExecSession } from "../../agent/exec_session.ts";
import { encodeUtf8 } from "../../base/bytes.ts";
import { IoError } from "../../base/errors.ts";

/** All of a program's input, given when it is started. */
export type ExecInput = Uint8Array | ReadableStream<Uint8Array>;

/**
 * The standard input of a program, with the methods of the known SDK. `ExecHandle.stdin` is the same pipe as a Web Stream.
 *
 * @example
 * ```ts
 * const run = await sandbox.execStream("cat");
 * await using input = await run.takeStdin();
 * await input?.write("hello\n");
 * ```
 */
export class ExecSink {
  readonly #session: ExecSession;

  /** Made by `ExecHandle.takeStdin()`. */
  constructor(session: ExecSession) {
    this.#session = session;
  }

  /** Writes all of `data`. Resolves when the guest has room for more. Drops data that the program no longer reads. */
  async write(data: Uint8Array | string): Promise<void> {
    const bytes = typeof data === "string" ? encodeUtf8(data) : data;
    await this.#session.holding(this.#session.stdin.write(bytes));
  }

  /** Ends the input. Sends ^D if the program runs on a terminal. */
  async close(): Promise<void> {
    await this.#session.holding(this.#session.stdin.end());
  }

  /** Same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The input of `command` as a stream that errors with EPIPE when the program reads no more. */
export function inputStream(session: ExecSession, command: string): WritableStream<Uint8Array> {
  const { stdin } = session;
  return new WritableStream<Uint8Array>({
    async write(chunk) {
      if (await session.holding(stdin.write(chunk))) return;
      const cause = Object.assign(new Error("EPIPE: the program reads no more"), { code: "EPIPE" });
      throw new IoError(`write to the standard input of ${JSON.stringify(command)}`, undefined, cause);
    },
    close: () => session.holding(stdin.end()),
    abort: () => session.holding(stdin.end()),
  });
}

/** Writes all of `input` and then its end. Stops without an error when the program reads no more. */
export async function feed(session: ExecSession, input: ExecInput): Promise<void> {
  if (input instanceof Uint8Array) await session.holding(session.stdin.write(input));
  else await session.holding(feedStream(session, input));
  await session.holding(session.stdin.end());
}

/** @throws {IoError} if the stream fails, or yields something other than bytes. */
async function feedStream({ stdin, exited }: ExecSession, input: ReadableStream<Uint8Array>): Promise<void> {
  const reader = input.getReader();
  const cancel = () => void reader.cancel().catch(() => {}); // the stream is not read on, so a failure does not matter
  exited.then(cancel, cancel);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (!(value instanceof Uint8Array)) throw new TypeError(`expected a Uint8Array, got ${typeof value}`);
      if (!(await stdin.write(value))) return cancel();
    }
  } catch (cause) {
    cancel();
    throw new IoError("read the stream that was given as stdin", undefined, cause);
  }
}
