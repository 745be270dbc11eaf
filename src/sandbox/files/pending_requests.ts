/**
 * Requests whose answers are not here yet. A bounded number is under way at a time, so that neither side waits for the other
 * after each, and neither holds more than that.
 *
 * @module
 */
import { FailedAt } from "./run_copy.ts";

/** Enough to keep the guest busy while answers are on their way; of the smallest kind, a window holds about as many. */
const REQUESTS_MAX = 512;
/** Content on its way: several windows of a stream, as those of requests that wait here are no longer in the window. */
const BYTES_MAX = 1024 * 1024;

interface Pending {
  readonly path: string;
  readonly bytes: number;
  readonly answered: Promise<void>;
}

export class PendingRequests {
  /** The oldest first: they are answered in the order in which they were sent. */
  readonly #pending: Pending[] = [];
  #bytes = 0;
  #failure: FailedAt | undefined;

  /**
   * Takes a request that was sent. Waits until there is room for another.
   *
   * @param path What it is about, for the error.
   * @param bytes How much content it has.
   * @throws {FailedAt} if one that was sent before has failed.
   */
  async add(path: string, bytes: number, answered: Promise<void>): Promise<void> {
    const noted = answered.catch((error) => {
      this.#failure ??= new FailedAt(path, error);
    });
    this.#pending.push({ path, bytes, answered: noted });
    this.#bytes += bytes;
    while (this.#pending.length > REQUESTS_MAX || this.#bytes > BYTES_MAX) await this.#takeOldest();
    this.#check();
  }

  /** Waits until all are answered. @throws {FailedAt} if one has failed. */
  async all(): Promise<void> {
    while (this.#pending.length > 0) await this.#takeOldest();
    this.#check();
  }

  async #takeOldest(): Promise<void> {
    const oldest = this.#pending.shift();
    if (oldest === undefined) return;
    await oldest.answered;
    this.#bytes -= oldest.bytes;
    this.#check();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
