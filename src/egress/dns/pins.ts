/**
 * Which names this sandbox resolved to which addresses: what a rule about a name holds for.
 *
 * @module
 */
import { type Clock, systemClock } from "../../base/clock.ts";
import { HOST_ADDRESSES, HOST_NAME } from "../guest_network.ts";
import { formatAddress, ipv4Within, parseAddress } from "../policy/address.ts";

/** Clients keep an answer for longer than it is valid, and connect a moment after they asked. */
const PIN_MS_MIN = 60_000;
/** A day: no answer is believed for longer. */
const PIN_MS_MAX = 86_400_000;
/** Pairs of an address and a name, of about 200 bytes each. The least recently used one makes room. */
export const PINS_MAX = 8192;
/** A name may not take all room for itself. */
const ADDRESSES_PER_ANSWER_MAX = 64;
/** Each decision about an address looks at all of its names: a guest that makes up thousands must not make that slow. */
export const PINS_PER_ADDRESS_MAX = 128;

/** Addresses and their names, bounded and for a time. */
export class Pins {
  readonly #clock: Clock;
  /** By address; in each, names with the end of their time. Addresses are in order of use, names in order of their answers. */
  readonly #pins = new Map<string, Map<string, number>>();
  #count = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** How many pairs there are. */
  get size(): number {
    return this.#count;
  }

  /** Notes that `name` was resolved to `addresses`, for at least a minute. */
  add(name: string, addresses: readonly string[], ttlSeconds: number): void {
    const until = this.#clock.now() + Math.min(Math.max(ttlSeconds * 1000, PIN_MS_MIN), PIN_MS_MAX);
    for (const text of addresses.slice(0, ADDRESSES_PER_ANSWER_MAX)) {
      const key = keyOf(text);
      if (key === undefined) continue;
      const names = this.#pins.get(key) ?? new Map<string, number>();
      const before = names.get(name) ?? 0;
      this.#forget(names, name);
      const [oldest] = names.keys();
      if (oldest !== undefined && names.size >= PINS_PER_ADDRESS_MAX) this.#forget(names, oldest);
      names.set(name, Math.max(until, before));
      this.#count++;
      this.#use(key, names);
    }
    this.#makeRoom();
  }

  /** The names of an address that still hold. */
  namesOf(address: string): readonly string[] {
    if (HOST_ADDRESSES.includes(address)) return [HOST_NAME];
    const key = keyOf(address);
    const names = key === undefined ? undefined : this.#pins.get(key);
    if (key === undefined || names === undefined) return [];
    const now = this.#clock.now();
    for (const [name, until] of names) if (until <= now) this.#forget(names, name);
    if (names.size === 0) this.#pins.delete(key);
    else this.#use(key, names);
    return [...names.keys()];
  }

  #forget(names: Map<string, number>, name: string): void {
    if (names.delete(name)) this.#count--;
  }

  #use(key: string, names: Map<string, number>): void {
    this.#pins.delete(key);
    this.#pins.set(key, names);
  }

  #makeRoom(): void {
    for (const [key, names] of this.#pins) {
      if (this.#count <= PINS_MAX) return;
      this.#pins.delete(key);
      this.#count -= names.size;
    }
  }
}

/** One text for all notations of an address, and for all addresses that lead to the same IPv4 address. */
function keyOf(text: string): string | undefined {
  const address = parseAddress(text);
  return address === undefined ? undefined : formatAddress(ipv4Within(address) ?? address);
}
