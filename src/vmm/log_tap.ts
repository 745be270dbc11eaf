/**
 * Copies what programs write into the sandbox's log, at the point where it leaves the guest.
 *
 * @module
 */
import type { Frame } from "../agent/frame.ts";
import { FrameFlag, MESSAGES } from "../agent/protocol.ts";

/** Session ids of one boot start at this times the boot number, so that they never repeat in one log. */
const SESSIONS_PER_BOOT = 1_000_000_000;

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
  readonly #sessions = new Map<number, number>();
  #nextSessionId: number;

  constructor(target: TapTarget, bootNumber: number) {
    this.#target = target;
    this.#nextSessionId = bootNumber * SESSIONS_PER_BOOT + 1;
  }

  /** A program is about to be started on a stream. */
  sessionStarts(stream: number): void {
    if (!this.#sessions.has(stream)) this.#sessions.set(stream, this.#nextSessionId++);
  }

  /** Sees every frame that the guest sends on a stream. */
  observe(frame: Frame): void {
    const sessionId = this.#sessions.get(frame.stream);
    if (sessionId === undefined) return;
    const source = SOURCES.get(frame.type);
    if (source !== undefined) {
      if (frame.payload.length > 0) this.#target.append(source, sessionId, frame.payload);
      if ((frame.flags & FrameFlag.end) !== 0) this.#target.endOfStream(source, sessionId);
    } else if (frame.type === MESSAGES.closed.type) {
      this.#sessions.delete(frame.stream);
    }
  }
}
