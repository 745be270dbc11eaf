/**
 * The addresses of this machine, where its services are reached: a guest needs a rule that names the host for them.
 *
 * @module
 */
import { networkInterfaces } from "node:os";
import { type Clock, systemClock } from "../../base/clock.ts";
import type { OwnAddresses } from "../policy/policy.ts";

/** An address that was given to the machine is known after this time. Asking takes a tenth of a millisecond. */
const REFRESH_MS = 5_000;

/** Reads the addresses of all interfaces, at most every few seconds. */
export function ownAddresses(clock: Clock = systemClock): OwnAddresses {
  let readAt = Number.NEGATIVE_INFINITY;
  let addresses: ReadonlySet<string> = new Set();
  return () => {
    if (clock.now() - readAt < REFRESH_MS) return addresses;
    readAt = clock.now();
    const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    addresses = new Set(all.map(({ address }) => address.replace(/%.*$/, "")));
    return addresses;
  };
}
