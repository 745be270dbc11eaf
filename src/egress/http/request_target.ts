/** What a request is for: the authority that it names, and the path there. @module */
import { parseAuthority } from "../tls/host_name.ts";
import { type RequestHead, valuesOf } from "./message.ts";
import { HttpProblem, malformed } from "./problem.ts";

/** Where a request goes. */
export interface RequestTarget {
  /** A name in lower case, or an address. */
  readonly host: string;
  readonly port: number | undefined;
  /** The Host field as the guest wrote it. */
  readonly authority: string;
  /** Path and query, or `*`. */
  readonly path: string;
}

/** Methods that no request may have here, with the reason. */
const REFUSED_METHODS: Readonly<Record<string, string>> = {
  CONNECT: "CONNECT would open a way to another server, unread",
  TRACE: "TRACE would show the guest what was put into its request",
};

/**
 * Finds out where a request goes. Its target and its Host must not differ.
 *
 * @param scheme The connection's scheme.
 * @throws {HttpProblem} 400 for an invalid target; 405 for the methods CONNECT and TRACE; 421 if the target names another
 * server than Host.
 */
export function requestTarget(head: RequestHead, scheme: "http" | "https"): RequestTarget {
  const refused = Object.hasOwn(REFUSED_METHODS, head.method) ? REFUSED_METHODS[head.method] : undefined;
  if (refused !== undefined) throw new HttpProblem(405, "blocked", refused);
  const [authority = ""] = valuesOf(head.headers, "host");
  const parsed = parseAuthority(authority);
  if (parsed === undefined) throw malformed("the Host field names no host");
  return { ...parsed, authority, path: pathOf(head, scheme, parsed) };
}

function pathOf(
  { method, target }: RequestHead,
  scheme: "http" | "https",
  host: { readonly host: string; readonly port: number | undefined },
): string {
  if (target.startsWith("/")) return target;
  if (target === "*" && method === "OPTIONS") return target;
  const [, targetScheme = "", authority = "", path = ""] =
    /^([A-Za-z][\w+.-]*):\/\/([^/?]*)(.*)$/.exec(target) ?? [];
  const named = parseAuthority(authority);
  if (named === undefined) throw malformed("the request target is neither a path nor a URL");
  if (targetScheme.toLowerCase() !== scheme || named.host !== host.host || named.port !== host.port)
    throw new HttpProblem(421, "blocked", "the request target names another server than the Host field");
  if (path === "" && method === "OPTIONS") return "*";
  return path.startsWith("/") ? path : `/${path}`;
}
