/**
 * A time limit that is over when the test says so, and not while a busy machine gave what it limits no time.
 *
 * @module
 */

/** Holds back the timers of just this many milliseconds while it lasts: a number that nothing else waits for. */
export class HeldTimer implements Disposable {
  readonly #setTimeout = globalThis.setTimeout;
  readonly #clearTimeout = globalThis.clearTimeout;
  readonly #held = new Map<unknown, () => void>();

  constructor(delayMs: number) {
    const hold = (wake: () => void, afterMs?: number) => {
      const timer = this.#setTimeout(wake, afterMs);
      if (afterMs !== delayMs) return timer;
      this.#clearTimeout(timer); // what is left is a name for it
      this.#held.set(timer, wake);
      return timer;
    };
    globalThis.setTimeout = Object.assign(hold, this.#setTimeout);
    globalThis.clearTimeout = (timer?: unknown) => {
      if (!this.#held.delete(timer)) this.#clearTimeout(timer as ReturnType<typeof setTimeout>);
    };
  }

  /** How many wait, as nobody has cleared them. */
  get waiting(): number {
    return this.#held.size;
  }

  /** Lets the time of all that wait be over. */
  fire(): void {
    for (const [timer, wake] of [...this.#held]) {
      this.#held.delete(timer);
      wake();
    }
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
    globalThis.clearTimeout = this.#clearTimeout;
  }
}
