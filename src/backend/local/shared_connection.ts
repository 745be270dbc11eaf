/**
 * One connection shared by many callers: opened on first use, reused while it lasts. Each caller has its own timeout and
 * signal; one that gives up does not affect the others. When all have given up, so does the attempt.
 *
 * @module
 */
import { AbortedError, TimeoutError } from "../../base/errors.ts";
import { waitFor } from "../../base/wait.ts";

/** What a caller was doing that gave up, and what it was waiting for that has waited long enough. */
const ACTION = "connecting to the sandbox";
const LATE_ACTION = "waiting for the VM host process to answer";

/** How one caller waits for a connection. */
export interface ConnectionWait {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What callers share. */
export interface Shareable {
  readonly closed: Promise<void>;
  /** Whether it is so near its end that the next caller is to have another. */
  readonly isUsedUp: boolean;
  /** Ends the connection once no caller uses it. */
  closeWhenIdle(): void;
}

interface Attempt<T> {
  readonly connection: Promise<T>;
  readonly abort: AbortController;
  /** Once it is there. */
  open: T | undefined;
  waiting: number;
}

export class SharedConnection<T extends Shareable> {
  readonly #open: (signal: AbortSignal) => Promise<T>;
  readonly #onIdle: () => void;
  #attempt: Attempt<T> | undefined;

  /**
   * `open` takes as long as it takes; aborting it is how it ends early. `onIdle` is told when there is no connection any
   * more, and none is being made.
   */
  constructor(open: (signal: AbortSignal) => Promise<T>, onIdle: () => void = () => {}) {
    this.#open = open;
    this.#onIdle = onIdle;
  }

  /**
   * @throws what kept the connection from being made.
   * @throws {TimeoutError | AbortedError} for this caller alone.
   */
  async get(wait: ConnectionWait): Promise<T> {
    if (wait.signal?.aborted) throw new AbortedError(ACTION, wait.signal.reason);
    const limits = { action: ACTION, late: (timeoutMs: number) => new TimeoutError(LATE_ACTION, timeoutMs) };
    const attempt = this.#current() ?? this.#begin();
    if (attempt.open !== undefined) return attempt.open;
    attempt.waiting++;
    try {
      return await waitFor(attempt.connection, { ...limits, ...wait });
    } finally {
      attempt.waiting--;
      if (attempt.waiting === 0 && attempt.open === undefined) this.#giveUp(attempt);
    }
  }

  #current(): Attempt<T> | undefined {
    const open = this.#attempt?.open;
    if (open?.isUsedUp !== true) return this.#attempt;
    open.closeWhenIdle();
    return undefined;
  }

  #begin(): Attempt<T> {
    const abort = new AbortController();
    const attempt: Attempt<T> = { connection: this.#open(abort.signal), abort, open: undefined, waiting: 0 };
    this.#attempt = attempt;
    const forget = () => this.#forget(attempt);
    attempt.connection.then((connection) => {
      attempt.open = connection;
      return connection.closed.then(forget);
    }, forget);
    return attempt;
  }

  #giveUp(attempt: Attempt<T>): void {
    attempt.abort.abort();
    this.#forget(attempt);
  }

  #forget(attempt: Attempt<T>): void {
    if (this.#attempt !== attempt) return;
    this.#attempt = undefined;
    this.#onIdle();
  }
}
