/**
 * Turns busy and idle into `running` and `idle` events, at a rate that a busy sandbox cannot raise.
 *
 * Only the first program that starts and the last one that ends make an event. What follows within
 * {@linkcode EDGE_INTERVAL_MS} is written together, and in short: however many programs ran in between, it is one pair.
 * So is what cannot be written yet: it waits with what comes after it, and holds up no call.
 *
 * @module
 */

import { type Clock, systemClock } from "../../base/clock.ts";
import type { NewEvent } from "../../state/event_log.ts";
import type { ProgramExit } from "./activity.ts";

/** A sandbox writes at most two of these events in this time: ten a second. */
export const EDGE_INTERVAL_MS = 200;

/** How long to leave off when they cannot be written. */
export const RETRY_INTERVAL_MS = 1_000;

export type ActivityEvent = Required<Pick<NewEvent, "action" | "attributes" | "timestamp">>;

/** Writes events, and returns whether it could. With `isLast` there is no other time: it may take as long as it needs. */
export type WriteEvents = (events: readonly ActivityEvent[], isLast: boolean) => boolean;

export class ActivityEvents {
  readonly #write: WriteEvents;
  readonly #clock: Clock;
  /** What is to be written next: one event, or two of different kinds. */
  #pending: ActivityEvent[] = [];
  #nextWriteAt = 0;
  #cancel: (() => void) | undefined;

  constructor(write: WriteEvents, clock: Clock = systemClock) {
    this.#write = write;
    this.#clock = clock;
  }

  busy(): void {
    this.#add("running", {});
  }

  idle(exit: ProgramExit | undefined): void {
    const { code: exitCode, signal } = exit ?? { code: undefined, signal: undefined };
    this.#add("idle", {
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /** Writes what waits, now or never: before the last event of a boot. */
  flush(): void {
    this.#attempt(true);
  }

  #add(action: "running" | "idle", attributes: ActivityEvent["attributes"]): void {
    const event: ActivityEvent = { action, attributes, timestamp: new Date() };
    const [first] = this.#pending;
    if (this.#pending.length < 2 || first === undefined) this.#pending.push(event);
    // There and back again, and there: only the first start and the last end are told.
    else this.#pending = [action === "running" ? first : event];
    // Even the first waits for the next turn: the program's start goes first.
    this.#schedule();
  }

  #schedule(): void {
    const delayMs = Math.max(0, this.#nextWriteAt - this.#clock.now());
    this.#cancel ??= this.#clock.after(delayMs, () => this.#attempt(false));
  }

  #attempt(isLast: boolean): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#pending.length === 0) return;
    const isWritten = this.#write(this.#pending, isLast);
    if (isWritten) this.#pending = [];
    this.#nextWriteAt = this.#clock.now() + (isWritten ? EDGE_INTERVAL_MS : RETRY_INTERVAL_MS);
    if (!isWritten && !isLast) this.#schedule();
  }
}
