/**
 * A pool of members that take long to make: keeps some ready, makes more as they are claimed, and discards those that have
 * failed. What a member is, its owner says (`sandbox_pool.ts`).
 *
 * @module
 */
import { clearTimeout, setTimeout as startTimer } from "node:timers";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { AbortedError } from "../../base/errors.ts";
import { parseConfig } from "../../base/parse_config.ts";
import { CallLimit, TIMER_MS_MAX } from "../../base/wait.ts";

/** How the pool deals with its members. */
export interface PoolActions<T> {
  /** Makes a member. One that cannot be used goes to `discard`, before the failure is thrown. */
  make(signal: AbortSignal, discard: (member: T) => void): Promise<T>;
  /** Whether a member can still be claimed. */
  isHealthy(member: T): Promise<boolean>;
  /** Ends a member. Tried again if it fails. */
  discard(member: T): Promise<void>;
}

export interface PoolOptions {
  /** What a member is called in errors: `"sandbox"`. */
  readonly noun: string;
  /** Members that are kept ready. */
  readonly size: number;
  /** Members that are made at the same time. */
  readonly makesMax: number;
  /** Milliseconds between two checks of the members that are ready. */
  readonly checkIntervalMs: number;
}

/** Options of `SandboxPool.claim()`. */
export interface ClaimOptions {
  /** Milliseconds until the claim must be served, 0 to 2147483647, health checks included. @default no limit */
  readonly timeoutMs?: number | undefined;
  /** Gives the claim up when it fires. */
  readonly signal?: AbortSignal | undefined;
}

/** The wait after a failure, before the next try to make or discard a member; doubled after each further failure. */
const BACKOFF_MS = 500;
const BACKOFF_MS_MAX = 30_000;
/** After so many failures to discard a member it is left to the pool's owner. */
export const DISCARD_TRIES_MAX = 5;

/** A claim that is not served yet. */
type Turn<T> = PromiseWithResolvers<T>;

const claimSchema = z.strictObject({
  timeoutMs: z.number().min(0).max(TIMER_MS_MAX).optional(),
  signal: z.instanceof(AbortSignal).optional(),
});

export class WarmPool<T> {
  readonly #actions: PoolActions<T>;
  readonly #options: PoolOptions;
  readonly #idle: T[] = [];
  /** Claims for which a member is being checked. */
  readonly #checking = new Set<Turn<T>>();
  /** Claims that wait for the next members that are made. */
  readonly #waiting = new Set<Turn<T>>();
  readonly #closed = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  /** Members that could not be discarded, with the reason. */
  readonly #orphans = new Map<T, unknown>();
  #making = 0;
  #failures = 0;
  #pausedUntil = 0;
  #lastError: unknown;
  #checkTimer: ReturnType<typeof startTimer> | undefined;

  /** Starts to make members. */
  constructor(actions: PoolActions<T>, options: PoolOptions) {
    this.#actions = actions;
    this.#options = options;
    this.#refill();
    this.#checkLater();
  }

  /** How many members are ready. */
  get available(): number {
    return this.#idle.length;
  }

  /** Why the last try to make a member failed; `undefined` if it succeeded. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /** Members that could not be discarded after {@linkcode DISCARD_TRIES_MAX} tries, and still exist. */
  get orphans(): readonly T[] {
    return [...this.#orphans.keys()];
  }

  /**
   * Takes a healthy member out of the pool: the oldest that is ready, or else the next that is made.
   *
   * @throws {InvalidConfigError} if an option is wrong.
   * @throws {TimeoutError} if the time is over first.
   * @throws {AbortedError} if the signal fires first, or the pool is closed.
   * @throws the error of the next try to make a member, if that fails.
   */
  async claim(options: ClaimOptions = {}): Promise<T> {
    const { timeoutMs } = parseConfig(claimSchema, options, "options");
    const { signal } = options; // as it came: zod's type of it is not every runtime's
    using limit = new CallLimit({ action: this.#claiming, timeoutMs, signal });
    if (limit.error !== undefined) throw limit.error;
    if (this.#closed.signal.aborted) throw this.#closedError();
    const turn = Promise.withResolvers<T>();
    limit.onReached((error) => this.#leave(turn, error));
    this.#track(this.#serve(turn));
    return await turn.promise;
  }

  /** Ends a member that was claimed and cannot be used. Does not wait for it. */
  discard(member: T): void {
    this.#track(this.#discard(member));
  }

  /**
   * Gives up the members that are being made, discards those that are ready, and rejects the claims that wait.
   *
   * @throws the reason, if a member could not be discarded: see {@linkcode orphans}.
   */
  async close(): Promise<void> {
    this.#closed.abort();
    clearTimeout(this.#checkTimer);
    for (const turn of [...this.#checking, ...this.#waiting]) this.#leave(turn, this.#closedError());
    for (const member of this.#idle.splice(0)) this.discard(member);
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
    for (const reason of this.#orphans.values()) throw reason;
  }

  get #claiming(): string {
    return `waiting for a ${this.#options.noun} of the pool`;
  }

  #closedError(): AbortedError {
    return new AbortedError(this.#claiming, "the pool was closed");
  }

  /** Looks for a healthy member. Without one, `turn` waits for the next that is made. */
  async #serve(turn: Turn<T>): Promise<void> {
    this.#checking.add(turn);
    while (this.#checking.has(turn)) {
      const member = this.#idle.shift();
      if (member === undefined) {
        this.#checking.delete(turn);
        this.#waiting.add(turn);
        this.#refill();
        return;
      }
      const isHealthy = await this.#actions.isHealthy(member).catch(() => false);
      startTimer(() => this.#refill(), 0); // after the claim, which is in a hurry
      if (!isHealthy) this.discard(member);
      else if (this.#checking.delete(turn)) turn.resolve(member);
      else this.#give(member); // this claim was given up
    }
  }

  #leave(turn: Turn<T>, error: Error): void {
    this.#checking.delete(turn);
    this.#waiting.delete(turn);
    turn.reject(error);
  }

  /** Makes as many members as are missing, for the claims that wait and to keep ready. */
  #refill(): void {
    const wanted = this.#options.size + this.#waiting.size;
    while (
      !this.#closed.signal.aborted &&
      performance.now() >= this.#pausedUntil &&
      this.#making < this.#options.makesMax &&
      this.#idle.length + this.#making < wanted
    ) {
      this.#making++;
      this.#track(this.#make());
    }
  }

  async #make(): Promise<void> {
    try {
      const member = await this.#actions.make(this.#closed.signal, (unusable) => this.discard(unusable));
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
    if (this.#closed.signal.aborted) this.discard(member);
    else if (next === undefined) this.#idle.push(member);
    else {
      this.#waiting.delete(next);
      next.resolve(member);
    }
  }

  /** Fails the oldest claim only: the next try may serve the others. */
  #failed(error: unknown): void {
    this.#lastError = error;
    const [next] = this.#waiting;
    if (next !== undefined) this.#waiting.delete(next);
    next?.reject(error);
    const delayMs = backoff(++this.#failures);
    this.#pausedUntil = performance.now() + delayMs;
    const timer = startTimer(() => this.#refill(), delayMs + 1);
    if (this.#waiting.size === 0) timer.unref(); // no claim waits: no reason to keep the process alive
  }

  #checkLater(): void {
    if (this.#closed.signal.aborted) return;
    const check = () => this.#track(this.#checkAll().then(() => this.#checkLater()));
    this.#checkTimer = startTimer(check, this.#options.checkIntervalMs);
    this.#checkTimer.unref();
  }

  async #checkAll(): Promise<void> {
    const checks = this.#idle.map(async (member) => ({
      member,
      isHealthy: await this.#actions.isHealthy(member).catch(() => false),
    }));
    for (const { member, isHealthy } of await Promise.all(checks)) {
      const at = this.#idle.indexOf(member);
      if (isHealthy || at === -1) continue; // at -1 a claim has it, and checks it itself
      this.#idle.splice(at, 1);
      this.discard(member);
    }
    this.#refill();
  }

  async #discard(member: T): Promise<void> {
    for (let failures = 0; ; ) {
      try {
        return await this.#actions.discard(member);
      } catch (error) {
        if (++failures === DISCARD_TRIES_MAX) return void this.#orphans.set(member, error);
        await delay(backoff(failures));
      }
    }
  }

  #track(task: Promise<void>): void {
    this.#tasks.add(task);
    task.finally(() => this.#tasks.delete(task));
  }
}

/** The wait after so many failures in a row. */
function backoff(failures: number): number {
  return Math.min(BACKOFF_MS * 2 ** (failures - 1), BACKOFF_MS_MAX);
}
