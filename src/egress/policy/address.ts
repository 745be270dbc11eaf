/**
 * IP addresses as numbers: what a rule is compared with.
 *
 * @module
 */
import { formatIpv4, parseIpv4 } from "../../base/ipv4.ts";

/** Four words of 32 bits, the first highest. IPv4 stands in the last. */
export interface Address {
  readonly family: 4 | 6;
  readonly words: readonly [number, number, number, number];
}

/** Addresses that share the first `prefixBits` bits; the other bits of `address` are zero. */
export interface Cidr {
  readonly address: Address;
  readonly prefixBits: number;
}

/** IPv4 in dotted decimals, or IPv6 without a zone. `undefined` for anything else, including other notations of IPv4. */
export function parseAddress(text: string): Address | undefined {
  return text.includes(":") ? parseIpv6(text) : ipv4Of(parseIpv4(text));
}

/** An address alone is a network of one. `undefined` if it is invalid, or has bits behind the prefix. */
export function parseCidr(text: string): Cidr | undefined {
  const [addressText = "", bitsText, ...rest] = text.split("/");
  const address = parseAddress(addressText);
  if (address === undefined || rest.length > 0) return undefined;
  const bitsMax = address.family === 4 ? 32 : 128;
  if (bitsText === undefined) return { address, prefixBits: bitsMax };
  const prefixBits = Number(bitsText);
  if (!/^(?:0|[1-9]\d{0,2})$/.test(bitsText) || prefixBits > bitsMax) return undefined;
  const cidr = { address, prefixBits };
  return sameWords(address, networkOf(cidr)) ? cidr : undefined;
}

/** The masks of the four words of a network's addresses. */
export function masksOf({ address: { family }, prefixBits }: Cidr): Address["words"] {
  const bits = family === 4 ? prefixBits + 96 : prefixBits;
  const mask = (word: number): number => {
    const count = Math.min(Math.max(bits - 32 * word, 0), 32);
    return count === 0 ? 0 : (-1 << (32 - count)) >>> 0;
  };
  return [mask(0), mask(1), mask(2), mask(3)];
}

/** Whether `address` lies in `cidr`. */
export function isIn(address: Address, cidr: Cidr): boolean {
  if (address.family !== cidr.address.family) return false;
  const masks = masksOf(cidr);
  return address.words.every(
    (word, index) => ((word ^ (cidr.address.words[index] ?? 0)) & (masks[index] ?? 0)) >>> 0 === 0,
  );
}

/** The network's first address. */
export function networkOf(cidr: Cidr): Address {
  const masks = masksOf(cidr);
  const [a, b, c, d] = cidr.address.words;
  return {
    family: cidr.address.family,
    words: [(a & masks[0]) >>> 0, (b & masks[1]) >>> 0, (c & masks[2]) >>> 0, (d & masks[3]) >>> 0],
  };
}

/** The form of RFC 5952 section 4; IPv4 in dotted decimals. */
export function formatAddress({ family, words }: Address): string {
  if (family === 4) return formatIpv4(words[3]);
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  const [start, length] = longestZeros(groups);
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/**
 * The IPv4 address that packets to an IPv6 address reach in the end; `undefined` if it contains none. Of IPv4-mapped
 * (RFC 4291 2.5.5.2), IPv4-compatible (2.5.5.1), IPv4-translated (RFC 2765 2.1), NAT64 (RFC 6052, and RFC 8215 with the address in the last bits), and 6to4
 * (RFC 3056).
 */
export function ipv4Within({ family, words }: Address): Address | undefined {
  if (family === 4) return undefined;
  const [a, b, c, d] = words;
  const isMapped = a === 0 && b === 0 && c === 0xffff;
  const isCompatible = a === 0 && b === 0 && c === 0 && d > 0xffff;
  const isTranslated = a === 0 && b === 0 && c === 0xffff_0000;
  const isNat64 = a === 0x0064ff9b && ((b === 0 && c === 0) || b >>> 16 === 1);
  if (isMapped || isCompatible || isTranslated || isNat64) return ipv4Of(d);
  return a >>> 16 === 0x2002 ? ipv4Of((((a & 0xffff) << 16) | (b >>> 16)) >>> 0) : undefined;
}

function ipv4Of(value: number | undefined): Address | undefined {
  return value === undefined ? undefined : { family: 4, words: [0, 0, 0, value] };
}

/** RFC 4291 section 2.2, all three forms. */
function parseIpv6(text: string): Address | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, index) => parseGroups(half, index === halves.length - 1));
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...(tail ?? [])];
  const word = (index: number): number => (groups[2 * index] ?? 0) * 0x10000 + (groups[2 * index + 1] ?? 0);
  return { family: 6, words: [word(0), word(1), word(2), word(3)] };
}

/** Groups of 16 bits; the last two may be written as IPv4 if `isLast`. */
function parseGroups(text: string, isLast: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (/^[\da-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else {
      const ipv4 = isLast && index === parts.length - 1 ? parseIpv4(part) : undefined;
      if (ipv4 === undefined) return undefined;
      groups.push(ipv4 >>> 16, ipv4 & 0xffff);
    }
  }
  return groups;
}

function longestZeros(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (end < groups.length && groups[end] === 0) end++;
    if (end - start > best[1]) best = [start, end - start];
  }
  return best;
}

function sameWords(one: Address, other: Address): boolean {
  return one.words.every((word, index) => word === other.words[index]);
}
