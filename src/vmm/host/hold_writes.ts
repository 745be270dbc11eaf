/**
 * Holds the guest's writes back while a client copies the sandbox's disk: for one client at a time, the others wait for
 * their turn. A client that leaves gives its turn back; should this process go, the guest's agent ends the freeze.
 *
 * @module
 */
import { GuestErrno } from "../../agent/guest_errno.ts";
import type { StandstillState } from "../../agent/protocol.ts";
import type { AgentLink } from "./agent_link.ts";

/** Clients that wait for their turn. */
const WAITING_MAX = 128;

export class DiskFreeze {
  #link: AgentLink | undefined;
  #holder: object | undefined;
  readonly #waiting: { readonly client: object; readonly proceed: (isTurn: boolean) => void }[] = [];
  #last: Promise<unknown> = Promise.resolve();

  /** The guest answers. */
  open(link: AgentLink): void {
    this.#link = link;
  }

  /** Begins a freeze for `client`, or gives the one that it has `leaseMs` from now on. */
  async hold(client: object, leaseMs: number): Promise<StandstillState> {
    const hasTurn = this.#holder === client || (await this.#turn(client));
    if (!hasTurn) return { on: false, errno: GuestErrno.EBUSY };
    try {
      const answer = await this.#ask(true, leaseMs);
      if (!answer.on) this.#pass(client);
      return answer;
    } catch (error) {
      this.#pass(client);
      throw error;
    }
  }

  /** Lets writes go on. `errno` says whether they were held back until now (0), or not (ETIMEDOUT). */
  async release(client: object): Promise<StandstillState> {
    if (this.#holder !== client) return { on: false, errno: GuestErrno.ETIMEDOUT };
    try {
      return await this.#ask(false, 0);
    } finally {
      this.#pass(client);
    }
  }

  /** A client's connection has ended. */
  left(client: object): void {
    const index = this.#waiting.findIndex((entry) => entry.client === client);
    if (index >= 0) this.#waiting.splice(index, 1)[0]?.proceed(false);
    this.release(client).catch(() => {}); // a guest that does not answer ends the freeze by itself
  }

  #turn(client: object): Promise<boolean> {
    if (this.#link === undefined || this.#waiting.length >= WAITING_MAX) return Promise.resolve(false);
    if (this.#holder === undefined) {
      this.#holder = client;
      return Promise.resolve(true);
    }
    return new Promise((proceed) => this.#waiting.push({ client, proceed }));
  }

  /** The turn is over: the next client has it. */
  #pass(client: object): void {
    if (this.#holder !== client) return;
    const next = this.#waiting.shift();
    this.#holder = next?.client;
    next?.proceed(true);
  }

  /** One question after the other, so that a release never overtakes the freeze that it ends. */
  #ask(on: boolean, leaseMs: number): Promise<StandstillState> {
    const link = this.#link;
    if (link === undefined) return Promise.resolve({ on: false, errno: GuestErrno.EBUSY });
    const answer = this.#last.then(() => link.freeze(on, leaseMs));
    this.#last = answer.catch(() => {}); // its own caller hears of it
    return answer;
  }
}
