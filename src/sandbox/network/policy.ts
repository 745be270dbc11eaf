/**
 * Rules and policies as plain objects, by the names of the official microsandbox SDK.
 *
 * @module
 */
import type {
  DestinationGroup,
  Destination as DestinationType,
  NetworkPolicy as NetworkPolicyType,
  PortRange as PortRangeType,
  Rule as RuleType,
  ViolationAction,
} from "../../egress/config.ts";
import {
  DESTINATION_GROUPS,
  destinations,
  type NetworkProfile,
  policies,
  portRanges,
  rules,
} from "../../egress/policy/factories.ts";
import { NetworkPolicyBuilder } from "./policy_builder.ts";

/** Whom a rule is about. */
export type Destination = DestinationType;

/** Makes destinations of rules. */
export const Destination = {
  /** Everybody. */
  any: (): Destination => destinations.any(),
  /** An address, or a network of addresses. */
  cidr: (cidr: string): Destination => destinations.cidr(cidr),
  /** A name: addresses that this sandbox resolved it to, and connections that show it. */
  domain: (domain: string): Destination => destinations.domain(domain),
  /** A name and all below it; with `*.` before it, what lies below it only. */
  domainSuffix: (suffix: string): Destination => destinations.domainSuffix(suffix),
  /** Addresses that share a purpose. */
  group: (group: DestinationGroup): Destination => destinations.group(group),
} as const;

/** Ports from `start` to `end`, both included. */
export type PortRange = PortRangeType;

/** Makes ranges of ports. */
export const PortRange = {
  /** One port. */
  single: (port: number): PortRange => portRanges.single(port),
  /** Both included. */
  range: (start: number, end: number): PortRange => portRanges.range(start, end),
} as const;

/** One rule of a policy. */
export type Rule = RuleType;

/**
 * Makes rules for every port and protocol of a destination. A rule is a plain object: spread it to give it ports or protocols.
 *
 * @example
 * ```ts no-vm
 * import { Destination, PortRange, Rule } from "microsandbox";
 *
 * const rule = { ...Rule.allowEgress(Destination.domain("api.example")), ports: [PortRange.single(443)] };
 * console.log(rule.action); // allow
 * ```
 */
export const Rule = {
  /** Lets the guest reach it. */
  allowEgress: (destination: Destination): Rule => rules.allowEgress(destination),
  /** Keeps the guest from it. */
  denyEgress: (destination: Destination): Rule => rules.denyEgress(destination),
  /** Lets it reach the guest. */
  allowIngress: (destination: Destination): Rule => rules.allowIngress(destination),
  /** Keeps it from the guest. */
  denyIngress: (destination: Destination): Rule => rules.denyIngress(destination),
  /** Both ways. */
  allowAny: (destination: Destination): Rule => rules.allowAny(destination),
  /** Both ways. */
  denyAny: (destination: Destination): Rule => rules.denyAny(destination),
  /** Lets the guest resolve every name; one that a rule allows it can resolve in any case. */
  allowDns: (): Rule => rules.allowDns(),
  /** Keeps the guest from resolving names. */
  denyDns: (): Rule => rules.denyDns(),
} as const;

/** Rules in order, of which the first that matches decides, and what holds if none does. */
export type NetworkPolicy = NetworkPolicyType;

/**
 * Makes whole policies.
 *
 * @example
 * ```ts no-vm
 * import { NetworkPolicy } from "microsandbox";
 *
 * const policy = NetworkPolicy.builder()
 *   .defaultDeny()
 *   .egress((rule) => rule.tcp().port(443).allowDomain("api.example"))
 *   .build();
 * console.log(policy.rules.length, NetworkPolicy.fromProfiles(["public"]).defaultEgress); // 1 deny
 * ```
 */
export const NetworkPolicy = {
  /** Begins a policy that is built step by step. */
  builder: (): NetworkPolicyBuilder => new NetworkPolicyBuilder(),
  /** Denies everything in both directions. */
  none: (): NetworkPolicy => policies.none(),
  /** Allows everything in both directions, but what a rule has to name: this machine, and metadata services. */
  allowAll: (): NetworkPolicy => policies.allowAll(),
  /** Denies what goes out, except to `public`, `private` or `host`. @throws {InvalidConfigError} for an unknown profile */
  fromProfiles: (profiles: Iterable<NetworkProfile>): NetworkPolicy => policies.fromProfiles([...profiles]),
} as const;

/** Every group of addresses. */
export const DestinationGroups: readonly DestinationGroup[] = DESTINATION_GROUPS;

/** Everything that can happen to a secret that the guest sends to a host that may not get it. */
export const ViolationActions: readonly ViolationAction[] = [
  "block",
  "block-and-log",
  "block-and-terminate",
  "passthrough",
];
