/**
 * Keeps a number of things ready that take long to make, makes more as they are taken, and throws away those that have
 * gone bad. Knows nothing of sandboxes: `pool.ts` does.
 *
 * @module
 */
import { setTimeout as startTimer } from "node:timers";
import { AbortedError, TimeoutError } from "../base/errors.ts";

/** How the pool deals with its members. */
export interface PoolActions<T> {
  make(signal: AbortSignal): Promise<T>;
  /** Whether a member can still be given away. */
  isHealthy(member: T): Promise<boolean>;
  /** Ends a member that nobody gets. Its failure is nobody's business. */
  discard(member: T): Promise<void>;
}

export interface PoolLimits {
  /** Members that are kept ready. */
  readonly size: number;
  /** Members that are made at the same time. */
  readonly makesMax: number;
  /** How often waiting members are looked at. */
  readonly checkIntervalMs: number;
}

/** How one claim waits. */
export interface ClaimOptions {
  /** @default without limit */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** After a failure to make one, the wait before the next try; doubled with each that follows. */
const BACKOFF_MS = 500;
const BACKOFF_MS_MAX = 30_000;

export class WarmPool<T> {
  readonly #actions: PoolActions<T>;
  readonly #limits: PoolLimits;
  readonly #idle: T[] = [];
  readonly #waiting = new Set<PromiseWithResolvers<T>>();
  readonly #closed = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  #making = 0;
  #failures = 0;
  #pausedUntil = 0;
  #lastError: unknown;

  /** Starts to make members. */
  constructor(actions: PoolActions<T>, limits: PoolLimits) {
    this.#actions = actions;
    this.#limits = limits;
    this.#refill();
    this.#checkLater();
  }

  /** Members that are ready. */
  get available(): number {
    return this.#idle.length;
  }

  /** Why the last try to make a member failed; `undefined` if it did not. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /**
   * A healthy member, for good: the oldest that is ready, or else the next that is made.
   *
   * @throws what kept the next one from being made.
   * @throws {TimeoutError}
   * @throws {AbortedError} if `signal` fired or the pool was closed.
   */
  async claim(options: ClaimOptions = {}): Promise<T> {
    for (;;) {
      options.signal?.throwIfAborted();
      if (this.#closed.signal.aborted) throw closedError();
      const member = this.#idle.shift();
      if (member === undefined) return await this.#wait(options);
      const isHealthy = await this.#actions.isHealthy(member).catch(() => false);
      setTimeout(() => this.#refill(), 0); // whoever claims goes first
      if (isHealthy) return member;
      this.#discard(member);
    }
  }

  /** Takes back what is being made, ends what is ready, and rejects who waits. */
  async close(): Promise<void> {
    this.#closed.abort();
    for (const { reject } of this.#waiting) reject(closedError());
    this.#waiting.clear();
    for (const member of this.#idle.splice(0)) this.#discard(member);
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  async #wait({ timeoutMs, signal }: ClaimOptions): Promise<T> {
    const turn = Promise.withResolvers<T>();
    const abort = () => turn.reject(new AbortedError("claim a sandbox", signal?.reason));
    const late = () => turn.reject(new TimeoutError("a sandbox of the pool", timeoutMs ?? 0));
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
    this.#waiting.add(turn);
    this.#refill();
    try {
      return await turn.promise;
    } finally {
      this.#waiting.delete(turn);
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Makes as many as are missing, for those who wait and for those to come. */
  #refill(): void {
    const wanted = this.#limits.size + this.#waiting.size;
    while (
      !this.#closed.signal.aborted &&
      performance.now() >= this.#pausedUntil &&
      this.#making < this.#limits.makesMax &&
      this.#idle.length + this.#making < wanted
    ) {
      this.#making++;
      this.#track(this.#make());
    }
  }

  async #make(): Promise<void> {
    try {
      const member = await this.#actions.make(this.#closed.signal);
      this.#failures = 0;
      this.#lastError = undefined;
      this.#give(member);
    } catch (error) {
      if (!this.#closed.signal.aborted) this.#failed(error);
    } finally {
      this.#making--;
      this.#refill();
    }
  }

  #give(member: T): void {
    const [next] = this.#waiting;
    if (this.#closed.signal.aborted) this.#discard(member);
    else if (next === undefined) this.#idle.push(member);
    else {
      this.#waiting.delete(next);
      next.resolve(member);
    }
  }

  /** Who waits longest hears of it: who comes later may be luckier. */
  #failed(error: unknown): void {
    this.#lastError = error;
    const [next] = this.#waiting;
    if (next !== undefined) this.#waiting.delete(next);
    next?.reject(error);
    const delayMs = Math.min(BACKOFF_MS * 2 ** this.#failures++, BACKOFF_MS_MAX);
    this.#pausedUntil = performance.now() + delayMs;
    const timer = startTimer(() => this.#refill(), delayMs + 1);
    if (this.#waiting.size === 0) timer.unref(); // nobody waits: no reason to keep the process
  }

  #checkLater(): void {
    const timer = startTimer(() => {
      if (this.#closed.signal.aborted) return;
      this.#track(this.#checkAll().then(() => this.#checkLater()));
    }, this.#limits.checkIntervalMs);
    timer.unref();
    this.#closed.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  }

  async #checkAll(): Promise<void> {
    const checks = this.#idle.map(async (member) => ({
      member,
      isHealthy: await this.#actions.isHealthy(member).catch(() => false),
    }));
    for (const { member, isHealthy } of await Promise.all(checks)) {
      const at = this.#idle.indexOf(member);
      if (isHealthy || at === -1) continue; // at -1 somebody has claimed it, and looks for himself
      this.#idle.splice(at, 1);
      this.#discard(member);
    }
    this.#refill();
  }

  #discard(member: T): void {
    this.#track(this.#actions.discard(member).catch(() => {}));
  }

  #track(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

function closedError(): AbortedError {
  return new AbortedError("claim a sandbox", "the pool was closed");
}
