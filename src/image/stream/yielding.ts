/**
 * Long synchronous work in turns: between them other work of the process runs, and an abort is seen.
 *
 * @module
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { AbortedError } from "../../base/errors.ts";

/** Longest turn, in milliseconds. */
const TURN_MS = 10;
/** Steps between two looks at the clock. */
const STEPS_PER_LOOK = 64;

export class Pace {
  readonly #action: string;
  readonly #signal: AbortSignal | undefined;
  #steps = 0;
  #turnStartedMs = performance.now();

  /** @param action What is being done, for the error: `"writing the image"`. */
  constructor(action: string, signal: AbortSignal | undefined) {
    this.#action = action;
    this.#signal = signal;
  }

  /** @throws {AbortedError} The signal has fired. */
  check(): void {
    if (this.#signal?.aborted) throw new AbortedError(this.#action, this.#signal.reason);
  }

  /** Counts a small step. `true` asks for a {@linkcode Pace.turn} now. */
  step(): boolean {
    if (++this.#steps % STEPS_PER_LOOK !== 0) return false;
    return this.isTurnOver();
  }

  /** The same after a large step, which needs no counting. */
  isTurnOver(): boolean {
    return performance.now() - this.#turnStartedMs >= TURN_MS;
  }

  /** Lets others run. @throws {AbortedError} The signal has fired. */
  async turn(): Promise<void> {
    await nextTurn();
    this.#turnStartedMs = performance.now();
    this.check();
  }
}
