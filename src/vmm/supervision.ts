/**
 * What a VM host process does about the use of its sandbox: it makes events of it, and ends the sandbox when a time
 * limit is reached or when a drained one has nothing left to do.
 *
 * @module
 */
import type { MessageFields } from "../agent/protocol.ts";
import { TimeLimit } from "../agent/protocol.ts";
import { messageOf } from "../base/errors.ts";
import type { BootKey, Registry } from "../registry/registry.ts";
import { Activity } from "./activity.ts";
import { type ActivityEvent, ActivityEvents } from "./activity_events.ts";
import { noteIfPossible } from "./note_if_possible.ts";
import type { StopSequence } from "./stop_sequence.ts";
import { type TimeLimitConfig, TimeLimits } from "./time_limits.ts";

export class Supervision {
  readonly activity: Activity;
  readonly #events: ActivityEvents;
  readonly #limits: TimeLimits;
  readonly #registry: Registry;
  readonly #stop: StopSequence;
  #key: BootKey | undefined;
  #graceMs = 0;

  constructor(registry: Registry, stop: StopSequence) {
    this.#registry = registry;
    this.#stop = stop;
    this.#limits = new TimeLimits((limit) => stop.begin(limit, this.#graceMs));
    this.#events = new ActivityEvents((events) => this.#record(events));
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
    noteIfPossible(() => this.#registry.transition(key, "stopping", { attributes: { cause: "drained" } }));
    this.#endIfDrained();
  }

  /** Writes the events that still wait; before the last event of this boot. */
  flushEvents(): void {
    this.#events.flush();
  }

  #record(events: readonly ActivityEvent[]): void {
    try {
      if (this.#key !== undefined) this.#registry.note(this.#key, events);
    } catch (error) {
      console.error(`cannot record events: ${messageOf(error)}`); // no reason to end a sandbox
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
