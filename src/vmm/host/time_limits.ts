/**
 * How long a sandbox may live, and how long it may be idle.
 *
 * @module
 */
import { type Clock, systemClock } from "../../base/clock.ts";
import { TIMER_MS_MAX } from "../../base/wait.ts";

export type ExpiredLimit = "maxDuration" | "idleTimeout";

export class TimeLimits {
  readonly #clock: Clock;
  readonly #expire: (limit: ExpiredLimit) => void;
  readonly #cancel = new Map<ExpiredLimit, () => void>();
  #endsAt: number | undefined;
  #idleTimeoutMs: number | undefined;
  #activeAt: number;
  #isBusy = false;

  /** Calls `expire` once, for the limit that is reached first. */
  constructor(expire: (limit: ExpiredLimit) => void, clock: Clock = systemClock) {
    this.#expire = expire;
    this.#clock = clock;
    this.#activeAt = clock.now();
  }

  /** From now on the sandbox may live for `durationMs` more; `undefined` lifts the limit. */
  setMaxDuration(durationMs: number | undefined): void {
    this.#endsAt = durationMs === undefined ? undefined : this.#clock.now() + durationMs;
    this.#watch("maxDuration");
  }

  /** Counted from now at the earliest: a new limit never ends a sandbox at once. */
  setIdleTimeout(timeoutMs: number | undefined): void {
    this.#idleTimeoutMs = timeoutMs;
    this.#activeAt = this.#clock.now();
    this.#watch("idleTimeout");
  }

  /** Somebody did something. Cheap: the timer runs on, and looks at the time of the last activity when it wakes. */
  active(): void {
    this.#activeAt = this.#clock.now();
  }

  /** While busy, a sandbox is not idle. */
  setBusy(isBusy: boolean): void {
    this.#isBusy = isBusy;
    this.active();
    if (!isBusy) this.#watch("idleTimeout");
  }

  /** No limit counts any more. */
  close(): void {
    for (const cancel of this.#cancel.values()) cancel();
    this.#cancel.clear();
    this.#endsAt = undefined;
    this.#idleTimeoutMs = undefined;
  }

  #deadline(limit: ExpiredLimit): number | undefined {
    if (limit === "maxDuration") return this.#endsAt;
    if (this.#isBusy || this.#idleTimeoutMs === undefined) return undefined;
    return this.#activeAt + this.#idleTimeoutMs;
  }

  /** Waits for a limit's deadline as it is now; it may have moved on by then. */
  #watch(limit: ExpiredLimit): void {
    this.#cancel.get(limit)?.();
    this.#cancel.delete(limit);
    const deadline = this.#deadline(limit);
    if (deadline === undefined) return;
    const restMs = deadline - this.#clock.now();
    if (restMs <= 0) {
      this.close();
      return this.#expire(limit);
    }
    const delayMs = Math.min(Math.ceil(restMs), TIMER_MS_MAX);
    this.#cancel.set(
      limit,
      this.#clock.after(delayMs, () => this.#watch(limit)),
    );
  }
}
