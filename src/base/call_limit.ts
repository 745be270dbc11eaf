/**
 * How long one call may take: until its time is over or its caller's signal fires, counted from when it was made, whatever
 * it waits for by then.
 *
 * @module
 */

/** What ends a call, and what its caller is told. */
export interface CallLimitOptions {
  /** Milliseconds, of which a timer can wait; `undefined` is no limit. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly late: (timeoutMs: number) => Error;
  readonly aborted: (reason: unknown) => Error;
}

export class CallLimit implements Disposable {
  readonly #reached = new AbortController();
  readonly #callers: AbortSignal | undefined;
  readonly #abort: () => void;
  readonly #timer: ReturnType<typeof setTimeout> | undefined;

  constructor({ timeoutMs, signal, late, aborted }: CallLimitOptions) {
    this.#callers = signal;
    this.#abort = () => this.#reach(aborted(signal?.reason));
    if (signal?.aborted) this.#abort();
    else signal?.addEventListener("abort", this.#abort, { once: true });
    if (timeoutMs !== undefined) this.#timer = setTimeout(() => this.#reach(late(timeoutMs)), timeoutMs);
  }

  /** Fires when the limit is reached; its reason is {@linkcode error}. */
  get signal(): AbortSignal {
    return this.#reached.signal;
  }

  /** What to tell the caller, once the limit is reached. */
  get error(): Error | undefined {
    return this.#reached.signal.aborted ? this.#reached.signal.reason : undefined;
  }

  /** Calls `handle` when the limit is reached, at once if it was. */
  onReached(handle: (error: Error) => void): void {
    const { signal } = this;
    if (signal.aborted) handle(signal.reason);
    else signal.addEventListener("abort", () => handle(signal.reason), { once: true });
  }

  /** What `promise` comes to, if that is before the limit. @throws {@linkcode error} */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.onReached(reject);
      promise.then(resolve, reject);
    });
  }

  /** Takes timer and listener away: the limit is not reached any more. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#callers?.removeEventListener("abort", this.#abort);
  }

  #reach(error: Error): void {
    if (this.#reached.signal.aborted) return;
    this[Symbol.dispose]();
    this.#reached.abort(error);
  }
}
