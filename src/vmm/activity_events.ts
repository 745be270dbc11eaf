/**
 * Turns busy and idle into `running` and `idle` events, at a rate that a busy sandbox cannot raise.
 *
 * Only the first program that starts and the last one that ends make an event. What follows within
 * {@linkcode EDGE_INTERVAL_MS} is written together, and in short: however many programs ran meanwhile, it is one pair.
 *
 * @module
 */
import type { NewEvent } from "../registry/event_log.ts";
import type { ProgramExit } from "./activity.ts";
import { type Clock, systemClock } from "./time_limits.ts";

/** A sandbox writes at most two of these events in this time: ten a second. */
export const EDGE_INTERVAL_MS = 200;

export type ActivityEvent = Required<Pick<NewEvent, "action" | "attributes" | "timestamp">>;

export class ActivityEvents {
  readonly #write: (events: readonly ActivityEvent[]) => void;
  readonly #clock: Clock;
  /** What is to be written next: one event, or two of different kinds. */
  #pending: ActivityEvent[] = [];
  #nextWriteAt = 0;
  #cancel: (() => void) | undefined;

  constructor(write: (events: readonly ActivityEvent[]) => void, clock: Clock = systemClock) {
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

  /** Writes what waits. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#pending.length === 0) return;
    const events = this.#pending;
    this.#pending = [];
    this.#nextWriteAt = this.#clock.now() + EDGE_INTERVAL_MS;
    this.#write(events);
  }

  #add(action: "running" | "idle", attributes: ActivityEvent["attributes"]): void {
    const event: ActivityEvent = { action, attributes, timestamp: new Date() };
    const [first] = this.#pending;
    if (this.#pending.length < 2 || first === undefined) this.#pending.push(event);
    // There and back again, and there: only the first start and the last end are told.
    else this.#pending = [action === "running" ? first : event];
    // Even the first waits for the next turn: the program's start goes first.
    this.#cancel ??= this.#clock.after(Math.max(0, this.#nextWriteAt - this.#clock.now()), () =>
      this.flush(),
    );
  }
}
