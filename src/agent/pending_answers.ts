/**
 * Questions to the VM host process that are not answered yet. Each has a time limit, since a process that hangs keeps its
 * connections open and says nothing.
 *
 * @module
 */
import { waitFor } from "../base/wait.ts";

export class Answers<T> {
  readonly #waiting = new Map<number, PromiseWithResolvers<T>>();

  /**
   * The answer to question `number`.
   *
   * @param action What takes the time, as a gerund for the error's message.
   * @throws {TimeoutError} if the guest does not answer within `timeoutMs`.
   */
  async wait(number: number, action: string, timeoutMs: number): Promise<T> {
    const answer = Promise.withResolvers<T>();
    this.#waiting.set(number, answer);
    try {
      return await waitFor(answer.promise, { action, timeoutMs });
    } finally {
      this.#waiting.delete(number);
    }
  }

  /** Answers question `number`, if it still waits. */
  resolve(number: number, answer: T): void {
    this.#waiting.get(number)?.resolve(answer);
  }

  /** Gives every question that waits the same answer. */
  resolveAll(answer: T): void {
    for (const question of this.#waiting.values()) question.resolve(answer);
  }

  /** Rejects every question that waits: no answer will come. */
  rejectAll(error: Error): void {
    for (const question of this.#waiting.values()) question.reject(error);
  }
}
