/**
 * What a manager keeps of sandboxes besides the state database, and how it ends those that end with it.
 *
 * @module
 */
import { isGone } from "../../backend/backend.ts";

/** Below so many entries nothing is looked for that could be dropped. */
const SWEEP_ENTRIES_MIN = 64;

/**
 * By the ids of sandboxes. No event reports every end, so the map looks as it grows: it has at
 * most twice as many entries as were still in use at the last look.
 */
export class SandboxMap<T> extends Map<string, T> {
  readonly #isInUse: (id: string) => Promise<boolean>;
  #sweepEntries = SWEEP_ENTRIES_MIN;

  constructor(isInUse: (id: string) => Promise<boolean>) {
    super();
    this.#isInUse = isInUse;
  }

  override set(id: string, value: T): this {
    super.set(id, value);
    if (this.size > this.#sweepEntries) void this.#sweep();
    return this;
  }

  async #sweep(): Promise<void> {
    this.#sweepEntries = Number.POSITIVE_INFINITY; // one at a time
    try {
      for (const [id, value] of [...this]) {
        const isUsed = await this.#isInUse(id).catch(() => true); // the next sweep asks again
        if (!isUsed && this.get(id) === value) this.delete(id);
      }
    } finally {
      this.#sweepEntries = Math.max(SWEEP_ENTRIES_MIN, 2 * this.size);
    }
  }
}

/**
 * Stops all of them, whatever comes of the others; one that is gone already is what was wanted.
 *
 * @throws what the first of those threw that could not be stopped.
 */
export async function stopAll(sandboxes: Iterable<AsyncDisposable>): Promise<void> {
  const stops = await Promise.allSettled([...sandboxes].map((sandbox) => sandbox[Symbol.asyncDispose]()));
  const failure = stops.find((stop) => stop.status === "rejected" && !isGone(stop.reason));
  if (failure?.status === "rejected") throw failure.reason;
}
