/**
 * What a manager keeps of sandboxes besides the state database, and how it ends those that end with it.
 *
 * @module
 */
import { SandboxNotFoundError, SandboxReplacedError } from "../../state/errors.ts";

/** Below so many entries nothing is looked for that could be dropped. */
const SWEEP_ENTRIES_MIN = 64;

/**
 * By the ids of sandboxes. Nobody tells when those end by themselves or by others, so the map looks as it grows: it has at
 * most twice as many entries as were still in use at the last look.
 */
export class SandboxMap<T> extends Map<string, T> {
  readonly #isInUse: (id: string) => boolean;
  #sweepEntries = SWEEP_ENTRIES_MIN;

  constructor(isInUse: (id: string) => boolean) {
    super();
    this.#isInUse = isInUse;
  }

  override set(id: string, value: T): this {
    if (this.size >= this.#sweepEntries) this.#sweep();
    return super.set(id, value);
  }

  #sweep(): void {
    for (const id of this.keys()) if (!this.#isInUse(id)) this.delete(id);
    this.#sweepEntries = Math.max(SWEEP_ENTRIES_MIN, 2 * this.size);
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

function isGone(error: unknown): boolean {
  return error instanceof SandboxNotFoundError || error instanceof SandboxReplacedError;
}
