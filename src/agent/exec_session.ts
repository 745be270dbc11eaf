/**
 * One program in a sandbox, seen from a client: its channels with their windows, and how it ended.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import type { ByteConnection } from "../platform/byte_connection.ts";
import { Arrivals, InputChannel, OutputChannel, type OutputName } from "./channels.ts";
import { encodeMessage } from "./codec.ts";
import { type ExecFailureKind, JobAttachedElsewhereError, ProtocolError } from "./errors.ts";
import type { ExecOpening } from "./exec_opening.ts";
import { GuestErrno } from "./guest_errno.ts";
import { AdoptFlag, ExecFailure, FrameFlag, type Message, type MessageFields } from "./protocol.ts";

export type { ExecStart } from "./exec_opening.ts";

/** How a program ended: by `code`, or by `signal`. */
export interface ExecExit {
  /** The exit code; 128 + signal, as shells say it, if a signal ended it. */
  readonly code: number;
  /** The number of the signal that ended it. */
  readonly signal: number | undefined;
}

/** How a session ended, as its reader has to know it. */
export type ExecEnding =
  /** All that the program wrote has arrived: it is the first `arrivals` chunks. What follows is its children's. */
  | { readonly kind: "settled"; readonly exit: ExecExit; readonly arrivals: number }
  /** The connection, the guest or the program's start failed: there is no exit to tell. */
  | { readonly kind: "cutOff"; readonly error: Error };

/** What is known of a job once it was taken over. */
export interface Adopted {
  /** Whether its stdin is open. */
  readonly hasInput: boolean;
  /** Where the log was then: what the job wrote before is in it, and all that follows comes here. */
  readonly logPosition: { readonly generation: number; readonly offsetBytes: number } | undefined;
  /** The escape sequences for what it has switched on in its terminal and not off. */
  readonly screen: string;
}

/** The process reads no more of its input: what happened in the guest, and when. */
export interface StdinError {
  readonly errno: number;
  /** Its place among the chunks of output that have arrived. */
  readonly number: number;
}

/** Keeps this process alive until a promise settles, and returns it. */
type KeepAlive = <T>(promise: Promise<T>) => Promise<T>;

/** One stream with a process: a program of `AgentClient.startExec`, a job taken over, or what answers a file session. */
export class ExecSession {
  /** The process id in the guest. Rejects with the opening's failure if nothing was started. */
  readonly started: Promise<number>;
  /** Settles the moment the process is gone, whatever its output does. */
  readonly exited: Promise<ExecExit>;
  /** Like {@linkcode exited}, but once all that the process wrote has arrived here. */
  readonly settled: Promise<ExecExit>;
  /** Resolves when the stream number is free again. Never rejects. */
  readonly finished: Promise<void>;
  /** Resolves when the session is over for this side: finished, or closed for an error of ours. Never rejects. */
  readonly released: Promise<void>;
  /** Its number in the sandbox's log. */
  readonly logSessionId: number;
  readonly stdin: InputChannel;
  readonly outputs: ReadonlyMap<OutputName, OutputChannel>;
  readonly #stream: number;
  readonly #opening: ExecOpening;
  readonly #connection: ByteConnection;
  readonly #keepAlive: KeepAlive;
  readonly #started = Promise.withResolvers<number>();
  readonly #exited = Promise.withResolvers<ExecExit>();
  readonly #settled = Promise.withResolvers<ExecExit>();
  readonly #finished = Promise.withResolvers<void>();
  readonly #released = Promise.withResolvers<void>();
  readonly #arrivals = new Arrivals();
  #exit: ExecExit | undefined;
  #ending: ExecEnding | undefined;
  #stdinError: StdinError | undefined;
  #closing = false;
  #adopted: Adopted | undefined;
  #screen = "";

  constructor(
    stream: number,
    logSessionId: number,
    opening: ExecOpening,
    connection: ByteConnection,
    keepAlive: KeepAlive,
  ) {
    this.#stream = stream;
    this.logSessionId = logSessionId;
    this.#opening = opening;
    this.#connection = connection;
    this.#keepAlive = keepAlive;
    this.started = this.#started.promise;
    this.exited = this.#exited.promise;
    this.settled = this.#settled.promise;
    this.finished = this.#finished.promise;
    this.released = this.#released.promise;
    // Callers need not look at each of these; a failure shows in those they do look at.
    for (const promise of [this.started, this.exited, this.settled]) promise.catch(() => {});
    const send = (frame: Bytes) => connection.send(frame);
    this.stdin = new InputChannel(stream, send, () => connection.drained());
    this.outputs = new Map(
      opening.outputs.map((name) => [name, new OutputChannel(name, stream, send, this.#arrivals)]),
    );
  }

  /**
   * Keeps this process alive until `promise` settles, if the session does not do so itself: a detached program that is
   * waited for here.
   */
  holding<T>(promise: Promise<T>): Promise<T> {
    return this.#opening.isUnattended ? this.#keepAlive(promise) : promise;
  }

  /** What is known of a job that was taken over, once {@linkcode started} has resolved. */
  get adopted(): Adopted | undefined {
    return this.#adopted;
  }

  /** How it ended, once it has: what {@linkcode settled} settles with, for a reader that must not wait. */
  get ending(): ExecEnding | undefined {
    return this.#ending;
  }

  /** Set once the guest has said so. */
  get stdinError(): StdinError | undefined {
    return this.#stdinError;
  }

  /** Resolves at the next change: a chunk, {@linkcode stdinError}, the end of a channel, or {@linkcode ending}. */
  get changed(): Promise<void> {
    return this.#arrivals.changes.next;
  }

  /** Sends what opens the stream. */
  begin(): void {
    try {
      for (const frame of this.#opening.frames(this.#stream)) this.#connection.send(frame);
    } catch (error) {
      this.#connection.send(encodeMessage("close", this.#stream, {})); // of a job, the host knows already
      this.#finish(error as Error);
    }
  }

  /** Sends a signal to the process group, or to the process alone. Does nothing once it has exited. */
  signal(signal: number, scope: "group" | "process" = "group"): void {
    if (this.#exit !== undefined || this.#isCutOff) return;
    this.#connection.send(
      encodeMessage("signal", this.#stream, { signal, scope: scope === "group" ? 0 : 1 }),
    );
  }

  /** Sets the size of the pseudo-terminal. */
  resize(rows: number, columns: number): void {
    if (this.#isCutOff) return;
    this.#connection.send(encodeMessage("resize", this.#stream, { rows, columns }));
  }

  /** Asks a mount to end, with `lazily` also if it is in use. The errno comes on stderr. */
  unmount(lazily: boolean): void {
    this.#connection.send(encodeMessage("unmount", this.#stream, { lazily: lazily ? 1 : 0 }));
  }

  /**
   * Says that nothing more is wanted. A process that still runs is killed with its group. Outputs end after what has
   * arrived, with `error` if that is the reason; the input is dropped then, as the other side may hang.
   */
  close(error?: Error): void {
    if (this.#closing || this.#isCutOff) return;
    this.#closing = true;
    this.#connection.send(encodeMessage("close", this.#stream, {}));
    for (const channel of this.outputs.values()) channel.finish(error);
    this.#arrivals.changes.notify(); // also if all channels had ended before
    if (error === undefined) return;
    this.stdin.finish();
    this.#released.resolve();
  }

  receive(message: Message): void {
    switch (message.name) {
      case "execStarted":
        return this.#started.resolve(message.fields.pid);
      case "execFailed":
        return this.#finish(this.#failure(message.fields));
      case "jobScreen":
        this.#screen = message.fields.sequences;
        return;
      case "jobAttached":
        this.#adopted = {
          screen: this.#screen,
          hasInput: false,
          logPosition: message.fields.generation === 0 ? undefined : message.fields,
        };
        return;
      case "adopted":
        return this.#adopt(message.fields);
      case "handedOver":
        return this.#finish(new JobAttachedElsewhereError());
      case "stdout":
      case "stderr":
      case "output":
        return this.outputs
          .get(message.name)
          ?.receive(message.fields.data, (message.flags & FrameFlag.end) !== 0);
      case "credit":
        return this.stdin.addCredit(message.fields.bytes);
      case "stdinError":
        return this.#breakInput(message.fields.errno);
      case "exited":
        return this.#setExit(message.fields.code, message.fields.signal);
      case "settled":
        return this.#settle();
      case "closed":
        return this.#finish(new ProtocolError("The guest closed the stream before the program had exited"));
      case "error":
        this.close(); // whatever it did, no caller follows it any more
        return this.disconnect(new ProtocolError(`The guest refused a frame: ${message.fields.message}`));
      default:
        throw new ProtocolError(`A ${message.name} on an exec stream`);
    }
  }

  /** Ends everything that is still open with `error`. */
  disconnect(error: Error): void {
    this.#finish(error);
  }

  #adopt({ pid, flags, inputWindow }: MessageFields<"adopted">): void {
    const hasInput = (flags & AdoptFlag.input) !== 0;
    this.#adopted = { screen: this.#screen, logPosition: this.#adopted?.logPosition, hasInput };
    this.stdin.setCredit(inputWindow);
    if (!hasInput) this.stdin.broken(GuestErrno.EPIPE);
    this.#started.resolve(pid);
  }

  #breakInput(errno: number): void {
    this.stdin.broken(errno);
    this.#stdinError ??= { errno, number: this.#arrivals.number() };
    this.#arrivals.changes.notify();
  }

  #setExit(code: number, signal: number): void {
    this.#exit = signal === 0 ? { code, signal: undefined } : { code: 128 + signal, signal };
    this.stdin.finish();
    this.#exited.resolve(this.#exit);
  }

  #settle(): void {
    const exit = this.#exit;
    if (exit === undefined) return;
    this.#ending ??= { kind: "settled", exit, arrivals: this.#arrivals.count };
    this.#settled.resolve(exit);
    this.#arrivals.changes.notify();
  }

  /** There is no stream in the guest any more that a message could be for. */
  get #isCutOff(): boolean {
    return this.#ending?.kind === "cutOff";
  }

  #failure({ kind, errno, message }: MessageFields<"execFailed">): Error {
    return this.#opening.failure(failureKind(kind), errno, message);
  }

  #finish(error: Error): void {
    this.#started.reject(error);
    this.#exited.reject(error);
    this.#settled.reject(error);
    this.#ending ??= { kind: "cutOff", error };
    this.stdin.finish();
    // A channel that has not ended here was cut off, even if its program had exited.
    for (const channel of this.outputs.values()) channel.finish(error);
    this.#arrivals.changes.notify(); // also if all channels had ended before
    this.#finished.resolve();
    this.#released.resolve();
  }
}

function failureKind(kind: number): ExecFailureKind {
  const known = Object.entries(ExecFailure).find(([, value]) => value === kind);
  return (known?.[0] ?? "other") as ExecFailureKind;
}
