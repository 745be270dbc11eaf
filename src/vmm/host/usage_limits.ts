/**
 * What a VM host process does about the use of its sandbox: it makes events of it, and ends the sandbox when a time
 * limit is reached or when a drained one has nothing left to do.
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

/** How long a note of the sandbox's use may wait for another process's transaction; ours take milliseconds. */
const RECORD_TIMEOUT_MS = 20;

export class Supervision {
  readonly activity: Activity;
  readonly #events: ActivityEvents;
  readonly #limits: TimeLimits;
  readonly #state: StateStore;
  readonly #stop: StopSequence;
  #key: BootKey | undefined;
  #graceMs = 0;
  #isRecordFailing = false;

  constructor(state: StateStore, stop: StopSequence, clock: Clock = systemClock) {
    this.#state = state;
    this.#stop = stop;
    this.#limits = new TimeLimits((limit) => stop.begin(limit, this.#graceMs), clock);
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
  }

  /** The guest answers: time counts from now on. A stop that a limit causes gives programs `graceMs`. */
  begin(key: BootKey, limits: TimeLimitConfig, graceMs: number): void {
    this.#key = key;
    this.#graceMs = graceMs;
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
    const key = this.#key;
    if (key === undefined || this.activity.isDraining) return;
    this.activity.isDraining = true;
    noteIfPossible(() => this.#state.transition(key, "stopping", { attributes: { cause: "drained" } }));
    this.#endIfDrained();
  }

  /** Writes the events that still wait; before the last event of this boot. */
  flushEvents(): void {
    this.#events.flush();
  }

  /** All clients of the sandbox wait meanwhile: whoever locks the state database must not keep them long. */
  #record(events: readonly ActivityEvent[], isLast: boolean): boolean {
    if (this.#key === undefined) return true;
    try {
      this.#state.note(this.#key, events, isLast ? {} : { busyTimeoutMs: RECORD_TIMEOUT_MS });
      this.#isRecordFailing = false;
      return true;
    } catch (error) {
      // No reason to end a sandbox. Said once, as it comes again and again.
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
