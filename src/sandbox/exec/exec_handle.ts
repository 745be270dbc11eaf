/**
 * Programs in a sandbox as callers see them: a collected result, or a handle with events and Web Streams.
 *
 * @module
 */
import type { Connector } from "../../agent/client.ts";
import { ExecOutputLimitError, ExecTimeoutError } from "../../agent/errors.ts";
import type { ExecExit, ExecSession } from "../../agent/exec_session.ts";
import { type Bytes, concatBytes, decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import { InternalError, TimeoutError } from "../../base/errors.ts";
import { CallLimit, settlesWithin } from "../../base/wait.ts";
import type { ExecRequest } from "./exec_options.ts";

const SIGKILL = 9;
/** How long a program that was killed may take to be gone. */
const GONE_TIMEOUT_MS = 10_000;

/** How a program ended. */
export interface ExitStatus {
  /** The exit code; 128 + signal, as shells say it, if a signal ended it. */
  readonly code: number;
  /** Whether the code is 0. */
  readonly success: boolean;
  /** The number of the signal that ended it. */
  readonly signal: number | undefined;
}

/** What a program wrote, and how it ended. */
export class ExecOutput {
  readonly status: ExitStatus;
  readonly #stdout: Bytes;
  readonly #stderr: Bytes;

  /** Made by `exec()`. */
  constructor(status: ExitStatus, stdout: Bytes, stderr: Bytes) {
    this.status = status;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  get code(): number {
    return this.status.code;
  }

  get success(): boolean {
    return this.status.success;
  }

  /** Standard output as UTF-8; what is not becomes U+FFFD. */
  stdout(): string {
    return decodeUtf8(this.#stdout);
  }

  stderr(): string {
    return decodeUtf8(this.#stderr);
  }

  stdoutBytes(): Bytes {
    return this.#stdout;
  }

  stderrBytes(): Bytes {
    return this.#stderr;
  }
}

/** What {@linkcode ExecHandle} yields, in order of arrival. `exited` comes last, after all that the process wrote. */
export type ExecEvent =
  | { readonly kind: "started"; readonly pid: number }
  | { readonly kind: "stdout"; readonly data: Bytes }
  | { readonly kind: "stderr"; readonly data: Bytes }
  | { readonly kind: "exited"; readonly code: number; readonly signal: number | undefined };

/** The standard input of a program, as the known SDK has it. `ExecHandle.stdin` is the Web Stream of the same pipe. */
export class ExecSink {
  readonly #session: ExecSession;

  constructor(session: ExecSession) {
    this.#session = session;
  }

  /** Resolves when the guest has room for more; what a program does not read any more is dropped. */
  async write(data: Uint8Array | string): Promise<void> {
    await this.#session.stdin.write(typeof data === "string" ? encodeUtf8(data) : data);
  }

  /** Ends the input. On a pseudo-terminal it sends ^D. */
  async close(): Promise<void> {
    await this.#session.stdin.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * A running program. Read it as events (`for await`), as streams ({@linkcode stdout}, {@linkcode stderr}), or at the end
 * ({@linkcode collect}); what is not read waits in the guest, as in a full pipe.
 *
 * @example
 * ```ts
 * const run = await sandbox.execStream("sh", ["-c", "echo a; echo b >&2; exit 7"]);
 * for await (const event of run) {
 *   if (event.kind === "stdout") process.stdout.write(event.data);
 *   if (event.kind === "exited") console.log(event.code); // 7
 * }
 * ```
 */
export class ExecHandle implements AsyncIterable<ExecEvent>, AsyncDisposable {
  /** The process id in the guest. */
  readonly pid: number;
  readonly #session: ExecSession;
  readonly #request: ExecRequest;
  readonly #limit: CallLimit;
  #stdout: ReadableStream<Bytes> | undefined;
  #stderr: ReadableStream<Bytes> | undefined;
  #stdin: WritableStream<Uint8Array> | undefined;
  #sinkIsTaken = false;
  /** Rejects with the reason why this handle, not the program, put an end to it. */
  readonly #failed = Promise.withResolvers<never>();
  #ending: Error | undefined;
  #events: AsyncGenerator<ExecEvent, void, void> | undefined;

  /**
   * Starts a program. Its time limit and its signal count from here: a host or guest that hangs answers nothing.
   *
   * @throws {ExecFailedError} if the program cannot be started.
   * @throws {ExecTimeoutError | AbortedError} if the limit is reached first; one that is started later is killed at once.
   */
  static async start(sandbox: Connector, request: ExecRequest): Promise<ExecHandle> {
    const limit = limitOf(request);
    let session: ExecSession | undefined;
    try {
      const client = await sandbox.connect({ signal: limit.signal });
      session = client.startExec(request.start);
      return new ExecHandle(session, request, limit, await limit.race(session.started));
    } catch (error) {
      limit[Symbol.dispose]();
      if (limit.error === undefined) throw error;
      if (session !== undefined) killSession(session, request, limit.error);
      throw limit.error;
    }
  }

  private constructor(session: ExecSession, request: ExecRequest, limit: CallLimit, pid: number) {
    this.#session = session;
    this.#request = request;
    this.#limit = limit;
    this.pid = pid;
    this.#failed.promise.catch(() => {}); // seen by whoever reads this handle
    limit.onReached((error) => this.#endWith(error));
    session.finished.then(() => this.#release());
    session.exited.then(() => this.#release()).catch(() => {});
    if (request.input !== undefined) this.#feed(request.input);
  }

  /** What `LogEntry.sessionId` says of everything that this program writes. */
  get sessionId(): number {
    return this.#session.logSessionId;
  }

  /** Standard output as a stream, or all output of a pseudo-terminal. */
  get stdout(): ReadableStream<Bytes> {
    this.#stdout ??= this.#stream(this.#session.outputs.get("output") ?? this.#session.outputs.get("stdout"));
    return this.#stdout;
  }

  /** Standard error as a stream; empty on a pseudo-terminal. */
  get stderr(): ReadableStream<Bytes> {
    this.#stderr ??= this.#stream(this.#session.outputs.get("stderr"));
    return this.#stderr;
  }

  /** Standard input as a stream. It errors with EPIPE once the program reads no more. */
  get stdin(): WritableStream<Uint8Array> {
    const input = this.#session.stdin;
    this.#stdin ??= new WritableStream<Uint8Array>({
      async write(chunk) {
        if (!(await input.write(chunk)))
          throw new Error("EPIPE: the program does not read its standard input any more");
      },
      close: () => input.end(),
      abort: () => input.end(),
    });
    return this.#stdin;
  }

  /** The input as a sink, once; `null` from the second call on. */
  async takeStdin(): Promise<ExecSink | null> {
    if (this.#sinkIsTaken || !this.#request.start.stdin) return null;
    this.#sinkIsTaken = true;
    return new ExecSink(this.#session);
  }

  /** Resolves when the process has exited, whatever becomes of its output. */
  async wait(): Promise<ExitStatus> {
    return statusOf(await Promise.race([this.#failed.promise, this.#session.exited]));
  }

  /**
   * Reads everything and resolves when the process has exited.
   *
   * @throws {ExecTimeoutError} with what was read until then.
   * @throws {ExecOutputLimitError} if it is more than `outputBytesMax`.
   * @throws {AgentDisconnectedError} if the sandbox ends first.
   */
  async collect(): Promise<ExecOutput> {
    const parts: Record<"stdout" | "stderr", Bytes[]> = { stdout: [], stderr: [] };
    let size = 0;
    try {
      for await (const event of this) {
        if (event.kind === "stdout" || event.kind === "stderr") {
          size += event.data.length;
          if (size > this.#request.outputBytesMax) {
            this.#endWith(new ExecOutputLimitError(this.#command, this.#request.outputBytesMax));
          }
          parts[event.kind].push(event.data);
        } else if (event.kind === "exited") {
          return new ExecOutput(statusOf(event), concatBytes(parts.stdout), concatBytes(parts.stderr));
        }
      }
      throw new InternalError("the events of a program ended without its exit");
    } catch (error) {
      if (!(error instanceof ExecTimeoutError)) throw error;
      const { timeoutMs } = error;
      throw new ExecTimeoutError(
        this.#command,
        timeoutMs,
        concatBytes(parts.stdout),
        concatBytes(parts.stderr),
      );
    }
  }

  /** Sends a signal to the whole process group. */
  async signal(signal: number): Promise<void> {
    this.#session.signal(signal);
  }

  /** Kills the whole process group. */
  async kill(): Promise<void> {
    this.#session.signal(SIGKILL);
  }

  /** Sets the size of the pseudo-terminal. */
  async resize(rows: number, columns: number): Promise<void> {
    this.#session.resize(rows, columns);
  }

  /** The next event; `null` after the last. */
  async recv(): Promise<ExecEvent | null> {
    this.#events ??= this.#eventsInOrder();
    const { value, done } = await this.#events.next();
    return done === true ? null : value;
  }

  [Symbol.asyncIterator](): AsyncIterator<ExecEvent> {
    this.#events ??= this.#eventsInOrder();
    return this.#events;
  }

  /**
   * Kills the program if it still runs, and waits until it is gone: not for others that it left behind with its pipes. One
   * that was started detached goes on.
   *
   * @throws {TimeoutError} if the sandbox does not say so in 10 s.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.close();
    if (this.#request.start.detached === true) return;
    const gone = Promise.race([this.#session.exited.catch(() => {}), this.#session.finished]);
    if (!(await settlesWithin(gone, GONE_TIMEOUT_MS)))
      throw new TimeoutError(`waiting for ${this.#command} to exit after a kill`, GONE_TIMEOUT_MS);
  }

  async *#eventsInOrder(): AsyncGenerator<ExecEvent, void, void> {
    try {
      yield { kind: "started", pid: this.pid };
      const settled = this.#session.settled.then(
        (exit) => ({ exit, arrivals: this.#session.arrivals }),
        () => undefined,
      );
      let end: Awaited<typeof settled>;
      let isOver = false;
      settled.then((value) => {
        end = value;
        isOver = true;
      });
      const channels = [...this.#session.outputs.values()];
      for (;;) {
        const changed = Promise.race([
          settled,
          ...channels.filter((c) => !c.isFinished).map((c) => c.changed),
        ]);
        const first = oldest(channels);
        if (this.#ending !== undefined) throw this.#ending;
        if (first !== undefined && (end === undefined || first.number < end.arrivals)) {
          const data = first.channel.take();
          if (data !== undefined) yield { kind: first.channel.name === "stderr" ? "stderr" : "stdout", data };
        } else if (isOver) {
          const { code, signal } = end === undefined ? await this.#session.settled : end.exit;
          yield { kind: "exited", code, signal };
          return;
        } else {
          await changed;
        }
      }
    } finally {
      this.#session.close();
    }
  }

  #stream(channel: { toReadableStream(): ReadableStream<Bytes> } | undefined): ReadableStream<Bytes> {
    return channel?.toReadableStream() ?? new ReadableStream({ start: (controller) => controller.close() });
  }

  async #feed(input: Uint8Array): Promise<void> {
    await this.#session.stdin.write(input);
    await this.#session.stdin.end();
  }

  /** Ends the program for a reason that every reader of this handle is to see. */
  #endWith(error: Error): void {
    this.#ending ??= error;
    this.#failed.reject(this.#ending);
    killSession(this.#session, this.#request, this.#ending);
    this.#release();
  }

  #release(): void {
    this.#limit[Symbol.dispose]();
  }

  get #command(): string {
    return this.#request.start.argv[0] ?? "";
  }
}

function limitOf({ start, timeoutMs, signal }: ExecRequest): CallLimit {
  const command = start.argv[0] ?? "";
  const none = new Uint8Array(0);
  return new CallLimit({
    action: `running ${JSON.stringify(command)}`,
    timeoutMs,
    signal,
    late: (limitMs) => new ExecTimeoutError(command, limitMs, none, none),
  });
}

/** Ends a program, or the start of one, for a reason that every reader is to see. */
function killSession(session: ExecSession, { start }: ExecRequest, error: Error): void {
  if (start.detached === true) session.signal(SIGKILL); // which closing does to the others
  session.close(error);
}

interface Candidate<C> {
  readonly channel: C;
  readonly number: number;
}

/** The channel whose oldest waiting chunk arrived first. */
function oldest<C extends { readonly oldest: number | undefined }>(
  channels: readonly C[],
): Candidate<C> | undefined {
  let best: Candidate<C> | undefined;
  for (const channel of channels) {
    const number = channel.oldest;
    if (number !== undefined && (best === undefined || number < best.number)) best = { channel, number };
  }
  return best;
}

function statusOf({ code, signal }: ExecExit): ExitStatus {
  return { code, success: code === 0, signal };
}
