/**
 * Rules about whom a guest may reach, as callers give them: a policy, or lists from which one is made.
 *
 * @module
 */
import { z } from "zod";
import { InvalidConfigError } from "../base/errors.ts";
import type { NetworkPolicy, Rule } from "../egress/config.ts";
import { checkPolicy, RULES_MAX } from "../egress/policy/check.ts";
import { destinations, portRanges, rules as ruleMakers } from "../egress/policy/factories.ts";
import { parseRule, policyFromLists } from "../egress/policy/parse_rule.ts";
import type { StoredSecret } from "./secret_options.ts";

/** Rules as a policy, or as lists. */
export interface PolicyOptions {
  /**
   * Whom the guest may reach: nothing else, except the hosts of secrets on the ports whose TLS is read. Entries:
   * `"packages.example"`, `"*.files.example"` (what lies below it), `".files.example"` (and itself), `"10.1.0.0/16:5432"`,
   * `"[fd00::/8]:80,8000-8999"`, `"host.microsandbox.internal:8080"` (a port of this machine's loopback interface), a group such as
   * `"private"`, or `"any"`.
   *
   * @default what is public
   */
  readonly allow?: readonly string[] | undefined;
  /** Whom it may not reach, whatever `allow` says. @default none */
  readonly deny?: readonly string[] | undefined;
  /**
   * Rules in the form `<action>[:<direction>]@<target>[:<protocol>[:<ports>]]`, such as `"allow@api.example:tcp:443"`. They come
   * after `deny` and before `allow`; with some, and without `allow`, nothing else is allowed.
   */
  readonly rules?: readonly string[] | undefined;
  /** A whole policy, instead of lists. */
  readonly policy?: NetworkPolicy | undefined;
}

const action = z.enum(["allow", "deny"]);
const group = z.enum(["public", "loopback", "private", "link-local", "metadata", "multicast", "host"]);

/** A policy as callers give it, and as it is stored. */
export const policySchema = z.strictObject({
  defaultEgress: action,
  defaultIngress: action,
  rules: z.array(
    z.strictObject({
      direction: z.enum(["egress", "ingress", "any"]),
      destination: z.discriminatedUnion("kind", [
        z.strictObject({ kind: z.literal("any") }),
        z.strictObject({ kind: z.literal("cidr"), cidr: z.string() }),
        z.strictObject({ kind: z.literal("domain"), domain: z.string() }),
        z.strictObject({ kind: z.literal("domainSuffix"), suffix: z.string() }),
        z.strictObject({ kind: z.literal("group"), group }),
      ]),
      protocols: z.array(z.enum(["tcp", "udp", "icmpv4", "icmpv6"])),
      ports: z.array(z.strictObject({ start: z.int(), end: z.int() })),
      action,
    }),
  ),
});

const entries = z.array(z.string()).optional();

/** The fields of {@linkcode PolicyOptions}. */
export const policyShape = { allow: entries, deny: entries, rules: entries, policy: policySchema.optional() };

/** Other options on which the rules depend. */
export interface PolicyContext {
  readonly secrets: readonly StoredSecret[];
  /** Ports whose TLS is read. */
  readonly interceptedPorts: readonly number[];
}

/**
 * The policy that the options stand for.
 *
 * @throws {InvalidConfigError} naming each field that is wrong.
 */
export function checkPolicyOptions(
  options: PolicyOptions,
  { secrets, interceptedPorts }: PolicyContext,
  field: string,
): NetworkPolicy {
  const { policy, allow, deny, rules = [] } = options;
  if (policy !== undefined) {
    const beside = (["allow", "deny", "rules"] as const).filter((name) => options[name] !== undefined);
    if (beside.length > 0)
      throw new InvalidConfigError(
        beside.map((name) => ({ field: `${field}.${name}`, problem: "must not be there beside policy" })),
      );
    checkPolicy(policy, `${field}.policy`);
    return policy;
  }
  const given = rules.map((text, index) => parseRule(text, `${field}.rules.${index}`));
  const isClosed = allow !== undefined || given.length > 0;
  const lists = policyFromLists({ allow: isClosed ? (allow ?? []) : undefined, deny }, field);
  const denied = lists.rules.slice(0, deny?.length ?? 0);
  const others = lists.rules.slice(denied.length);
  const made: NetworkPolicy = {
    ...lists,
    rules: [
      ...denied,
      ...given,
      ...(given.some(opensAddresses) && !others.some(isForDns) ? [ruleMakers.allowDns()] : []),
      ...others,
      ...(isClosed ? secrets.flatMap((secret) => hostRules(secret, interceptedPorts)) : []),
    ],
  };
  if (made.rules.length > RULES_MAX) {
    const problem = `must have fewer entries: allow, deny, rules and hosts of secrets make at most ${RULES_MAX} rules, and here ${made.rules.length}`;
    const longest = (["allow", "deny", "rules"] as const).reduce((most, name) =>
      (options[name]?.length ?? 0) > (options[most]?.length ?? 0) ? name : most,
    );
    throw new InvalidConfigError([{ field: `${field}.${longest}`, problem }]);
  }
  checkPolicy(made, field);
  return made;
}

/** Rules about addresses open no names, and a whole group is of little use without names. */
function opensAddresses({ action, direction, destination: { kind } }: Rule): boolean {
  return action === "allow" && direction !== "ingress" && (kind === "group" || kind === "any");
}

function isForDns({ destination, ports }: Rule): boolean {
  return (
    destination.kind === "group" && destination.group === "host" && ports.some(({ start }) => start === 53)
  );
}

/** A host that may get a secret may be reached. */
function hostRules({ allowedHosts, allowedHostPatterns }: StoredSecret, ports: readonly number[]): Rule[] {
  const reached = [
    ...allowedHosts.map((host) =>
      /^[\d.]+$|:/.test(host) ? destinations.cidr(host) : destinations.domain(host),
    ),
    ...allowedHostPatterns.map((pattern) => destinations.domainSuffix(pattern)),
  ];
  return reached.map((destination) => ({
    ...ruleMakers.allowEgress(destination),
    protocols: ["tcp"],
    ports: ports.map(portRanges.single),
  }));
}
