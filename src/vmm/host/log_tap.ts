/**
 * Copies what programs write into the sandbox's log, at the point where it leaves the guest.
 *
 * @module
 */
import type { Frame } from "../../agent/frame.ts";
import { logSessionId } from "../../agent/log_session.ts";
import { FrameFlag, MESSAGES } from "../../agent/protocol.ts";

export type TappedSource = "stdout" | "stderr" | "output";

/** Where the bytes go. The log writer of `src/logs` is one. */
export interface TapTarget {
  append(source: TappedSource, sessionId: number, bytes: Uint8Array): void;
  endOfStream(source: TappedSource, sessionId: number): void;
}

const SOURCES: ReadonlyMap<number, TappedSource> = new Map([
  [MESSAGES.stdout.type, "stdout"],
  [MESSAGES.stderr.type, "stderr"],
  [MESSAGES.output.type, "output"],
]);

export class LogTap {
  readonly #target: TapTarget;
  readonly #bootNumber: number;
  /** Streams that carry a program's output, with its number in the log; TCP streams use the same messages. */
  readonly #programs = new Map<number, number>();

  constructor(target: TapTarget, bootNumber: number) {
    this.#target = target;
    this.#bootNumber = bootNumber;
  }

  /** Sees every frame that goes to the guest on a stream. */
  observeRequest({ type, flags, stream }: Frame): void {
    const isWholeStart = type === MESSAGES.execStart.type && (flags & FrameFlag.more) === 0;
    if (isWholeStart) this.#programs.set(stream, logSessionId(this.#bootNumber, stream));
  }

  /** The guest was asked to have a program go on under the number `target`. What comes under the old one is its, too. */
  adopting(source: number, target: number): void {
    const sessionId = this.#programs.get(source);
    if (sessionId !== undefined) this.#programs.set(target, sessionId);
  }

  /** Sees every frame that the guest sends on a stream. */
  observe(frame: Frame): void {
    const sessionId = this.#programs.get(frame.stream);
    if (sessionId === undefined) return;
    const source = SOURCES.get(frame.type);
    if (source !== undefined) {
      if (frame.payload.length > 0) this.#target.append(source, sessionId, frame.payload);
      if ((frame.flags & FrameFlag.end) !== 0) this.#target.endOfStream(source, sessionId);
    } else if (frame.type === MESSAGES.closed.type) {
      this.#programs.delete(frame.stream);
    }
  }
}
