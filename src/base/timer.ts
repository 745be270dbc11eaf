/** Timers. @module */

/** The longest that one can wait, 24 days; beyond that it fires at once. */
export const TIMER_MS_MAX: number = 2 ** 31 - 1;
