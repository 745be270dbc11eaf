/** A question that many ask, and that is on its way once at a time. @module */

/**
 * Asks after each call of {@linkcode get}, so that no answer is older than the call that gets it. Those who call while a
 * question is on its way share the next one.
 */
export class SharedQuestion<T> {
  readonly #ask: () => Promise<T>;
  #asked: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  constructor(ask: () => Promise<T>) {
    this.#ask = ask;
  }

  /** The answer to a question that is asked from now on. */
  get(): Promise<T> {
    if (this.#next !== undefined) return this.#next;
    if (this.#asked === undefined) return this.#begin();
    const begin = () => this.#begin();
    this.#next = this.#asked.then(begin, begin);
    return this.#next;
  }

  #begin(): Promise<T> {
    this.#next = undefined;
    const asked = this.#ask().finally(() => {
      this.#asked = undefined;
    });
    this.#asked = asked;
    return asked;
  }
}
