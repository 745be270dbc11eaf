/**
 * Checks rules that a caller gave, before anything is made of them.
 *
 * @module
 */
import { type ConfigIssue, InvalidConfigError } from "../../base/errors.ts";
import type { Destination, NetworkPolicy, PortRange, Rule } from "../config.ts";
import { ipv4Within, parseAddress, parseCidr } from "./address.ts";
import { parseDomain, parseSuffix } from "./domain.ts";

/** More rules than a person can read; a decision would take tens of microseconds. */
export const RULES_MAX = 4096;
const PORT_MAX = 65_535;

/** @throws {InvalidConfigError} naming every field that is wrong, with `field` in front. */
export function checkPolicy(policy: NetworkPolicy, field: string): void {
  const issues = policyIssues(policy, field);
  if (issues.length > 0) throw new InvalidConfigError(issues);
}

/** What is wrong with a policy whose fields have the right types. Empty for a good one. */
export function policyIssues({ rules }: NetworkPolicy, field: string): readonly ConfigIssue[] {
  const tooMany =
    rules.length > RULES_MAX
      ? [
          {
            field: `${field}.rules`,
            problem: `must have at most ${RULES_MAX} entries: current value is ${rules.length}`,
          },
        ]
      : [];
  return [...tooMany, ...rules.flatMap((rule, index) => ruleIssues(rule, `${field}.rules.${index}`))];
}

function ruleIssues(rule: Rule, field: string): readonly ConfigIssue[] {
  const problem = destinationProblem(rule.destination);
  const { kind } = rule.destination;
  const part = { any: "kind", cidr: "cidr", domain: "domain", domainSuffix: "suffix", group: "group" }[kind];
  return [
    ...(problem === undefined ? [] : [{ field: `${field}.destination.${part}`, problem }]),
    ...rule.ports.flatMap((range, index) => {
      const wrong = portProblem(range);
      return wrong === undefined ? [] : [{ field: `${field}.ports.${index}`, problem: wrong }];
    }),
    ...protocolIssues(rule, field),
  ];
}

/** What is wrong with a destination; `undefined` for a good one. */
export function destinationProblem(destination: Destination): string | undefined {
  switch (destination.kind) {
    case "cidr":
      return cidrProblem(destination.cidr);
    case "domain":
      return valued(parseDomain(destination.domain).problem, destination.domain);
    case "domainSuffix":
      return valued(parseSuffix(destination.suffix).problem, destination.suffix);
    default:
      return undefined;
  }
}

/** What is wrong with a range of ports. */
export function portProblem({ start, end }: PortRange): string | undefined {
  const isPort = (port: number) => Number.isInteger(port) && port >= 0 && port <= PORT_MAX;
  if (!isPort(start) || !isPort(end))
    return `must be from 0 to ${PORT_MAX}: current value is ${start}-${end}`;
  return start > end ? `must not be upside down: current value is ${start}-${end}` : undefined;
}

function cidrProblem(text: string): string | undefined {
  const cidr = parseCidr(text);
  if (cidr === undefined) return valued(whyNoCidr(text), text);
  const within = cidr.prefixBits >= 96 ? ipv4Within(cidr.address) : undefined;
  // Flows to such an address are decided by the IPv4 address, so that the rule would never match.
  return within === undefined ? undefined : valued("must be the IPv4 address that it stands for", text);
}

function whyNoCidr(text: string): string {
  const [address = "", bits] = text.split("/");
  if (parseAddress(address) === undefined)
    return "must be an address in dotted decimals or RFC 5952, with or without a prefix length";
  return /^\d{1,3}$/.test(bits ?? "") && Number(bits) <= (address.includes(":") ? 128 : 32)
    ? "must have no bits behind the prefix"
    : "must have a prefix length that fits the address";
}

/** Ports are those of TCP and UDP: a rule for echo requests alone cannot have any. */
function protocolIssues({ protocols, ports }: Rule, field: string): readonly ConfigIssue[] {
  const isEchoOnly = protocols.length > 0 && protocols.every((protocol) => protocol.startsWith("icmp"));
  if (!isEchoOnly || ports.length === 0) return [];
  return [
    { field: `${field}.ports`, problem: `must be empty for ${protocols.join(" and ")}, which has no ports` },
  ];
}

function valued(problem: string | undefined, value: string): string | undefined {
  return problem === undefined
    ? undefined
    : `${problem}: current value is ${JSON.stringify(value).slice(0, 80)}`;
}
