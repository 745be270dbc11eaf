/** Names of hosts as TLS and HTTP carry them, in one form so that they can be compared. @module */
import { isIP } from "node:net";

const NAME_CHARS_MAX = 253;
/** A label as it is used, which is more than RFC 1123 allows: underscores are common. */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * A DNS name in lower case, without the final dot of the root. `undefined` if it is not a name, and for addresses, including
 * notations that only some resolvers accept, such as `0x7f.1`.
 */
export function parseHostName(text: string): string | undefined {
  const name = (text.endsWith(".") ? text.slice(0, -1) : text).toLowerCase();
  if (name.length > NAME_CHARS_MAX) return undefined;
  const labels = name.split(".");
  if (!labels.every((label) => LABEL.test(label))) return undefined;
  // WHATWG URL section 3.6: a name whose last label is a number is an IPv4 address, or invalid.
  return /^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? "") ? undefined : name;
}

/**
 * The host and port of an HTTP authority: a name, an IPv4 address, or an IPv6 address in brackets, and a port if it is
 * given. `undefined` for all else, user information included.
 */
export function parseAuthority(text: string): { host: string; port: number | undefined } | undefined {
  const [, bracketed, plain = "", digits] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]@/?#]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port === 0 || port > 65_535)) return undefined;
  const host = bracketed === undefined ? parseIpv4OrName(plain) : parseIpv6(bracketed);
  return host === undefined ? undefined : { host, port };
}

function parseIpv4OrName(text: string): string | undefined {
  return isIP(text) === 4 ? text : parseHostName(text);
}

/** In the form of RFC 5952, so that two notations of one address are equal. */
function parseIpv6(text: string): string | undefined {
  if (isIP(text) !== 6) return undefined;
  const { hostname } = new URL(`http://[${text}]/`);
  return hostname.slice(1, -1);
}

/** Whether `name` is `pattern`, or ends with the suffix of a pattern `*.suffix`. `*` is every name and address. */
export function matchesHostPattern(pattern: string, name: string): boolean {
  if (pattern === "*") return true;
  const wanted = pattern.toLowerCase().replace(/\.$/, "");
  if (wanted.startsWith("*.")) return name.endsWith(wanted.slice(1)) && name.length > wanted.length - 1;
  return wanted === name;
}
