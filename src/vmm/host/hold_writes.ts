/**
 * Holds the guest's writes while a client copies the sandbox's disk: for one client at a time, while the others wait for
 * their turn. A client that leaves gives its turn back; if this process ends, the guest's agent ends the hold.
 *
 * @module
 */
import { GuestErrno } from "../../agent/guest_errno.ts";
import type { HoldState } from "../../agent/protocol.ts";
import type { AgentLink } from "./agent_link.ts";

/** Clients that may wait for their turn. */
const WAITING_MAX = 128;

export class WriteHolds {
  readonly #link: AgentLink;
  #holder: object | undefined;
  readonly #waiting: { readonly client: object; readonly proceed: (isTurn: boolean) => void }[] = [];
  #last: Promise<unknown> = Promise.resolve();

  constructor(link: AgentLink) {
    this.#link = link;
  }

  /** Begins a hold for `client`, or extends the one that it has to `leaseMs` from now. */
  async hold(client: object, leaseMs: number): Promise<HoldState> {
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

  /** Lets writes continue. `errno` says whether they were held until now (0), or not (ETIMEDOUT). */
  async release(client: object): Promise<HoldState> {
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
    this.release(client).catch(() => {}); // a guest that does not answer ends the hold by itself
  }

  #turn(client: object): Promise<boolean> {
    if (this.#waiting.length >= WAITING_MAX) return Promise.resolve(false);
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

  /** One question after the other, so that a release never overtakes the hold that it ends. */
  #ask(on: boolean, leaseMs: number): Promise<HoldState> {
    const answer = this.#last.then(() => this.#link.holdWrites(on, leaseMs));
    this.#last = answer.catch(() => {}); // its own caller hears of it
    return answer;
  }
}
