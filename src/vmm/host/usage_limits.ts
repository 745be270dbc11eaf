/**
 * Watches the use of a sandbox: records it as events, and ends the sandbox when it reaches a time limit, or when it was
 * drained and its last program has ended.
 *
 * @module
 */
import type { MessageFields } from "../../agent/protocol.ts";
import { TimeLimit } from "../../agent/protocol.ts";
import { type Clock, systemClock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { BootKey, StateStore } from "../../state/state_store.ts";
import type { TimeLimitConfig } from "../host_protocol.ts";
import { Activity } from "./activity.ts";
import { type ActivityEvent, ActivityEvents } from "./activity_events.ts";
import { noteIfPossible } from "./best_effort.ts";
import type { StopSequence } from "./stop_sequence.ts";
import { TimeLimits } from "./time_limits.ts";

/** How long a record may wait for another process's transaction; ours take milliseconds. */
export const RECORD_TIMEOUT_MS = 20;

export class Supervision {
  readonly activity: Activity;
  readonly #events: ActivityEvents;
  readonly #limits: TimeLimits;
  readonly #state: StateStore;
  readonly #stop: StopSequence;
  readonly #key: BootKey;
  readonly #graceMs: number;
  #isRecordFailing = false;

  /** Time counts from now. A stop that a limit causes gives programs `graceMs`. */
  constructor(
    state: StateStore,
    key: BootKey,
    stop: StopSequence,
    limits: TimeLimitConfig,
    graceMs: number,
    clock: Clock = systemClock,
  ) {
    this.#state = state;
    this.#key = key;
    this.#stop = stop;
    this.#graceMs = graceMs;
    this.#limits = new TimeLimits((limit) => stop.begin(limit, graceMs), clock);
    this.#events = new ActivityEvents((events, isLast) => this.#record(events, isLast), clock);
    this.activity = new Activity({
      active: () => this.#limits.active(),
      busy: () => this.#busy(),
      idle: (exit) => {
        this.#limits.setBusy(false);
        this.#events.idle(exit);
        this.#endIfDrained();
      },
    });
    stop.begun.then(() => {
      this.activity.isDraining = true;
      this.#limits.close();
    });
    this.#limits.setMaxDuration(limits.maxDurationMs);
    this.#limits.setIdleTimeout(limits.idleTimeoutMs);
  }

  /** Replaces the limits that `which` names. */
  setLimits({ which, maxDurationMs, idleTimeoutMs }: MessageFields<"limits">): void {
    const noneIfZero = (milliseconds: number) => (milliseconds === 0 ? undefined : milliseconds);
    if ((which & TimeLimit.maxDuration) !== 0) this.#limits.setMaxDuration(noneIfZero(maxDurationMs));
    if ((which & TimeLimit.idleTimeout) !== 0) this.#limits.setIdleTimeout(noneIfZero(idleTimeoutMs));
  }

  /** No new programs; once none runs, the sandbox stops. */
  drain(): void {
    if (this.activity.isDraining) return;
    this.activity.isDraining = true;
    noteIfPossible(() => this.#state.transition(this.#key, "stopping", { attributes: { cause: "drained" } }));
    this.#endIfDrained();
  }

  /** Writes the events that still wait, ahead of the last event of this boot. */
  flushEvents(): void {
    this.#events.flush();
  }

  /** All clients of the sandbox wait for this, so a process that locks the state database must not make it long. */
  #record(events: readonly ActivityEvent[], isLast: boolean): boolean {
    try {
      this.#state.note(this.#key, events, isLast ? {} : { busyTimeoutMs: RECORD_TIMEOUT_MS });
      this.#isRecordFailing = false;
      return true;
    } catch (error) {
      // No reason to end a sandbox. Reported once, since it is tried again and again.
      if (!this.#isRecordFailing) console.error(`cannot record events: ${messageOf(error)}`);
      this.#isRecordFailing = true;
      return false;
    }
  }

  #busy(): void {
    this.#limits.setBusy(true);
    this.#events.busy();
  }

  #endIfDrained(): void {
    if (this.activity.isDraining && !this.activity.isBusy) this.#stop.begin("drained", this.#graceMs);
  }
}
