/**
 * Keeps a number of things ready that take long to make, makes more as they are taken, and throws away those that have
 * gone bad. Knows nothing of sandboxes: `pool.ts` does.
 *
 * @module
 */

import { clearTimeout, setTimeout as startTimer } from "node:timers";
import { z } from "zod";
import { AbortedError, TimeoutError } from "../../base/errors.ts";
import { parseConfig } from "../../base/parse_config.ts";
import { TIMER_MS_MAX } from "../../base/wait.ts";

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
  /** 0 to 2,147,483,647; what it takes to look at members counts, too. @default without limit */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** After a failure to make one, the wait before the next try; doubled with each that follows. */
const BACKOFF_MS = 500;
const BACKOFF_MS_MAX = 30_000;

/** One who claims. */
type Turn<T> = PromiseWithResolvers<T>;

const claimSchema = z.strictObject({
  timeoutMs: z.number().min(0).max(TIMER_MS_MAX).optional(),
  signal: z.instanceof(AbortSignal).optional(),
});

export class WarmPool<T> {
  readonly #actions: PoolActions<T>;
  readonly #limits: PoolLimits;
  readonly #idle: T[] = [];
  /** Claims for which a member is being looked at. */
  readonly #looking = new Set<Turn<T>>();
  /** Claims that get the next members that are made. */
  readonly #waiting = new Set<Turn<T>>();
  readonly #closed = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  #making = 0;
  #failures = 0;
  #pausedUntil = 0;
  #lastError: unknown;
  #checkTimer: ReturnType<typeof startTimer> | undefined;

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
   * @throws {InvalidConfigError}
   * @throws what kept the next one from being made.
   * @throws {TimeoutError}
   * @throws {AbortedError} if `signal` fired or the pool was closed.
   */
  async claim(options: ClaimOptions = {}): Promise<T> {
    const { timeoutMs } = parseConfig(claimSchema, options, "options");
    const { signal } = options; // as it came: zod's type of it is not every runtime's
    if (signal?.aborted) throw new AbortedError("claiming a sandbox", signal.reason);
    if (this.#closed.signal.aborted) throw closedError();
    const turn = Promise.withResolvers<T>();
    const abort = () => this.#leave(turn, new AbortedError("claiming a sandbox", signal?.reason));
    const late = () =>
      this.#leave(turn, new TimeoutError("waiting for a sandbox of the pool", timeoutMs ?? 0));
    const timer = timeoutMs === undefined ? undefined : startTimer(late, timeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
    this.#track(this.#serve(turn));
    try {
      return await turn.promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Takes back what is being made, ends what is ready, and rejects who waits. */
  async close(): Promise<void> {
    this.#closed.abort();
    clearTimeout(this.#checkTimer);
    for (const turn of [...this.#looking, ...this.#waiting]) this.#leave(turn, closedError());
    for (const member of this.#idle.splice(0)) this.#discard(member);
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  /** Looks for a member that is well. Without one, `turn` waits for the next that is made. */
  async #serve(turn: Turn<T>): Promise<void> {
    this.#looking.add(turn);
    while (this.#looking.has(turn)) {
      const member = this.#idle.shift();
      if (member === undefined) {
        this.#looking.delete(turn);
        this.#waiting.add(turn);
        this.#refill();
        return;
      }
      const isHealthy = await this.#actions.isHealthy(member).catch(() => false);
      startTimer(() => this.#refill(), 0); // whoever claims goes first
      if (!isHealthy) this.#discard(member);
      else if (this.#looking.delete(turn)) turn.resolve(member);
      else this.#give(member); // who has left gets nothing
    }
  }

  #leave(turn: Turn<T>, error: Error): void {
    this.#looking.delete(turn);
    this.#waiting.delete(turn);
    turn.reject(error);
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
    if (this.#closed.signal.aborted) return;
    const check = () => this.#track(this.#checkAll().then(() => this.#checkLater()));
    this.#checkTimer = startTimer(check, this.#limits.checkIntervalMs);
    this.#checkTimer.unref();
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
  return new AbortedError("claiming a sandbox", "the pool was closed");
}
