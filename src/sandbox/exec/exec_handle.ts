/**
 * A running program as its caller sees it: events, Web Streams, and its end.
 *
 * @module
 */
import type { OutputChannel } from "../../agent/channels.ts";
import type { AgentClient, Connector } from "../../agent/client.ts";
import { ExecFailedError, ExecOutputLimitError, ExecTimeoutError } from "../../agent/errors.ts";
import type { ExecExit, ExecSession } from "../../agent/exec_session.ts";
import { GUEST_SIGNALS, type SignalName, signalName, signalNumber } from "../../agent/guest_signal.ts";
import { type Bytes, concatBytes } from "../../base/bytes.ts";
import { InternalError, TimeoutError } from "../../base/errors.ts";
import { CallLimit, settlesWithin } from "../../base/wait.ts";
import { type ExecInput, ExecSink, feed, inputStream } from "./exec_input.ts";
import type { ExecRequest } from "./exec_options.ts";
import { type ExecEvent, ExecOutput, type ExitStatus, statusOf } from "./exec_output.ts";
import { MissingNetwork } from "./missing_network.ts";

/** How long a program that was killed may take to be gone. */
const GONE_TIMEOUT_MS = 10_000;

/** Begins the session of a program on a connection. */
export type OpenSession = (client: AgentClient, signal: AbortSignal) => Promise<ExecSession>;

/**
 * A running program. Read it as events (`for await`), as streams ({@linkcode stdout}, {@linkcode stderr}), or all at once
 * ({@linkcode collect}). Output that is not read waits in the guest, as in a full pipe. Leaving the loop early, or
 * `await using`, kills the program unless it was started `detached`.
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
  /** The process id in the guest; 0 if the program could not be started, with `startFailure: "event"`. */
  readonly pid: number;
  readonly #session: ExecSession;
  readonly #request: ExecRequest;
  readonly #limit: CallLimit;
  readonly #failure: ExecFailedError | undefined;
  /** The end of the run, whichever comes first: the process exits, the connection fails, or this handle stops it. */
  readonly #end = Promise.withResolvers<ExecExit>();
  /** Why this handle stopped the program, if it did: every reader gets this error. */
  #stopped: Error | undefined;
  readonly #stopping = Promise.withResolvers<never>();
  /** Whether it was disposed of, while the program, which is detached, runs on. */
  #isLeft = false;
  #stdout: ReadableStream<Bytes> | undefined;
  #stderr: ReadableStream<Bytes> | undefined;
  #stdin: WritableStream<Uint8Array> | undefined;
  #events: AsyncGenerator<ExecEvent, void, void> | undefined;
  #sinkIsTaken = false;
  #stdinErrorIsTold = false;

  /**
   * Starts a program. Its time limit and its signal count from this call, since a host or guest that hangs answers nothing.
   *
   * @throws {ExecFailedError} `execFailed`, if the program cannot be started, and that is to be no event.
   * @throws {ExecTimeoutError} `execTimeout`, if the time limit is reached first.
   * @throws {AbortedError} `aborted`, if the signal fires first. A program that starts later is killed at once.
   *
   * @param open Begins the session on a connection; the signal is that of the limits.
   */
  static async start(
    sandbox: Connector,
    request: ExecRequest,
    open: OpenSession = async (client) => client.startExec(request.start),
  ): Promise<ExecHandle> {
    const limit = limitOf(request);
    let opening: Promise<ExecSession> | undefined;
    let session: ExecSession | undefined;
    try {
      const client = await sandbox.connect({ signal: limit.signal });
      opening = open(client, limit.signal);
      session = await limit.race(opening);
      return new ExecHandle(session, request, limit, await limit.race(session.started));
    } catch (error) {
      const { error: reached } = limit;
      const isEvent = request.startFailure === "event" && reached === undefined;
      if (isEvent && session !== undefined && error instanceof ExecFailedError)
        return new ExecHandle(session, request, limit, 0, error);
      limit[Symbol.dispose]();
      if (reached === undefined) throw error;
      void opening?.then((late) => killSession(late, request, reached)).catch(() => {}); // it did not begin
      throw reached;
    }
  }

  /** A session of a program that runs already, and that a limit of the request does not kill. @internal */
  static over(session: ExecSession, pid: number, request: ExecRequest): ExecHandle {
    return new ExecHandle(session, request, limitOf(request), pid);
  }

  private constructor(
    session: ExecSession,
    request: ExecRequest,
    limit: CallLimit,
    pid: number,
    failure?: ExecFailedError,
  ) {
    this.#session = session;
    this.#request = request;
    this.#limit = limit;
    this.pid = pid;
    this.#failure = failure;
    this.#stopping.promise.catch(() => {}); // not everybody waits for it
    const lift = () => this.#limit[Symbol.dispose]();
    this.#end.promise.then(lift, lift);
    session.exited.then(this.#end.resolve, this.#end.reject);
    limit.onReached((error) => this.#stop(error));
    if (request.input !== undefined) this.#feed(request.input);
  }

  /** The `sessionId` of the log entries that hold this program's output. */
  get sessionId(): number {
    return this.#session.logSessionId;
  }

  /**
   * Standard output as a stream that reads nothing ahead; all output, if the program has a terminal. Errors with
   * `execTimeout`, `aborted` or `agentDisconnected` if the run ends so. Read either the streams or the events.
   */
  get stdout(): ReadableStream<Bytes> {
    this.#stdout ??= this.#stream(this.#session.outputs.get("output") ?? this.#session.outputs.get("stdout"));
    return this.#stdout;
  }

  /** Standard error as a stream, like {@linkcode stdout}. Empty if the program has a terminal. */
  get stderr(): ReadableStream<Bytes> {
    this.#stderr ??= this.#stream(this.#session.outputs.get("stderr"));
    return this.#stderr;
  }

  /**
   * Standard input as a stream with back-pressure. Closing it ends the input. Needs `stdin: "pipe"`, the default of
   * `execStream()`. Errors with `IoError` (`io`, errno `EPIPE`) when the program reads no more.
   */
  get stdin(): WritableStream<Uint8Array> {
    this.#stdin ??= inputStream(this.#session, this.#request.label);
    return this.#stdin;
  }

  /** The input as a sink. Returns `null` from the second call on, and if the program was started without a pipe. */
  async takeStdin(): Promise<ExecSink | null> {
    if (this.#sinkIsTaken || !this.#request.start.stdin) return null;
    this.#sinkIsTaken = true;
    return new ExecSink(this.#session);
  }

  /**
   * Resolves when the process has exited, even if its output has not been read or its children still run.
   *
   * @throws {ExecTimeoutError} `execTimeout`, if it was killed by its time limit.
   * @throws {AbortedError} `aborted`, if it was killed by its signal.
   * @throws {AgentDisconnectedError} `agentDisconnected`, if the sandbox ends first.
   * @throws {ExecFailedError} `execFailed`, if it could not be started, and the event `failed` says so.
   */
  async wait(): Promise<ExitStatus> {
    return statusOf(await this.#session.holding(this.#end.promise));
  }

  /**
   * Reads all output, and resolves when the process has exited.
   *
   * @throws {ExecTimeoutError} `execTimeout`, with the output read until then in its fields.
   * @throws {ExecOutputLimitError} `execOutputLimit`, if there is more output than `outputBytesMax`; kills the program.
   * @throws {AbortedError} `aborted`, if it was killed by its signal.
   * @throws {AgentDisconnectedError} `agentDisconnected`, if the sandbox ends first.
   */
  async collect(): Promise<ExecOutput> {
    const parts: Record<"stdout" | "stderr", Bytes[]> = { stdout: [], stderr: [] };
    let size = 0;
    try {
      for await (const event of this) {
        if (event.kind === "stdout" || event.kind === "stderr") {
          size += event.data.length;
          if (size > this.#request.outputBytesMax) {
            this.#stop(new ExecOutputLimitError(this.#request.label, this.#request.outputBytesMax));
          }
          parts[event.kind].push(event.data);
        } else if (event.kind === "failed") {
          throw this.#failure;
        } else if (event.kind === "exited") {
          return new ExecOutput(statusOf(event), concatBytes(parts.stdout), concatBytes(parts.stderr));
        }
      }
      throw new InternalError("the events of a program ended without its exit");
    } catch (error) {
      if (!(error instanceof ExecTimeoutError)) throw error;
      const { timeoutMs } = error;
      throw new ExecTimeoutError(
        this.#request.label,
        timeoutMs,
        concatBytes(parts.stdout),
        concatBytes(parts.stderr),
      );
    }
  }

  /**
   * Sends a signal, by its name (`"SIGTERM"`) or its number (15), to the whole process group. Does nothing once the process
   * has exited.
   *
   * @throws {InvalidConfigError} if there is no such signal.
   */
  async signal(signal: SignalName | number): Promise<void> {
    this.#session.signal(signalNumber(signal));
  }

  /** Kills the whole process group. Does nothing once the process has exited. */
  async kill(): Promise<void> {
    this.#session.signal(GUEST_SIGNALS.SIGKILL);
  }

  /** Sets the size of the terminal, in characters. Does nothing if the program has no terminal. */
  async resize(rows: number, columns: number): Promise<void> {
    this.#session.resize(rows, columns);
  }

  /** Whether the program, or the connection to it, has ended, as far as is known here. @internal */
  get isOver(): boolean {
    return this.#session.ending !== undefined;
  }

  /** Rejects when this handle stops the program, with its reason. @internal */
  get stopping(): Promise<never> {
    return this.#stopping.promise;
  }

  /** Leaves the program alone, its limits included. @internal */
  leave(): void {
    this.#limit[Symbol.dispose]();
    this.#isLeft = true;
    this.#session.close();
  }

  /** Waits for the next event; `null` after the last. Throws what {@linkcode wait} throws. */
  async recv(): Promise<ExecEvent | null> {
    this.#events ??= this.#eventsInOrder();
    const { value, done } = await this.#events.next();
    return done === true ? null : value;
  }

  /** Yields the events in order of arrival, once. Leaving the loop kills the program unless it is detached. */
  [Symbol.asyncIterator](): AsyncIterator<ExecEvent> {
    this.#events ??= this.#eventsInOrder();
    return this.#events;
  }

  /**
   * Kills the program if it still runs, and waits until it has exited, but not for children that hold its pipes. Leaves a
   * detached program running.
   *
   * @throws {TimeoutError} `timeout`, if the program has not exited within 10 s.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isLeft = this.#request.start.detached === true;
    this.#session.close();
    if (this.#isLeft) return;
    const gone = this.#session.exited.catch(() => {}); // it also rejects when there is nothing left to wait for
    if (!(await settlesWithin(gone, GONE_TIMEOUT_MS)))
      throw new TimeoutError(`waiting for ${this.#request.label} to exit after a kill`, GONE_TIMEOUT_MS);
  }

  async *#eventsInOrder(): AsyncGenerator<ExecEvent, void, void> {
    if (this.#failure !== undefined) {
      const { kind: reason, errno, message } = this.#failure;
      yield { kind: "failed", reason, errno, message };
      return;
    }
    const { offline, start } = this.#request;
    const network = offline === undefined ? undefined : new MissingNetwork(offline);
    const complaints = start.terminal === undefined ? "stderr" : "stdout";
    try {
      yield { kind: "started", pid: this.pid };
      for (;;) {
        const { changed } = this.#session; // before looking, so that no change is missed
        const event = this.#nextEvent();
        if (event?.kind === complaints) network?.add(event.data);
        if (event?.kind === "exited") network?.end();
        if (event !== undefined) yield event;
        else if (this.#isLeft) return;
        else await this.#session.holding(changed);
        if (event?.kind === "exited") return;
      }
    } finally {
      this.#session.close();
    }
  }

  /** The event that is due now; `undefined` if there is none yet. Throws what ended the run, if something did. */
  #nextEvent(): ExecEvent | undefined {
    if (this.#stopped !== undefined) throw this.#stopped;
    const { ending, outputs, stdinError } = this.#session;
    // What arrives behind all that the process wrote is of its children: `exited` does not wait for it.
    const end = ending?.kind === "settled" ? ending.arrivals : Number.POSITIVE_INFINITY;
    const first = oldest([...outputs.values()]);
    if (
      stdinError !== undefined &&
      !this.#stdinErrorIsTold &&
      stdinError.number < Math.min(end, first?.number ?? end)
    ) {
      this.#stdinErrorIsTold = true;
      return { kind: "stdinError", errno: stdinError.errno };
    }
    const isDue = first !== undefined && first.number < end;
    const data = isDue ? first.channel.take() : undefined;
    if (isDue && data !== undefined)
      return { kind: first.channel.name === "stderr" ? "stderr" : "stdout", data };
    if (ending?.kind === "cutOff") throw ending.error;
    if (ending === undefined) return undefined;
    const { code, signal } = ending.exit;
    return { kind: "exited", code, signal, signalName: signalName(signal) };
  }

  #stream(channel: OutputChannel | undefined): ReadableStream<Bytes> {
    if (channel === undefined) return new ReadableStream({ start: (controller) => controller.close() });
    return channel.toReadableStream((read) => this.#session.holding(read));
  }

  #feed(input: ExecInput): void {
    feed(this.#session, input).catch((error) => this.#stop(error));
  }

  /** Ends the program for a reason that every reader of this handle gets. The first reason counts. */
  #stop(error: Error): void {
    this.#stopped ??= error;
    this.#stopping.reject(this.#stopped);
    this.#end.reject(this.#stopped);
    killSession(this.#session, this.#request, this.#stopped);
  }
}

function limitOf({ label, timeoutMs, signal }: ExecRequest): CallLimit {
  const none = new Uint8Array(0);
  return new CallLimit({
    action: `running ${JSON.stringify(label)}`,
    timeoutMs,
    signal,
    late: (limitMs) => new ExecTimeoutError(label, limitMs, none, none),
  });
}

/** Ends a program, or the start of one, for a reason that every reader gets. */
function killSession(session: ExecSession, { start }: ExecRequest, error: Error): void {
  if (start.detached === true) session.signal(GUEST_SIGNALS.SIGKILL); // closing kills only the others
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
