/**
 * Finds entries of `allow` and `deny` that are probably mistakes: URLs, misspelled groups, addresses of the sandbox itself. Many
 * are valid names, and would silently allow or deny nothing.
 *
 * @module
 */
import { suggestOption } from "../../base/suggest_option.ts";
import { HOST_NAME } from "../guest_network.ts";
import { parseCidr } from "./address.ts";
import { DESTINATION_GROUPS } from "./factories.ts";

/** Groups to suggest for a name without a dot. Not `host`: the name of a local host may differ from it by one letter by chance. */
const LONG_GROUPS: readonly string[] = DESTINATION_GROUPS.filter((group) => group !== "host");
const PROTOCOLS: ReadonlySet<string> = new Set(["tcp", "udp", "icmp", "icmpv4", "icmpv6", "http", "https"]);
const SCHEME_PORTS: Readonly<Record<string, string>> = {
  "http:": "80",
  "https:": "443",
  "ws:": "80",
  "wss:": "443",
};

/** What is wrong with an entry, and the fix. */
export interface EntryMistake {
  readonly problem: string;
  readonly fix: string;
}

/** The probable mistake in an entry of a list; `undefined` if there is none. */
export function entryMistake(text: string, list: "allow" | "deny"): EntryMistake | undefined {
  return urlMistake(text) ?? bracketMistake(text) ?? (list === "allow" ? loopbackMistake(text) : undefined);
}

/** The probable mistake in a name that looks like a group or a protocol; `undefined` if there is none. */
export function nameMistake(name: string): EntryMistake | undefined {
  const host = `a host of that name is "${name}."`;
  if (PROTOCOLS.has(name.toLowerCase()))
    return { problem: "must not be a protocol", fix: `rules have those, "allow@any:tcp:443"; ${host}` };
  const group = name.includes(".") ? undefined : suggestOption(name, LONG_GROUPS);
  return group === undefined
    ? undefined
    : { problem: "must be a name or a group", fix: `did you mean ${group}? ${host}` };
}

function urlMistake(text: string): EntryMistake | undefined {
  const isUrl = text.includes("://");
  if (!isUrl && !text.includes("/")) return undefined;
  const url = URL.parse(isUrl ? text : `host://${text}`);
  if (url === null || url.hostname === "" || (!isUrl && /^[\d.]+$/.test(url.hostname))) return undefined;
  const port = url.port || (SCHEME_PORTS[url.protocol] ?? "");
  const entry = JSON.stringify(port === "" ? url.hostname : `${url.hostname}:${port}`);
  return { problem: "must be a host, without a scheme and a path", fix: `did you mean ${entry}?` };
}

/** Ports behind an address with colons: where they begin cannot be seen. */
function bracketMistake(text: string): EntryMistake | undefined {
  const [, network, ports] = /^([0-9a-f:.]*:[0-9a-f:.]*\/\d+):([\d,-]+)$/i.exec(text) ?? [];
  if (network === undefined || parseCidr(network) === undefined) return undefined;
  return {
    problem: "must have brackets around an IPv6 network with ports",
    fix: `write "[${network}]:${ports}"`,
  };
}

function loopbackMistake(text: string): EntryMistake | undefined {
  const [, host, ports = ""] = /^(localhost|127(?:\.\d+){3}|\[::1\]|::1)(:[\d,-]+)?$/i.exec(text) ?? [];
  if (host === undefined) return undefined;
  return {
    problem: "must not be the sandbox itself, which needs no rule",
    fix: `did you mean "${HOST_NAME}${ports}", the loopback interface of this machine?`,
  };
}
