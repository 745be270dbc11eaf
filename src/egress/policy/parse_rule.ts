/**
 * Rules as people write them in one line: in lists of `allow` and `deny`, and on a command line.
 *
 * @module
 */
import { InvalidConfigError } from "../../base/errors.ts";
import { suggestOption } from "../../base/suggest_option.ts";
import type { Action, Destination, Direction, NetworkPolicy, PortRange, Protocol, Rule } from "../config.ts";
import { parseCidr } from "./address.ts";
import { destinationProblem, portProblem } from "./check.ts";
import { entryMistake, nameMistake } from "./entry_mistakes.ts";
import { DESTINATION_GROUPS, destinations, policies, portRanges, rules } from "./factories.ts";

/** Lists of hosts that a guest may and may not reach. */
export interface EgressLists {
  readonly allow?: readonly string[] | undefined;
  readonly deny?: readonly string[] | undefined;
}

const ACTIONS: readonly Action[] = ["allow", "deny"];
const DIRECTIONS: readonly Direction[] = ["egress", "ingress", "any"];
const PROTOCOLS: readonly (Protocol | "any")[] = ["tcp", "udp", "icmpv4", "icmpv6", "any"];
const TARGET_FORM =
  'must be a domain, "*." and a suffix, an address, a CIDR or a group, and then ":" and ports if it is not for all';
const RULE_FORM = "must be <action>[:<direction>]@<target>[:<protocol>[:<ports>]]";

/**
 * The policy of an `allow` and a `deny` list. What `deny` has is denied before anything is allowed. Without `allow`, public
 * addresses are allowed. Names of allowed domains can be resolved; all names can, if a whole group is allowed.
 *
 * Entries: `packages.example`, `*.files.example` (what lies below), `.files.example` (and the domain itself), `10.1.0.0/16:5432`,
 * `[fd00::/8]:80,8000-8999`, `host.microsandbox.internal:8080`, `public`, `any`.
 *
 * @throws {InvalidConfigError} naming each entry that is wrong.
 */
export function policyFromLists({ allow, deny = [] }: EgressLists, field: string): NetworkPolicy {
  const denied = deny.map((text, index) => ruleOf("deny", text, `${field}.deny.${index}`));
  if (allow === undefined) {
    const open = policies.fromProfiles(["public"]);
    return { ...open, rules: [...denied, ...open.rules] };
  }
  const allowed = allow.map((text, index) => ruleOf("allow", text, `${field}.allow.${index}`));
  const isOpen = allowed.some(({ destination: { kind } }) => kind === "group" || kind === "any");
  return {
    defaultEgress: "deny",
    defaultIngress: "allow",
    rules: [...denied, ...(isOpen ? [rules.allowDns()] : []), ...allowed],
  };
}

/**
 * One rule in the form of the known command line tool: `<action>[:<direction>]@<target>[:<protocol>[:<ports>]]`, such as
 * `allow@api.example:tcp:443` or `deny:any@[fd00::/8]`. An IPv6 address stands in brackets.
 *
 * @throws {InvalidConfigError}
 */
export function parseRule(text: string, field: string): Rule {
  const at = text.indexOf("@");
  if (at < 0) throw invalid(field, RULE_FORM, text);
  const [action = "", direction = "egress", ...others] = text.slice(0, at).split(":");
  const { target, rest } = splitTarget(text.slice(at + 1), field);
  const [protocol = "any", ports, ...more] = rest?.split(":") ?? [];
  if (others.length > 0 || more.length > 0) throw invalid(field, RULE_FORM, text);
  const known = oneOf(PROTOCOLS, protocol, "protocol", field);
  const rule: Rule = {
    direction: oneOf(DIRECTIONS, direction, "direction", field),
    destination: parseDestination(target, field),
    protocols: known === "any" ? [] : [known],
    ports: ports === undefined ? [] : parsePorts(ports, field),
    action: oneOf(ACTIONS, action, "action", field),
  };
  if (known.startsWith("icmp") && rule.ports.length > 0)
    throw invalid(field, `must have no ports for ${known}`, text);
  return rule;
}

/** A group, `any` or `*`, an address or CIDR, a suffix, or a domain. @throws {InvalidConfigError} */
export function parseDestination(text: string, field: string): Destination {
  const destination = destinationOf(text);
  const mistake = destination.kind === "domain" ? nameMistake(text) : undefined;
  if (mistake !== undefined) throw invalid(field, mistake.problem, text, `: ${mistake.fix}`);
  const problem = destinationProblem(destination);
  if (problem !== undefined) throw new InvalidConfigError([{ field, problem }]);
  return destination;
}

function ruleOf(action: Action, text: string, field: string): Rule {
  const mistake = entryMistake(text, action);
  if (mistake !== undefined) throw invalid(field, mistake.problem, text, `: ${mistake.fix}`);
  const { target, rest } = splitTarget(text, field);
  const ports = rest === undefined ? [] : parsePorts(rest, field);
  return { direction: "egress", destination: parseDestination(target, field), protocols: [], ports, action };
}

function destinationOf(text: string): Destination {
  if (text === "*" || text === "any") return destinations.any();
  const group = DESTINATION_GROUPS.find((known) => known === text);
  if (group !== undefined) return destinations.group(group);
  if (text.startsWith("*.") || text.startsWith(".")) return destinations.domainSuffix(text);
  const isNetwork = text.includes(":") || text.includes("/") || parseCidr(text) !== undefined;
  return isNetwork ? destinations.cidr(text) : destinations.domain(text);
}

/** Splits a target from what follows its colon. An IPv6 address has colons, too: it stands alone, or in brackets. */
function splitTarget(text: string, field: string): { target: string; rest: string | undefined } {
  if (parseCidr(text) !== undefined) return { target: text, rest: undefined };
  const [, bracketed, plain, rest] = /^(?:\[([^\]]*)\]|([^[\]:]+))(?::(.*))?$/.exec(text) ?? [];
  const target = bracketed ?? plain;
  if (target === undefined) throw invalid(field, TARGET_FORM, text);
  return { target, rest };
}

/** `443`, `80,443`, `8000-8999`. */
function parsePorts(text: string, field: string): readonly PortRange[] {
  return text.split(",").map((part) => {
    const [, start, end = start] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
    if (start === undefined) throw invalid(field, "must have ports such as 443, 80,443 or 8000-8999", text);
    const range = portRanges.range(Number(start), Number(end));
    const problem = portProblem(range);
    if (problem !== undefined) throw new InvalidConfigError([{ field, problem: `its ports ${problem}` }]);
    return range;
  });
}

function oneOf<T extends string>(known: readonly T[], text: string, what: string, field: string): T {
  const found = known.find((name) => name === text);
  if (found !== undefined) return found;
  const meant = suggestOption(text, known);
  const suggestion = meant === undefined ? "" : `: did you mean ${meant}?`;
  throw invalid(field, `its ${what} must be ${known.join(", ")}`, `${text}`, suggestion);
}

function invalid(field: string, rule: string, value: string, suggestion = ""): InvalidConfigError {
  const shown = JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  return new InvalidConfigError([{ field, problem: `${rule}: current value is ${shown}${suggestion}` }]);
}
