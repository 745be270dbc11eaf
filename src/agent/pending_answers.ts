/**
 * Those who wait for an answer of the VM host process, each for a while: one that hangs keeps its connections open and
 * says nothing.
 *
 * @module
 */
import { TimeoutError } from "../base/errors.ts";

export class Answers<T> {
  readonly #waiting = new Map<number, PromiseWithResolvers<T>>();

  /** The answer to question `number`, that `action` waits for. @throws {TimeoutError} */
  async wait(number: number, action: string, timeoutMs: number): Promise<T> {
    const answer = Promise.withResolvers<T>();
    this.#waiting.set(number, answer);
    const timer = setTimeout(() => answer.reject(new TimeoutError(action, timeoutMs)), timeoutMs);
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(number);
    }
  }

  /** An answer that nobody waits for any more comes to nothing. */
  resolve(number: number, answer: T): void {
    this.#waiting.get(number)?.resolve(answer);
  }

  /** No answer will come. */
  rejectAll(error: Error): void {
    for (const answer of this.#waiting.values()) answer.reject(error);
  }
}
