/** Names of addresses, as they are asked for. @module */
import { formatAddress, parseAddress } from "../policy/address.ts";

/** The address that a name below `in-addr.arpa` (RFC 1035 3.5) or `ip6.arpa` (RFC 3596 2.5) stands for, if it is complete. */
export function reverseAddress(name: string): string | undefined {
  const [, ipv4] = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(name) ?? [];
  const [, ipv6] = /^((?:[\da-f]\.){32})ip6\.arpa$/.exec(name) ?? [];
  const text =
    ipv4 !== undefined
      ? ipv4.slice(0, -1).split(".").reverse().join(".")
      : ipv6?.replaceAll(".", "").split("").reverse().join("").match(/.{4}/g)?.join(":");
  const address = text === undefined ? undefined : parseAddress(text);
  return address === undefined ? undefined : formatAddress(address);
}
