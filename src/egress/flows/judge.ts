/**
 * Decides about a guest's requests: by what can never be reached, by the rules, and by the names that this sandbox resolved.
 *
 * @module
 */
import type { EgressConfig, Protocol } from "../config.ts";
import type { Pins } from "../dns/pins.ts";
import type { FlowEnd, FlowProtocol } from "../flow.ts";
import { GATEWAY_ADDRESSES, HOST_ADDRESSES, HOST_NAME } from "../guest_network.ts";
import { ipv4Within, parseAddress } from "../policy/address.ts";
import { GROUP_BITS } from "../policy/groups.ts";
import { CompiledPolicy, type Decision, type OwnAddresses } from "../policy/policy.ts";
import { blocksQuic } from "../tls/scope.ts";
import type { FlowReason } from "./flow_log.ts";

/** RFC 7858 and RFC 9250. */
const DNS_OVER_TLS_PORT = 853;
/** QUIC of HTTP/3. */
const QUIC_PORT = 443;

/** What was decided about a request. */
export interface Verdict {
  readonly allowed: boolean;
  readonly reason: FlowReason;
  readonly rule: number | undefined;
  /** Names that this sandbox resolved to the address. */
  readonly names: readonly string[];
  /** Whether the guest has to show a name that is allowed, if it speaks TLS or HTTP. */
  readonly nameMatters: boolean;
}

/** The rules of one configuration, with the pins of the sandbox. */
export class Judge {
  readonly policy: CompiledPolicy;
  readonly #config: EgressConfig;
  readonly #pins: Pins;

  constructor(config: EgressConfig, pins: Pins, ownAddresses: OwnAddresses) {
    this.policy = new CompiledPolicy(config.policy, ownAddresses);
    this.#config = config;
    this.#pins = pins;
  }

  /**
   * Decides about a flow by its address and the names of the address.
   *
   * @param known Names that the flow had when it was opened: their pins may have expired.
   */
  judge(protocol: FlowProtocol, destination: FlowEnd, known: readonly string[] = []): Verdict {
    const names = [...new Set([...known, ...this.#pins.namesOf(destination.address)])];
    if (isUnroutable(this.policy, destination.address))
      return { allowed: false, reason: "unroutable", rule: undefined, names, nameMatters: false };
    const decision = this.#decide(protocol, destination, names);
    // The host's own address has only that one name, but its services go by others, such as "localhost".
    const nameMatters = decision.nameMatters && !HOST_ADDRESSES.includes(destination.address);
    const verdict = { reason: decision.reason, rule: decision.rule, names, nameMatters };
    if (decision.action === "deny") return { ...verdict, allowed: false };
    const reason = this.#refusal(protocol, destination, decision);
    return reason === undefined ? { ...verdict, allowed: true } : { ...verdict, allowed: false, reason };
  }

  /** Decides about a TCP flow by the name that the guest shows on it, if any. */
  judgeName(destination: FlowEnd, name: string | undefined): Decision {
    const shown = name === undefined ? [] : [name];
    const isHost = HOST_ADDRESSES.includes(destination.address); // under any name
    return this.#decide("tcp", destination, isHost ? [...shown, HOST_NAME] : shown);
  }

  #decide(protocol: FlowProtocol, { address, port }: FlowEnd, names: readonly string[]): Decision {
    const transport: Protocol = protocol === "icmp" ? "icmpv4" : protocol; // the policy takes the family from the address
    return this.policy.decide({ direction: "egress", protocol: transport, address, port, names });
  }

  /** Why a flow is refused even if a rule allows it. */
  #refusal(
    protocol: FlowProtocol,
    { port }: FlowEnd,
    { rule, nameMatters }: Decision,
  ): FlowReason | undefined {
    const decisive = this.policy.ruleAt(rule);
    // What the default allows is not filtered by names either.
    if (port === DNS_OVER_TLS_PORT && decisive !== undefined && decisive.ports.length === 0)
      return "dnsOverTls";
    if (protocol !== "udp") return undefined;
    if (blocksQuic(this.#config.tls, port)) return "quic";
    const isNamed = decisive?.protocols.includes("udp") === true;
    return port === QUIC_PORT && nameMatters && !isNamed ? "quic" : undefined;
  }
}

/**
 * What this machine must never dial for a guest, since it would reach its own loopback or everything on a link. The gateway has
 * no services but DNS.
 */
function isUnroutable(policy: CompiledPolicy, text: string): boolean {
  if (HOST_ADDRESSES.includes(text)) return false;
  if (GATEWAY_ADDRESSES.includes(text)) return true;
  const outer = parseAddress(text);
  if (outer === undefined) return true;
  const address = ipv4Within(outer) ?? outer;
  const isThisNetwork = address.family === 4 && address.words[3] >>> 24 === 0;
  const isBroadcast = address.family === 4 && address.words[3] === 0xffff_ffff;
  const isUnspecified = address.words.every((word) => word === 0);
  return isThisNetwork || isBroadcast || isUnspecified || policy.groupBitOf(text) === GROUP_BITS.loopback;
}
