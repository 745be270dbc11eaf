/**
 * Every wait with a limit, in one place. On monotonic time; nothing is left behind when a wait is over.
 *
 * - {@linkcode waitFor}: one promise, with a time limit and a signal.
 * - {@linkcode settlesWithin}: whether a promise resolves in time, where a late one is no error.
 * - {@linkcode CallLimit}: several steps under one limit.
 * - {@linkcode pollUntil}: a state that can only be looked at again and again.
 *
 * To replace a wait written by hand, drop its timer, its listener and its `Promise.race`, and name what it does in
 * `action`, as a gerund: `waitFor(answer, { action: "waiting for the agent to answer", timeoutMs, signal })`.
 *
 * A promise keeps every reaction that was added to it until it settles. So do not wait often for one that lives long, such
 * as the end of a connection: keep a set of those who wait, and remove each when its wait is over.
 *
 * @module
 */
import { type Clock, systemClock } from "./clock.ts";
import { AbortedError, TimeoutError } from "./errors.ts";

/** The longest delay of a timer, 24.8 days; a longer one fires at once. */
export const TIMER_MS_MAX: number = 2 ** 31 - 1;

/** What limits a wait. */
export interface CallLimitOptions {
  /** What takes the time, as a gerund for the error's message: `"waiting for the guest to become ready"`. */
  readonly action: string;
  /** `undefined` and `Infinity`: no limit. @default {undefined} */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Makes the error of the time limit. @default {TimeoutError} */
  readonly late?: ((timeoutMs: number) => Error) | undefined;
  /** Makes the error of the signal. @default {AbortedError} */
  readonly aborted?: ((reason: unknown) => Error) | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * How long one call may take, from the moment this is made: until its time is over or its signal fires, whichever comes
 * first, and whatever the call waits for then.
 *
 * @example
 * ```ts no-vm
 * import { setTimeout as delay } from "node:timers/promises";
 *
 * using limit = new CallLimit({ action: "waiting for both steps", timeoutMs: 10_000 });
 * const first = await limit.race(delay(1, "one", { signal: limit.signal }));
 * const second = await limit.race(delay(1, "two", { signal: limit.signal }));
 * console.log(first, second);
 * ```
 */
export class CallLimit implements Disposable {
  readonly #reached = new AbortController();
  readonly #callers: AbortSignal | undefined;
  readonly #abort: () => void;
  #cancelTimer: () => void = () => {};

  constructor(options: CallLimitOptions) {
    const { action, timeoutMs = Number.POSITIVE_INFINITY, signal, clock = systemClock } = options;
    const { late = (limitMs) => new TimeoutError(action, limitMs) } = options;
    const { aborted = (reason) => new AbortedError(action, reason) } = options;
    this.#callers = signal;
    this.#abort = () => this.#reach(aborted(signal?.reason));
    if (signal?.aborted) this.#abort();
    else {
      signal?.addEventListener("abort", this.#abort, { once: true });
      if (timeoutMs < Number.POSITIVE_INFINITY)
        this.#wake(clock, timeoutMs, () => this.#reach(late(timeoutMs)));
    }
  }

  /** Fires when the limit is reached; its reason is {@linkcode error}. */
  get signal(): AbortSignal {
    return this.#reached.signal;
  }

  /** What to tell the caller, once the limit is reached. */
  get error(): Error | undefined {
    return this.#reached.signal.aborted ? this.#reached.signal.reason : undefined;
  }

  /** Calls `handle` when the limit is reached, at once if it was. Returns a function that takes `handle` away. */
  onReached(handle: (error: Error) => void): () => void {
    const { signal } = this;
    const listener = () => handle(signal.reason);
    if (signal.aborted) listener();
    else signal.addEventListener("abort", listener, { once: true });
    return () => signal.removeEventListener("abort", listener);
  }

  /** What `promise` comes to, if that is before the limit. @throws {@linkcode error} */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const leave = this.onReached(reject);
      promise.then(
        (value) => {
          leave();
          resolve(value);
        },
        (error) => {
          leave();
          reject(error);
        },
      );
    });
  }

  /** Takes timer and listener away: the limit is not reached any more. */
  [Symbol.dispose](): void {
    this.#cancelTimer();
    this.#callers?.removeEventListener("abort", this.#abort);
  }

  /** Calls `wake` after `delayMs`, which may be longer than one timer can wait. */
  #wake(clock: Clock, delayMs: number, wake: () => void): void {
    const stepMs = Math.min(delayMs, TIMER_MS_MAX);
    this.#cancelTimer = clock.after(stepMs, () =>
      stepMs < delayMs ? this.#wake(clock, delayMs - stepMs, wake) : wake(),
    );
  }

  #reach(error: Error): void {
    if (this.#reached.signal.aborted) return;
    this[Symbol.dispose]();
    this.#reached.abort(error);
  }
}

/**
 * What `promise` comes to, if that is before the limit.
 *
 * @throws {TimeoutError} when the time is over.
 * @throws {AbortedError} when the signal fires.
 */
export async function waitFor<T>(promise: Promise<T>, options: CallLimitOptions): Promise<T> {
  using limit = new CallLimit(options);
  return await limit.race(promise);
}

/** Whether `promise` resolves within `timeoutMs`. Rejects if it rejects in that time. */
export async function settlesWithin(
  promise: Promise<unknown>,
  timeoutMs: number,
  clock: Clock = systemClock,
): Promise<boolean> {
  using limit = new CallLimit({ action: "waiting", timeoutMs, clock });
  const done = promise.then(() => true);
  return await Promise.race([done, new Promise<boolean>((resolve) => limit.onReached(() => resolve(false)))]);
}

/** How often and how long to look. */
export interface PollOptions {
  /** The pause after each look, or after the first if `everyMsMax` is given. */
  readonly everyMs: number;
  /** If given, each pause is twice the one before, up to this. */
  readonly everyMsMax?: number | undefined;
  /** After this the last look is taken. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** What takes the time, as a gerund, for the error of the signal. @default {"waiting"} */
  readonly action?: string | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * Calls `look` until it returns something, at once and then after each pause. `undefined` and `false` are nothing yet.
 * Resolves with `undefined` when the time is over.
 *
 * @throws {AbortedError} when the signal fires.
 */
export async function pollUntil<T>(
  look: () => T | false | undefined | Promise<T | false | undefined>,
  options: PollOptions,
): Promise<T | undefined> {
  const {
    everyMs,
    everyMsMax = everyMs,
    timeoutMs,
    signal,
    action = "waiting",
    clock = systemClock,
  } = options;
  using limit = new CallLimit({ action, signal });
  const deadline = clock.now() + timeoutMs;
  for (let pauseMs = everyMs; ; pauseMs = Math.min(pauseMs * 2, everyMsMax)) {
    if (limit.error !== undefined) throw limit.error;
    const found = await look();
    if (found !== undefined && found !== false) return found;
    const restMs = deadline - clock.now();
    if (restMs <= 0) return undefined;
    await pause(Math.min(pauseMs, restMs), limit, clock);
  }
}

/** Resolves after `delayMs`, or when the limit is reached. */
function pause(delayMs: number, limit: CallLimit, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(delayMs, () => {
      leave();
      resolve();
    });
    const leave = limit.onReached(() => {
      cancel();
      resolve();
    });
  });
}
