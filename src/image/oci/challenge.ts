/**
 * Parses the `WWW-Authenticate` header, in which a server lists the authentication schemes that it accepts.
 *
 * Source: RFC 9110, section 11.6.1.
 *
 * @module
 */

/** One authentication scheme that a server offers, e.g. `"bearer"` with `realm`, `service` and `scope`. */
export interface AuthChallenge {
  /** Lower case. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** Longest part of a header to parse, in characters. */
export const CHALLENGE_CHARACTERS_MAX = 8192;

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const PARAMETER = new RegExp(`^\\s*(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN}|[^\\s,"]+))`);
const SCHEME = new RegExp(`^\\s*(${TOKEN})(?:\\s+|(?=,|$))`);

/**
 * Returns the challenges of a header in the server's order. Parsing stops at the first thing that is not a challenge.
 */
export function parseChallenges(header: string): AuthChallenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let rest = header.slice(0, CHALLENGE_CHARACTERS_MAX);
  while (rest !== "") {
    rest = rest.replace(/^[\s,]+/, "");
    const parameter = PARAMETER.exec(rest);
    const current = challenges[challenges.length - 1];
    if (parameter !== null && current !== undefined) {
      const value = parameter[2]?.replace(/\\(.)/g, "$1") ?? parameter[3] ?? "";
      current.parameters.set(parameter[1]!.toLowerCase(), value);
      rest = rest.slice(parameter[0].length);
      continue;
    }
    const scheme = SCHEME.exec(rest);
    if (scheme === null) break;
    challenges.push({ scheme: scheme[1]!.toLowerCase(), parameters: new Map() });
    rest = rest.slice(scheme[0].length);
  }
  return challenges;
}
