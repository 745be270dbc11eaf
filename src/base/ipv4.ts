/**
 * IPv4 addresses and networks as numbers.
 *
 * @module
 */

/** Addresses from `first` to `last`, both included. */
export interface Ipv4Range {
  readonly first: number;
  readonly last: number;
}

/** A network in CIDR notation (RFC 4632); `first` is its network address, `last` its broadcast address. */
export interface Ipv4Network extends Ipv4Range {
  readonly prefixBits: number;
}

/** `undefined` for what is no address in dotted decimals. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255))
    return undefined;
  return parts.reduce((address, part) => address * 256 + Number(part), 0);
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

/** An address alone is a network of one. Bits behind the prefix are dropped. `undefined` for what is neither. */
export function parseIpv4Network(text: string): Ipv4Network | undefined {
  const [address = "", bits = "32", ...rest] = text.split("/");
  const base = parseIpv4(address);
  const prefixBits = Number(bits);
  if (base === undefined || rest.length > 0 || !/^\d{1,2}$/.test(bits) || prefixBits > 32) return undefined;
  const size = 2 ** (32 - prefixBits);
  const first = base - (base % size);
  return { first, last: first + size - 1, prefixBits };
}

export function rangesOverlap(one: Ipv4Range, other: Ipv4Range): boolean {
  return one.first <= other.last && other.first <= one.last;
}
