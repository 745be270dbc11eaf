/**
 * Whether a sandbox is in use: which programs run in it, and when somebody last did something with it.
 *
 * It watches the frames that the relay passes on. A program counts from its `execStart` until it has exited, whatever
 * becomes of its output; what it left running in the background does not count.
 *
 * @module
 */
import { decodeMessage } from "../../agent/codec.ts";
import type { Frame } from "../../agent/frame.ts";
import { FrameFlag, MESSAGES } from "../../agent/protocol.ts";

/** Messages that open a stream that serves programs: its frames do not count as use from outside. */
const SERVICES: ReadonlySet<number> = new Set([
  MESSAGES.mountOpen.type,
  MESSAGES.mountDisk.type,
  MESSAGES.networkOpen.type,
]);

/** How a program ended. */
export interface ProgramExit {
  /** The exit code; 128 + signal if a signal ended it. */
  readonly code: number;
  readonly signal: number | undefined;
}

export interface ActivityListener {
  /** Something was done: a program started or was written to, or a client said so. */
  active(): void;
  /** The first program runs. */
  busy(): void;
  /** The last program has ended; `exit` says how, unless it never started. */
  idle(exit: ProgramExit | undefined): void;
}

export class Activity {
  /** While set, programs are not let in. */
  isDraining = false;
  /** Streams whose `execStart` has come in part, or in whole. */
  readonly #sessions = new Map<number, "arriving" | "running">();
  /** Streams of file sessions. They do not keep a sandbox busy, since clients keep them open for later. */
  readonly #fileSessions = new Set<number>();
  /** Streams of mounts, and of the guest's network. */
  readonly #services = new Set<number>();
  readonly #listener: ActivityListener;
  #running = 0;
  #sequence = 0;
  #lastExit: ProgramExit | undefined;

  constructor(listener: ActivityListener) {
    this.#listener = listener;
  }

  /** How many activities there have been. */
  get sequence(): number {
    return this.#sequence;
  }

  get isBusy(): boolean {
    return this.#running > 0;
  }

  /** One more activity. */
  touch(): void {
    this.#sequence++;
    this.#listener.active();
  }

  /** Whether a client's frame may go on to the guest: while draining, no `execStart` does that begins now. */
  admits(frame: Frame): boolean {
    return !this.isDraining || frame.type !== MESSAGES.execStart.type || this.#sessions.has(frame.stream);
  }

  /** Sees each frame that goes to the guest. */
  toAgent(frame: Frame): void {
    if (SERVICES.has(frame.type)) this.#services.add(frame.stream);
    if (this.#services.has(frame.stream)) return; // programs cause this traffic, not a client
    // Of a program, credit says that somebody reads, not that anybody does something. Of a file it is a long download.
    if (frame.type === MESSAGES.credit.type && !this.#fileSessions.has(frame.stream)) return;
    this.touch();
    if (frame.type === MESSAGES.filesOpen.type) this.#fileSessions.add(frame.stream);
    if (frame.type !== MESSAGES.execStart.type || this.#sessions.get(frame.stream) === "running") return;
    const isWhole = (frame.flags & FrameFlag.more) === 0;
    this.#sessions.set(frame.stream, isWhole ? "running" : "arriving");
    if (isWhole && ++this.#running === 1) this.#listener.busy();
  }

  /** Sees each frame that comes from the guest. */
  fromAgent(frame: Frame): void {
    if (frame.type === MESSAGES.exited.type) {
      const message = decodeMessage(frame);
      if (message?.name !== "exited" || !this.#sessions.has(frame.stream)) return; // a file session's child
      const { code, signal } = message.fields;
      this.#lastExit = signal === 0 ? { code, signal: undefined } : { code: 128 + signal, signal };
      this.#ended(frame.stream);
    } else if (frame.type === MESSAGES.closed.type || frame.type === MESSAGES.execFailed.type) {
      this.#fileSessions.delete(frame.stream);
      this.#services.delete(frame.stream);
      this.#ended(frame.stream);
    }
  }

  /** A program goes on under another number: it is the same activity. */
  adopted(source: number, target: number): void {
    const state = this.#sessions.get(source);
    if (state === undefined) return;
    this.#sessions.delete(source);
    this.#sessions.set(target, state);
  }

  /** A client has left. The guest says nothing of an `execStart` that did not arrive in whole. */
  clientGone(firstStream: number, lastStream: number): void {
    for (const [stream, state] of this.#sessions) {
      if (state === "arriving" && stream >= firstStream && stream <= lastStream)
        this.#sessions.delete(stream);
    }
    for (const streams of [this.#fileSessions, this.#services])
      for (const stream of streams) if (stream >= firstStream && stream <= lastStream) streams.delete(stream);
  }

  #ended(stream: number): void {
    const state = this.#sessions.get(stream);
    this.#sessions.delete(stream);
    if (state !== "running" || --this.#running > 0) return;
    this.#listener.active();
    this.#listener.idle(this.#lastExit);
    this.#lastExit = undefined;
  }
}
