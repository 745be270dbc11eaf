/**
 * Names as rules have them and as guests ask for them.
 *
 * @module
 */
import { parseHostName } from "../tls/host_name.ts";
import { parseAddress } from "./address.ts";

/** Characters that would end the host in a URL. */
const FOREIGN = /[\s/\\@:?#%[\]<>^|]/;

/** A parsed name, or why it is invalid. */
export type ParsedDomain =
  | { readonly name: string; readonly problem?: undefined }
  | { readonly name?: undefined; readonly problem: string };

/** Parses a domain that a caller wrote: international names become their ASCII form (UTS 46), addresses are refused. */
export function parseDomain(text: string): ParsedDomain {
  if (parseAddress(text.replace(/^\[(.*)\]$/, "$1")) !== undefined)
    return { problem: "must be a domain, but is an address: write it as a CIDR" };
  if (text === "" || FOREIGN.test(text)) return { problem: "must be a domain" };
  let host: string;
  try {
    host = new URL(`http://${text}/`).hostname;
  } catch {
    return { problem: "must be a domain" };
  }
  if (parseAddress(host) !== undefined)
    return { problem: `must be a domain, but is another way to write the address ${host}: write that` };
  const name = parseHostName(host);
  return name === undefined ? { problem: "must be a domain" } : { name };
}

/** A domain with its subdomains. */
export interface Suffix {
  readonly name: string;
  /** Whether the domain itself is included. */
  readonly hasApex: boolean;
}

/** `example.com` and `.example.com` are the domain and all below it; `*.example.com` is what lies below. */
export function parseSuffix(
  text: string,
): (Suffix & { readonly problem?: undefined }) | { readonly problem: string } {
  const hasApex = !text.startsWith("*.");
  const { name, problem } = parseDomain(text.replace(/^\*?\./, ""));
  return name === undefined ? { problem } : { name, hasApex };
}
