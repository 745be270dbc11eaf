/**
 * The resolvers that are asked: those that were given, or those of this machine.
 *
 * @module
 */
import { readFile, stat } from "node:fs/promises";
import { isIP } from "node:net";
import { type Clock, systemClock } from "../../base/clock.ts";
import type { FlowEnd } from "../flow.ts";
import { DNS_PORT } from "../policy/policy.ts";

const RESOLV_CONF = "/etc/resolv.conf";
/** Other resolvers are noticed after this time, as when a laptop joins another network. */
const RELOAD_MS = 5_000;
/** resolv.conf(5) has room for three; more given ones would make a failure take long. */
export const NAMESERVERS_MAX = 8;
const NAMESERVERS_OF_HOST_MAX = 3;
/** resolv.conf(5): without an entry the local host is asked. */
const DEFAULT: FlowEnd = { address: "127.0.0.1", port: DNS_PORT };

/** `address`, `address:port` or `[address]:port`. `undefined` if it is not an address. */
export function parseNameserver(text: string): FlowEnd | undefined {
  if (isIP(text) !== 0) return { address: text, port: DNS_PORT };
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? "";
  const port = Number(digits ?? DNS_PORT);
  const fits = isIP(address) === (bracketed === undefined ? 4 : 6);
  return fits && port >= 1 && port <= 65_535 ? { address, port } : undefined;
}

/** What is wrong with a nameserver; `undefined` for a good one. */
export function nameserverProblem(text: string): string | undefined {
  return parseNameserver(text) === undefined
    ? 'must be an address, or an address, ":" and a port'
    : undefined;
}

/** Knows the resolvers to ask. */
export class Nameservers {
  readonly #given: readonly FlowEnd[];
  readonly #path: string;
  readonly #clock: Clock;
  #ofHost: readonly FlowEnd[] = [DEFAULT];
  #readAt = Number.NEGATIVE_INFINITY;
  #stamp = "";

  /** @param given Checked already. If empty, those of this machine are asked. */
  constructor(given: readonly string[], clock: Clock = systemClock, path: string = RESOLV_CONF) {
    this.#given = given.flatMap((text) => parseNameserver(text) ?? []).slice(0, NAMESERVERS_MAX);
    this.#clock = clock;
    this.#path = path;
  }

  /** In the order in which they are asked. */
  async list(): Promise<readonly FlowEnd[]> {
    if (this.#given.length > 0) return this.#given;
    if (this.#clock.now() - this.#readAt < RELOAD_MS) return this.#ofHost;
    this.#readAt = this.#clock.now();
    try {
      const { mtimeMs, ino, size } = await stat(this.#path);
      const stamp = `${mtimeMs} ${ino} ${size}`;
      if (stamp !== this.#stamp) this.#ofHost = nameserversOf(await readFile(this.#path, "utf8"));
      this.#stamp = stamp;
    } catch {
      this.#ofHost = [DEFAULT]; // as the C library does without the file
      this.#stamp = "";
    }
    return this.#ofHost;
  }
}

function nameserversOf(text: string): readonly FlowEnd[] {
  const found = text.split("\n").flatMap((line) => {
    const [, address = ""] = /^\s*nameserver\s+(\S+)/.exec(line) ?? [];
    return isIP(address.replace(/%.*$/, "")) === 0 ? [] : [{ address, port: DNS_PORT }];
  });
  return found.length === 0 ? [DEFAULT] : found.slice(0, NAMESERVERS_OF_HOST_MAX);
}
