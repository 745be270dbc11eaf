/**
 * The network that sandboxes of mode `tap` take their addresses from.
 *
 * @module
 */
import { formatIpv4, type Ipv4Range, parseIpv4, parseIpv4Network, rangesOverlap } from "../base/ipv4.ts";

/** Where addresses come from by default: a private network (RFC 1918) that few use. */
export const TAP_CIDR_DEFAULT = "10.213.0.0/16";
/** Name servers in resolv.conf(5): the C library reads no more. */
export const NAME_SERVERS_MAX = 3;
/** In a smaller network nothing is left beside its own, its gateway's and its broadcast address. */
const PREFIX_BITS_MAX = 30;
/** The largest private network. */
const PREFIX_BITS_MIN = 8;

/** What mode `tap` is made of; stored with the sandbox. */
export interface TapConfig {
  /** Marks a network of mode `tap`. */
  readonly mode: "tap";
  /** The sandboxes' addresses, e.g. `10.64.0.0/24`. */
  readonly cidr: string;
  /** The host's end of every TAP device of this network. */
  readonly gateway: string;
  /** What the guest resolves names by. */
  readonly dns: readonly string[];
  /** Whether the host forwards nothing from and to the guest. */
  readonly isolated: boolean;
}

/** A network that cannot be used, and which field says so. */
export interface TapProblem {
  readonly field: "cidr" | "gateway";
  readonly problem: string;
}

/** Networks of other meaning (RFC 6890): this one's own, loopback, link-local, multicast and reserved. */
const SPECIAL = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];

/** Why no sandbox can have an address of that network; `undefined` if some can. */
export function findTapProblem(cidr: string, gateway: string | undefined): TapProblem | undefined {
  const network = parseIpv4Network(cidr);
  const refuse = (problem: string) =>
    ({ field: "cidr", problem: `${problem}: current value is ${cidr}` }) as const;
  if (network === undefined || !cidr.includes("/"))
    return refuse("must be an IPv4 network, such as 10.1.0.0/24");
  const { prefixBits, first } = network;
  if (prefixBits > PREFIX_BITS_MAX)
    return refuse(`must have room for a gateway and a guest: at most /${PREFIX_BITS_MAX}`);
  if (prefixBits < PREFIX_BITS_MIN) return refuse(`must be at least /${PREFIX_BITS_MIN}`);
  if (cidr !== `${formatIpv4(first)}/${prefixBits}`)
    return refuse(`must begin at its network address, ${formatIpv4(first)}`);
  const special = SPECIAL.find((text) => rangesOverlap(rangeOf(text), network));
  if (special !== undefined) return refuse(`must not be in ${special}, which has another meaning`);
  const address = parseIpv4(gateway ?? gatewayOf(cidr));
  if (address !== undefined && address > first && address < network.last) return undefined;
  return { field: "gateway", problem: `must be a host's address in ${cidr}: current value is ${gateway}` };
}

/** The default gateway of a network: its first address. */
export function gatewayOf(cidr: string): string {
  return formatIpv4(rangeOf(cidr).first + 1);
}

/** The addresses that guests can have, the gateway's among them. */
export function hostRange(cidr: string): Ipv4Range {
  const { first, last } = rangeOf(cidr);
  return { first: first + 1, last: last - 1 };
}

/** @throws {RangeError} if it is no network: it was checked when it came in. */
export function rangeOf(cidr: string): Ipv4Range {
  const network = parseIpv4Network(cidr);
  if (network === undefined) throw new RangeError(`no IPv4 network: ${cidr}`);
  return network;
}
