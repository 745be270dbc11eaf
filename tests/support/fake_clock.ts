/** A clock that stands still until it is told. @module */
import type { Clock } from "../../src/base/clock.ts";

export class FakeClock implements Clock {
  #nowMs = 1_000;
  readonly #alarms = new Set<{ readonly at: number; readonly wake: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, wake: () => void): () => void {
    const alarm = { at: this.#nowMs + delayMs, wake };
    this.#alarms.add(alarm);
    return () => this.#alarms.delete(alarm);
  }

  /** How many alarms are set. */
  get alarms(): number {
    return this.#alarms.size;
  }

  /** Lets time pass, alarm by alarm. */
  advance(durationMs: number): void {
    const end = this.#nowMs + durationMs;
    for (;;) {
      const [next] = [...this.#alarms].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#alarms.delete(next);
      this.#nowMs = next.at;
      next.wake();
    }
    this.#nowMs = end;
  }
}
