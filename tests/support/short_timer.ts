/** A time that a test would wait out, made shorter. @module */

/** Timers of just this many milliseconds take `insteadMs` while it lasts: a number that nothing else waits for. */
export class ShortTimer implements Disposable {
  readonly #setTimeout = globalThis.setTimeout;

  constructor(delayMs: number, insteadMs: number) {
    const shorten = (wake: () => void, afterMs?: number) =>
      this.#setTimeout(wake, afterMs === delayMs ? insteadMs : afterMs);
    globalThis.setTimeout = Object.assign(shorten, this.#setTimeout);
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
  }
}
