/**
 * Decides about flows and names by a sandbox's rules.
 *
 * @module
 */
import type { Action, Direction, NetworkPolicy, Protocol, Rule } from "../config.ts";
import { GUEST_NETWORK, HOST_ADDRESSES, HOST_NAME } from "../guest_network.ts";
import { type Address, ipv4Within, isIn, parseAddress, parseCidr } from "./address.ts";
import { GROUP_BITS, GUARDED_GROUPS, groupBitOf } from "./groups.ts";
import { NameIndex, NO_RULE, RuleTable } from "./rule_table.ts";

/** Port of DNS (RFC 1035 4.2). */
export const DNS_PORT = 53;

/** A flow as it is decided about. */
export interface PolicyFlow {
  readonly direction: Exclude<Direction, "any">;
  readonly protocol: Protocol;
  /** Of the other end, whichever opened the flow. */
  readonly address: string;
  /** Of the flow's destination; 0 for echo requests. */
  readonly port: number;
  /** What the address is called: lower case, without a final dot. */
  readonly names: readonly string[];
}

/** What was decided, and by what. */
export interface Decision {
  readonly action: Action;
  /**
   * - `rule`: the first that matches.
   * - `default`: of the direction.
   * - `unnamed`: no rule names a guarded address (metadata, the host), so that the default does not hold.
   */
  readonly reason: "rule" | "default" | "unnamed";
  /** The rule's place in the policy; `undefined` if none matched. */
  readonly rule: number | undefined;
  /** Whether another name for the address could be decided otherwise: then the guest has to show the name. */
  readonly nameMatters: boolean;
}

const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "icmpv4", "icmpv6"];
const DIRECTIONS = ["egress", "ingress"] as const;

/** Where this machine's own addresses come from. They are in group `host`. */
export type OwnAddresses = () => ReadonlySet<string>;

/** A policy that was checked, ready to decide. */
export class CompiledPolicy {
  readonly #policy: NetworkPolicy;
  readonly #ownAddresses: OwnAddresses;
  readonly #tables = new Map<string, RuleTable>();
  readonly #names = new NameIndex<number>();
  /** The first rule that opens or closes DNS as a whole. */
  readonly #dnsRule: number;

  constructor(policy: NetworkPolicy, ownAddresses: OwnAddresses = () => new Set()) {
    this.#policy = policy;
    this.#ownAddresses = ownAddresses;
    const rules = [...policy.rules.entries()];
    for (const direction of DIRECTIONS)
      for (const protocol of PROTOCOLS) {
        const some = rules.filter(([, rule]) => isFor(rule, direction) && hasProtocol(rule, protocol));
        for (const family of [4, 6] as const)
          this.#tables.set(
            `${direction} ${protocol} ${family}`,
            new RuleTable(some, family, isEcho(protocol)),
          );
      }
    for (const [index, rule] of rules)
      if (isFor(rule, "egress") && (rule.action === "allow" || isUnlimited(rule)))
        this.#names.add(rule.destination, index);
    this.#dnsRule = rules.find(([, rule]) => isForDns(rule))?.[0] ?? NO_RULE;
  }

  /** The rule at an index, for callers that need more than its action. */
  ruleAt(index: number | undefined): Rule | undefined {
    return index === undefined ? undefined : this.#policy.rules[index];
  }

  /** Decides about a flow. An address that cannot be read is denied. An IPv6 address that contains an IPv4 address counts as that. */
  decide({ direction, protocol, address: text, port, names }: PolicyFlow): Decision {
    const outer = parseAddress(text);
    if (outer === undefined)
      return { action: "deny", reason: "unnamed", rule: undefined, nameMatters: false };
    const address = ipv4Within(outer) ?? outer;
    const groupBit = groupBitOf(address, this.#ownAddresses());
    const table = this.#tables.get(
      `${direction} ${isEcho(protocol) ? echoOf(address) : protocol} ${address.family}`,
    );
    const { index, nameMatters } = table?.find({ address, groupBit, port, names }) ?? {
      index: NO_RULE,
      nameMatters: false,
    };
    const rule = this.#policy.rules[index];
    if (rule !== undefined) return { action: rule.action, reason: "rule", rule: index, nameMatters };
    if (direction === "egress" && (groupBit & GUARDED_GROUPS) !== 0)
      return { action: "deny", reason: "unnamed", rule: undefined, nameMatters };
    const action = direction === "egress" ? this.#policy.defaultEgress : this.#policy.defaultIngress;
    return { action, reason: "default", rule: undefined, nameMatters };
  }

  /**
   * Decides whether the guest may resolve `name`: by the first rule that is about the name, or about DNS as a whole, which is
   * UDP or TCP to port 53 of the gateway. Names are a way out, so that a rule about addresses opens none.
   */
  decideName(name: string): Decision {
    let index = this.#dnsRule;
    this.#names.forEach(name, (row) => {
      index = Math.min(index, row);
    });
    if (name === HOST_NAME && this.#policy.rules.some((rule) => opensHost(rule)))
      return {
        action: "allow",
        reason: "rule",
        rule: this.#policy.rules.findIndex(opensHost),
        nameMatters: false,
      };
    const rule = this.#policy.rules[index];
    return {
      action: rule?.action ?? this.#policy.defaultEgress,
      reason: rule === undefined ? "default" : "rule",
      rule: rule === undefined ? undefined : index,
      nameMatters: false,
    };
  }

  /**
   * Whether a rule about this very address, its network or its group lets flows to it, on whichever port: then it may be the
   * answer for a public name.
   */
  allowsAddress(text: string): boolean {
    const outer = parseAddress(text);
    if (outer === undefined) return false;
    const address = ipv4Within(outer) ?? outer;
    const groupBit = groupBitOf(address, this.#ownAddresses());
    const decisive = this.#policy.rules.find(
      (rule) =>
        isFor(rule, "egress") &&
        (rule.action === "allow" || isUnlimited(rule)) &&
        isAboutAddress(rule, address, groupBit),
    );
    return decisive?.action === "allow";
  }

  /** The group of an address, as a bit of `GROUP_BITS`. An address that cannot be read is reserved. */
  groupBitOf(text: string): number {
    const outer = parseAddress(text);
    if (outer === undefined) return GROUP_BITS.reserved;
    return groupBitOf(ipv4Within(outer) ?? outer, this.#ownAddresses());
  }
}

function isAboutAddress({ action, destination }: Rule, address: Address, groupBit: number): boolean {
  if (destination.kind === "any") return action === "deny";
  if (destination.kind === "group") return GROUP_BITS[destination.group] === groupBit;
  const cidr = destination.kind === "cidr" ? parseCidr(destination.cidr) : undefined;
  if (cidr === undefined || !isIn(address, cidr)) return false;
  const isWhole = cidr.prefixBits === (address.family === 4 ? 32 : 128);
  return action === "deny" || isWhole || (groupBit & GUARDED_GROUPS) === 0;
}

function isFor(rule: Rule, direction: Direction): boolean {
  return rule.direction === direction || rule.direction === "any";
}

function hasProtocol({ protocols }: Rule, protocol: Protocol): boolean {
  return protocols.length === 0 || protocols.includes(protocol);
}

/** Whether it holds on every port and transport. A deny that does not leaves the name for others. */
function isUnlimited({ protocols, ports }: Rule): boolean {
  return protocols.length === 0 && ports.length === 0;
}

function isForDns(rule: Rule): boolean {
  const { destination, ports } = rule;
  if (!isFor(rule, "egress") || !(hasProtocol(rule, "udp") || hasProtocol(rule, "tcp"))) return false;
  if (ports.length > 0 && !ports.some(({ start, end }) => start <= DNS_PORT && DNS_PORT <= end)) return false;
  return (
    destination.kind === "any" ||
    isGroupHost(rule) ||
    hasAddressOf(rule, [GUEST_NETWORK.ipv4.gateway, GUEST_NETWORK.ipv6.gateway])
  );
}

/** Whether it lets flows to a port of the host's loopback, other than what DNS needs. */
function opensHost(rule: Rule): boolean {
  if (!isFor(rule, "egress") || rule.action !== "allow") return false;
  const isDnsOnly =
    rule.ports.length > 0 && rule.ports.every(({ start, end }) => start === DNS_PORT && end === DNS_PORT);
  return !isDnsOnly && (isGroupHost(rule) || hasAddressOf(rule, HOST_ADDRESSES));
}

function isGroupHost({ destination }: Rule): boolean {
  return destination.kind === "group" && destination.group === "host";
}

function hasAddressOf({ destination }: Rule, addresses: readonly string[]): boolean {
  const cidr = destination.kind === "cidr" ? parseCidr(destination.cidr) : undefined;
  return (
    cidr !== undefined &&
    addresses.some((text) => {
      const address = parseAddress(text);
      return address !== undefined && isIn(address, cidr);
    })
  );
}

function isEcho(protocol: Protocol): boolean {
  return protocol === "icmpv4" || protocol === "icmpv6";
}

function echoOf({ family }: Address): Protocol {
  return family === 4 ? "icmpv4" : "icmpv6";
}
