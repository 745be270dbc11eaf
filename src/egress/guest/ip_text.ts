/**
 * Addresses as the guest sends them, as text.
 *
 * @module
 */

/** Bytes 0 to 11 of an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2). */
const MAPPED_PREFIX = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/**
 * 4 or 16 bytes in the form that `FlowEnd` has: dotted, or as RFC 5952 says. An IPv4-mapped address is IPv4. `undefined` for
 * another number of bytes.
 */
export function addressText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return undefined;
  if (MAPPED_PREFIX.every((byte, index) => bytes[index] === byte)) return bytes.subarray(12).join(".");
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const { begin, length } = longestZeros(groups);
  const texts = groups.map((group) => group.toString(16));
  if (length < 2) return texts.join(":");
  return `${texts.slice(0, begin).join(":")}::${texts.slice(begin + length).join(":")}`;
}

/** The first of the longest runs of zeros. */
function longestZeros(groups: readonly number[]): { begin: number; length: number } {
  let longest = { begin: 0, length: 0 };
  for (let begin = 0; begin < groups.length; begin++) {
    let end = begin;
    while (groups[end] === 0) end++;
    if (end - begin > longest.length) longest = { begin, length: end - begin };
  }
  return longest;
}
