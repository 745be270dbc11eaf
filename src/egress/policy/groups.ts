/**
 * The groups of addresses that rules can name, and which of them an address belongs to: exactly one, or none.
 *
 * The sets follow the IANA registries of special-purpose addresses, as of 2025-10:
 * https://www.iana.org/assignments/iana-ipv4-special-registry and
 * https://www.iana.org/assignments/iana-ipv6-special-registry.
 *
 * @module
 */
import type { DestinationGroup } from "../config.ts";
import { GATEWAY_ADDRESSES, HOST_ADDRESSES } from "../guest_network.ts";
import { type Address, type Cidr, formatAddress, masksOf, parseAddress, parseCidr } from "./address.ts";

/** One bit for each group, so that a rule can hold a set of them. `reserved`: addresses of no other group. */
export const GROUP_BITS = {
  public: 1,
  loopback: 2,
  private: 4,
  "link-local": 8,
  metadata: 16,
  multicast: 32,
  host: 64,
  reserved: 128,
} as const satisfies Record<DestinationGroup | "reserved", number>;

/** All bits. */
export const ANY_GROUP = 255;

/** Groups that only a rule which names them opens: neither "any" nor a default does. */
export const GUARDED_GROUPS: number = GROUP_BITS.metadata | GROUP_BITS.host;

/**
 * Where clouds hand out the credentials of the machine: Amazon (instances, containers, clusters), Google, Alibaba, Azure,
 * Oracle. Most others use the first.
 */
export const METADATA_ADDRESSES: readonly string[] = [
  "169.254.169.254",
  "169.254.170.2",
  "169.254.170.23",
  "100.100.100.200",
  "168.63.129.16",
  "192.0.0.192",
  "fd00:ec2::254",
  "fd00:ec2::23",
  "fd20:ce::254",
];

/** Networks in the order in which they are looked at: the first that has the address decides. */
const NETWORKS: readonly (readonly [group: keyof typeof GROUP_BITS, cidrs: readonly string[]])[] = [
  ["loopback", ["127.0.0.0/8", "::1/128"]],
  ["link-local", ["169.254.0.0/16", "fe80::/10"]],
  ["multicast", ["224.0.0.0/4", "ff00::/8"]],
  // RFC 1918, RFC 6598 (shared by the customers of a provider), RFC 4193, and RFC 3879, which is still in use.
  ["private", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"]],
  // Globally reachable, within networks that are not.
  [
    "public",
    [
      "192.0.0.9/32",
      "192.0.0.10/32",
      "2001:1::1/128",
      "2001:1::2/128",
      "2001:1::3/128",
      "2001:3::/32",
      "2001:4:112::/48",
      "2001:20::/28",
      "2001:30::/28",
    ],
  ],
  [
    "reserved",
    [
      "0.0.0.0/8",
      "192.0.0.0/24",
      "192.0.2.0/24",
      "192.88.99.0/24",
      "198.18.0.0/15",
      "198.51.100.0/24",
      "203.0.113.0/24",
      "240.0.0.0/4",
      "2001::/23",
      "2001:db8::/32",
      "2002::/16",
      "3fff::/20",
    ],
  ],
  ["public", ["0.0.0.0/0", "2000::/3"]],
  ["reserved", ["::/0"]],
];

interface Network {
  readonly bit: number;
  readonly words: Address["words"];
  readonly masks: Address["words"];
}

const networks = {
  4: compile(4),
  6: compile(6),
};
const metadata = textsOf(METADATA_ADDRESSES);
const ownOfGuest = textsOf([...GATEWAY_ADDRESSES, ...HOST_ADDRESSES]);
const NONE: ReadonlySet<string> = new Set();

/**
 * The bit of the group that `address` belongs to.
 *
 * @param ownAddresses Those of this machine's network interfaces, in their usual text: they are in group `host`.
 */
export function groupBitOf(address: Address, ownAddresses: ReadonlySet<string> = NONE): number {
  const text = formatAddress(address);
  if (metadata.has(text)) return GROUP_BITS.metadata;
  if (ownOfGuest.has(text)) return GROUP_BITS.host;
  const bit = networkBitOf(address);
  // Loopback stays what it is: this machine's own addresses have it among them.
  return ownAddresses.has(text) && bit !== GROUP_BITS.loopback ? GROUP_BITS.host : bit;
}

function networkBitOf({ family, words: [a, b, c, d] }: Address): number {
  for (const { bit, words, masks } of networks[family]) {
    if (((a ^ words[0]) & masks[0]) === 0 && ((b ^ words[1]) & masks[1]) === 0)
      if (((c ^ words[2]) & masks[2]) === 0 && ((d ^ words[3]) & masks[3]) === 0) return bit;
  }
  return GROUP_BITS.reserved;
}

function compile(family: 4 | 6): readonly Network[] {
  return NETWORKS.flatMap(([group, cidrs]) =>
    cidrs
      .map((text) => parseCidr(text))
      .filter((cidr): cidr is Cidr => cidr?.address.family === family)
      .map((cidr) => ({ bit: GROUP_BITS[group], words: cidr.address.words, masks: masksOf(cidr) })),
  );
}

/** The canonical text of an address, as sets hold it. */
function textsOf(addresses: readonly string[]): ReadonlySet<string> {
  return new Set(
    addresses.flatMap((text) => {
      const address = parseAddress(text);
      return address === undefined ? [] : [formatAddress(address)];
    }),
  );
}
