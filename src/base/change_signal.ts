/** Waiting for the next change of a state. @module */

/**
 * Wakes everything that waits for the next change.
 *
 * Each change has a promise of its own, so that a reader that waits many times leaves nothing behind: not so with
 * `Promise.race` over a promise that stays pending, which keeps a reaction of every wait.
 *
 * @example
 * ```ts no-vm
 * const signal = new ChangeSignal();
 * let steps = 0;
 * const timer = setInterval(() => signal.notify(), 1);
 * for (;;) {
 *   const changed = signal.next; // before looking, so that no change is missed
 *   if (++steps > 3) break;
 *   await changed;
 * }
 * clearInterval(timer);
 * ```
 */
export class ChangeSignal {
  #next = Promise.withResolvers<void>();

  /** Resolves at the next change. */
  get next(): Promise<void> {
    return this.#next.promise;
  }

  /** Wakes all that wait. */
  notify(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers<void>();
    resolve();
  }
}
