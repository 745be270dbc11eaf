/**
 * Whether this machine has a way to an IPv6 address. A guest would wait for addresses that it cannot reach.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { type Clock, systemClock } from "../../base/clock.ts";
import { type Cidr, isIn, parseAddress, parseCidr } from "../policy/address.ts";

/** One line for each route; see the kernel's `rt6_info_route` (net/ipv6/route.c) for the columns. */
const ROUTES = "/proc/net/ipv6_route";
/** Routes that come up are noticed after this time. */
const RELOAD_MS = 5_000;
/** `RTF_REJECT` of linux/route.h: the route says that there is no way. */
const FLAG_REJECT = 0x0200;

/** Knows where IPv6 can go. */
export class Ipv6Routes {
  readonly #clock: Clock;
  readonly #path: string;
  #networks: readonly Cidr[] = [];
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock = systemClock, path: string = ROUTES) {
    this.#clock = clock;
    this.#path = path;
  }

  /** Whether a route leads to an IPv6 address. */
  async reach(text: string): Promise<boolean> {
    const address = parseAddress(text);
    if (address === undefined) return false;
    if (this.#clock.now() - this.#readAt >= RELOAD_MS) {
      this.#readAt = this.#clock.now();
      this.#networks = await readFile(this.#path, "latin1").then(networksOf, () => []); // no file: no IPv6
    }
    return this.#networks.some((network) => isIn(address, network));
  }
}

function networksOf(text: string): Cidr[] {
  return text.split("\n").flatMap((line) => {
    const columns = line.trim().split(/\s+/);
    const [destination = "", prefix = ""] = columns;
    const [flags = "", device = ""] = columns.slice(-2);
    if (device === "lo" || (Number.parseInt(flags, 16) & FLAG_REJECT) !== 0) return [];
    const address = destination.match(/[\da-f]{4}/g)?.join(":") ?? "";
    const cidr = parseCidr(`${address}/${Number.parseInt(prefix, 16)}`);
    return cidr === undefined ? [] : [cidr];
  });
}
