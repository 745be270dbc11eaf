/**
 * Pause of a running sandbox: its programs stand still, the VM and this process go on and answer.
 *
 * The VM as a whole is not stopped. With krun its processors are threads of this very process, and a process that is
 * stopped serves no clients; the guest's own freezer needs no privilege and is the same with every engine.
 *
 * @module
 */
import { GuestErrno } from "../../agent/guest_errno.ts";
import type { StandstillState } from "../../agent/protocol.ts";
import { messageOf } from "../../base/errors.ts";
import type { BootKey, StateStore } from "../../state/state_store.ts";
import type { AgentLink } from "./agent_link.ts";

/** Requests that wait for those before them. */
const REQUESTS_MAX = 128;

export class Pause {
  readonly #state: StateStore;
  #guest: { readonly link: AgentLink; readonly key: BootKey } | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #requests = 0;
  #isOn = false;

  constructor(state: StateStore) {
    this.#state = state;
  }

  /** The guest answers. */
  open(link: AgentLink, key: BootKey): void {
    this.#guest = { link, key };
  }

  /** Stops the guest's programs, or lets them go on; one request after the other. */
  set(on: boolean): Promise<StandstillState> {
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

  /** Lets programs go on whose end is waited for. */
  release(): void {
    if (!this.#isOn && this.#requests === 0) return;
    this.set(false).catch((error: unknown) => console.error(`cannot resume: ${messageOf(error)}`));
  }

  async #set(on: boolean): Promise<StandstillState> {
    if (this.#guest === undefined) return { on: false, errno: GuestErrno.EBUSY };
    const { link, key } = this.#guest;
    if (!on) link.syncClock(); // before anybody can look at it
    const answer = await link.pause(on);
    if (answer.on === this.#isOn) return answer;
    if (!(await this.#record(link, key, answer.on)) && answer.on) {
      await link.pause(false); // it is about to stop
      return { on: false, errno: GuestErrno.EBUSY };
    }
    this.#isOn = answer.on;
    return answer;
  }

  /** Nothing stands still of which nobody could know. */
  async #record(link: AgentLink, key: BootKey, on: boolean): Promise<boolean> {
    try {
      return this.#state.transition(key, on ? "paused" : "resumed");
    } catch (error) {
      if (on) await link.pause(false);
      throw error;
    }
  }
}
