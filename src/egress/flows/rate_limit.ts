/**
 * Limits of what goes one way: bytes a second, and chunks or datagrams a second.
 *
 * @module
 */
import { type Clock, systemClock } from "../../base/clock.ts";
import { waitFor } from "../../base/wait.ts";
import type { RateLimiterConfig, TokenBucketConfig } from "../config.ts";

/** A bucket that starts full and refills continuously. It may go into debt, so that any chunk passes in the end. */
export class TokenBucket {
  readonly #config: TokenBucketConfig;
  readonly #clock: Clock;
  #tokens: number;
  #burst: number;
  #filledAt: number;

  constructor(config: TokenBucketConfig, clock: Clock = systemClock) {
    this.#config = config;
    this.#clock = clock;
    this.#tokens = config.size;
    this.#burst = config.oneTimeBurst;
    this.#filledAt = clock.now();
  }

  /** Milliseconds until something may pass; 0 for now. */
  get waitMs(): number {
    this.#refill();
    if (this.#tokens + this.#burst > 0) return 0;
    const { size, refillTimeMs } = this.#config;
    return Math.max(1, ((1 - this.#tokens) * refillTimeMs) / size);
  }

  /** Takes tokens for what has passed: first from the burst, which is not refilled. */
  take(count: number): void {
    this.#refill();
    const ofBurst = Math.min(this.#burst, count);
    this.#burst -= ofBurst;
    this.#tokens -= count - ofBurst;
  }

  #refill(): void {
    const now = this.#clock.now();
    const { size, refillTimeMs } = this.#config;
    this.#tokens = Math.min(size, this.#tokens + ((now - this.#filledAt) * size) / refillTimeMs);
    this.#filledAt = now;
  }
}

/** Both buckets of one direction, shared by all flows of a sandbox. */
export class RateLimiter {
  readonly #bandwidth: TokenBucket | undefined;
  readonly #ops: TokenBucket | undefined;
  readonly #clock: Clock;

  constructor({ bandwidth, ops }: RateLimiterConfig, clock: Clock = systemClock) {
    this.#bandwidth = bandwidth === undefined ? undefined : new TokenBucket(bandwidth, clock);
    this.#ops = ops === undefined ? undefined : new TokenBucket(ops, clock);
    this.#clock = clock;
  }

  /** Lets a chunk of a stream pass, once it may. Rejects if `signal` fires. */
  async pass(byteLength: number, signal: AbortSignal): Promise<void> {
    for (let waitMs = this.#waitMs; waitMs > 0; waitMs = this.#waitMs) await this.#sleep(waitMs, signal);
    this.#take(byteLength);
  }

  /** Whether a datagram may pass now; if not it is dropped. */
  tryPass(byteLength: number): boolean {
    if (this.#waitMs > 0) return false;
    this.#take(byteLength);
    return true;
  }

  get #waitMs(): number {
    return Math.max(this.#bandwidth?.waitMs ?? 0, this.#ops?.waitMs ?? 0);
  }

  #take(byteLength: number): void {
    this.#bandwidth?.take(byteLength);
    this.#ops?.take(1);
  }

  async #sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(delayMs, resolve);
    try {
      await waitFor(promise, { action: "waiting for a rate limit", signal });
    } finally {
      cancel();
    }
  }
}

/** The limiters of a sandbox. */
export interface RateLimits {
  /** From the guest. */
  readonly egress: RateLimiter | undefined;
  /** To the guest. */
  readonly ingress: RateLimiter | undefined;
}

/** Those that are configured. */
export function rateLimitsOf(
  { egress, ingress }: { egress?: RateLimiterConfig | undefined; ingress?: RateLimiterConfig | undefined },
  clock?: Clock,
): RateLimits {
  return {
    egress: egress === undefined ? undefined : new RateLimiter(egress, clock),
    ingress: ingress === undefined ? undefined : new RateLimiter(ingress, clock),
  };
}
