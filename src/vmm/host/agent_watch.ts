/**
 * Finds an agent that hangs: the VM host process can write to it, and it says nothing any more.
 *
 * Silence is counted in looks, not in time: a host that was suspended, or too busy to run this process, has not looked,
 * and what waits to be read then is read before the next look. A guest that is busy is no concern either, as the agent
 * needs next to nothing to answer.
 *
 * @module
 */
import { type Clock, systemClock } from "../../base/clock.ts";

/** Questions without any answer after which an agent hangs. */
const UNANSWERED_MAX = 4;

/** What is watched. */
export interface WatchedAgent {
  /** Grows with whatever the guest says. */
  readonly signsOfLife: number;
  /** Has the guest say something. */
  ping(): void;
}

export class AgentWatch {
  readonly #clock: Clock;
  #cancel: () => void = () => {};

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Calls `onHang` once, when the agent has not answered for `timeoutMs`. One that speaks unasked is not asked. */
  begin(agent: WatchedAgent, timeoutMs: number, onHang: () => void): void {
    const intervalMs = Math.ceil(timeoutMs / UNANSWERED_MAX);
    let seen = agent.signsOfLife;
    let unanswered = 0;
    const look = () => {
      if (agent.signsOfLife !== seen) {
        seen = agent.signsOfLife;
        unanswered = 0;
      } else {
        if (unanswered === UNANSWERED_MAX) return onHang();
        agent.ping();
        unanswered++;
      }
      this.#cancel = this.#clock.after(intervalMs, look);
    };
    this.#cancel = this.#clock.after(intervalMs, look);
  }

  /** Stops asking. */
  close(): void {
    this.#cancel();
  }
}
