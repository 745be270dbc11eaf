/**
 * Pauses the programs of a sandbox, while the VM and this process keep running and answer.
 *
 * The VM as a whole is not stopped. With krun its processors are threads of this process, and a stopped process serves no
 * clients; the guest's own freezer needs no privilege and is the same with every engine.
 *
 * @module
 */
import { GuestErrno } from "../../agent/guest_errno.ts";
import type { HoldState } from "../../agent/protocol.ts";
import { messageOf } from "../../base/errors.ts";
import type { BootKey, StateStore } from "../../state/state_store.ts";
import type { AgentLink } from "./agent_link.ts";

/** Requests that may wait for those before them. */
const REQUESTS_MAX = 128;

export class Pause {
  readonly #state: StateStore;
  readonly #key: BootKey;
  readonly #link: AgentLink;
  #last: Promise<unknown> = Promise.resolve();
  #requests = 0;
  #isOn = false;

  constructor(state: StateStore, key: BootKey, link: AgentLink) {
    this.#state = state;
    this.#key = key;
    this.#link = link;
  }

  /** Pauses the guest's programs, or resumes them; one request after the other. */
  set(on: boolean): Promise<HoldState> {
    if (this.#requests >= REQUESTS_MAX) return Promise.resolve({ on: this.#isOn, errno: GuestErrno.EBUSY });
    this.#requests++;
    const answer = this.#last
      .then(() => this.#set(on))
      .finally(() => {
        this.#requests--;
      });
    this.#last = answer.catch(() => {}); // its own caller hears of it
    return answer;
  }

  /** Resumes programs, so that they can end. */
  release(): void {
    if (!this.#isOn && this.#requests === 0) return;
    this.set(false).catch((error: unknown) => console.error(`cannot resume: ${messageOf(error)}`));
  }

  async #set(on: boolean): Promise<HoldState> {
    const link = this.#link;
    if (!on) link.syncClock(); // before a program reads it
    const answer = await link.pause(on);
    if (answer.on === this.#isOn) return answer;
    if (!(await this.#record(answer.on)) && answer.on) {
      await link.pause(false); // it is about to stop
      return { on: false, errno: GuestErrno.EBUSY };
    }
    this.#isOn = answer.on;
    return answer;
  }

  /** Writes the pause down. One that cannot be recorded is taken back, since no client would see it. */
  async #record(on: boolean): Promise<boolean> {
    try {
      return this.#state.transition(this.#key, on ? "paused" : "resumed");
    } catch (error) {
      if (on) await this.#link.pause(false);
      throw error;
    }
  }
}
