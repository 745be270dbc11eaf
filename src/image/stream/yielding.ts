/** Divides long synchronous work into turns, so that the event loop stays free and an abort is noticed. @module */
import { setImmediate as nextTurn } from "node:timers/promises";
import { AbortedError } from "../../base/errors.ts";

/** Longest turn, in milliseconds. */
const TURN_MS = 10;
/** Steps between checks of the clock. */
const STEPS_PER_LOOK = 64;

export class Pace {
  readonly #action: string;
  readonly #signal: AbortSignal | undefined;
  #steps = 0;
  #turnStartedMs = performance.now();

  /** @param action What the error says was interrupted: `"writing the image"`. */
  constructor(action: string, signal: AbortSignal | undefined) {
    this.#action = action;
    this.#signal = signal;
  }

  /** @throws {AbortedError} The signal has fired. */
  check(): void {
    if (this.#signal?.aborted) throw new AbortedError(this.#action, this.#signal.reason);
  }

  /** Counts a small step. Returns whether it is time for a {@linkcode Pace.turn}. */
  step(): boolean {
    if (++this.#steps % STEPS_PER_LOOK !== 0) return false;
    return this.isTurnOver();
  }

  /** Returns the same after a large step, without counting. */
  isTurnOver(): boolean {
    return performance.now() - this.#turnStartedMs >= TURN_MS;
  }

  /** Lets other work run. @throws {AbortedError} The signal has fired. */
  async turn(): Promise<void> {
    await nextTurn();
    this.#turnStartedMs = performance.now();
    this.check();
  }
}
