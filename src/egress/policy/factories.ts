/**
 * Rules and policies as plain objects, by the names of the known SDK.
 *
 * @module
 */
import { InvalidConfigError } from "../../base/errors.ts";
import { suggestOption } from "../../base/suggest_option.ts";
import type {
  Action,
  Destination,
  DestinationGroup,
  Direction,
  NetworkPolicy,
  PortRange,
  Rule,
} from "../config.ts";

/** Parts of the network that a policy of profiles opens. */
export type NetworkProfile = "public" | "private" | "host";

/** All groups. */
export const DESTINATION_GROUPS: readonly DestinationGroup[] = [
  "public",
  "loopback",
  "private",
  "link-local",
  "metadata",
  "multicast",
  "host",
];

/** In the order in which their rules stand. */
const PROFILES: readonly NetworkProfile[] = ["public", "private", "host"];

/** Ranges of ports. */
export const portRanges = {
  single: (port: number): PortRange => ({ start: port, end: port }),
  range: (start: number, end: number): PortRange => ({ start, end }),
};

/** Destinations of rules. */
export const destinations = {
  any: (): Destination => ({ kind: "any" }),
  cidr: (cidr: string): Destination => ({ kind: "cidr", cidr }),
  domain: (domain: string): Destination => ({ kind: "domain", domain }),
  domainSuffix: (suffix: string): Destination => ({ kind: "domainSuffix", suffix }),
  group: (group: DestinationGroup): Destination => ({ kind: "group", group }),
};

/** Rules for every port and transport of a destination, and those for DNS. */
export const rules = {
  allowEgress: (destination: Destination): Rule => ruleOf("allow", "egress", destination),
  denyEgress: (destination: Destination): Rule => ruleOf("deny", "egress", destination),
  allowIngress: (destination: Destination): Rule => ruleOf("allow", "ingress", destination),
  denyIngress: (destination: Destination): Rule => ruleOf("deny", "ingress", destination),
  allowAny: (destination: Destination): Rule => ruleOf("allow", "any", destination),
  denyAny: (destination: Destination): Rule => ruleOf("deny", "any", destination),
  /** Lets the guest resolve every name: UDP and TCP port 53 of the gateway. */
  allowDns: (): Rule => dnsRule("allow"),
  denyDns: (): Rule => dnsRule("deny"),
};

/** Whole policies. */
export const policies = {
  /** Denies everything in both directions. */
  none: (): NetworkPolicy => ({ defaultEgress: "deny", defaultIngress: "deny", rules: [] }),
  /** Allows everything in both directions, except what a rule has to name: the host, and metadata services. */
  allowAll: (): NetworkPolicy => ({ defaultEgress: "allow", defaultIngress: "allow", rules: [] }),
  /**
   * Denies what goes out except to the profiles, with DNS if there is any.
   *
   * @throws {InvalidConfigError} for an unknown profile.
   */
  fromProfiles(profiles: readonly NetworkProfile[]): NetworkPolicy {
    for (const profile of profiles) checkProfile(profile);
    const opened = PROFILES.filter((profile) => profiles.includes(profile));
    return {
      defaultEgress: "deny",
      defaultIngress: "allow",
      rules: [
        ...(opened.length > 0 ? [rules.allowDns()] : []),
        ...opened.map((group) => rules.allowEgress(destinations.group(group))),
      ],
    };
  },
};

function checkProfile(profile: string): void {
  if (PROFILES.some((known) => known === profile)) return;
  const meant = suggestOption(profile, PROFILES);
  const suggestion = meant === undefined ? "" : `: did you mean ${meant}?`;
  throw new InvalidConfigError([
    {
      field: "profiles",
      problem: `must be ${PROFILES.join(", ")}: current value is ${profile}${suggestion}`,
    },
  ]);
}

function ruleOf(action: Action, direction: Direction, destination: Destination): Rule {
  return { direction, destination, protocols: [], ports: [], action };
}

function dnsRule(action: Action): Rule {
  return {
    direction: "egress",
    destination: destinations.group("host"),
    protocols: ["udp", "tcp"],
    ports: [portRanges.single(53)],
    action,
  };
}
