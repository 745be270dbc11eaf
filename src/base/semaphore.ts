/** A bound on how many operations run at once. @module */
import { AbortedError } from "./errors.ts";

/** Lets so many through at a time; the others wait their turn. */
export class Semaphore {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /**
   * Runs `body` when it is its turn. Once that runs, it has to heed `signal` itself.
   *
   * @throws {AbortedError} if `signal` fired before.
   */
  async run<T>(body: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) throw abortedError(signal);
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    try {
      return await body();
    } finally {
      this.#handOn();
    }
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    const turn = Promise.withResolvers<void>();
    const leave = () => {
      if (this.#waiting.delete(turn.resolve)) turn.reject(abortedError(signal));
    };
    signal?.addEventListener("abort", leave, { once: true });
    this.#waiting.add(turn.resolve);
    try {
      await turn.promise;
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }

  #handOn(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next); // who has been called cannot leave any more: the place is his
    next();
  }
}

function abortedError(signal: AbortSignal | undefined): AbortedError {
  return new AbortedError("waiting for a turn", signal?.reason);
}
