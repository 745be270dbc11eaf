/** Monotonic time, and timers on it. @module */
import { clearTimeout as cancelTimer, setTimeout as startTimer } from "node:timers";

/** A monotonic clock with timers. Tests pass one of their own. */
export interface Clock {
  /** Milliseconds; never goes back. */
  now(): number;
  /** Calls `wake` after `delayMs`, at most {@linkcode TIMER_MS_MAX}. Returns a function that cancels it. */
  after(delayMs: number, wake: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, wake) {
    const timer = setTimeout(wake, delayMs);
    return () => clearTimeout(timer);
  },
};

/** {@linkcode systemClock} whose timers leave the process free to end. */
export const backgroundClock: Clock = {
  now: systemClock.now,
  after(delayMs, wake) {
    const timer = startTimer(wake, delayMs);
    timer.unref();
    return () => cancelTimer(timer);
  },
};
