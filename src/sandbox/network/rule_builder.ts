/**
 * Builds rules step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */
import { InvalidConfigError } from "../../base/errors.ts";
import type {
  Action,
  Destination,
  DestinationGroup,
  Direction,
  PortRange,
  Protocol,
  Rule,
} from "../../egress/config.ts";
import { destinations, portRanges } from "../../egress/policy/factories.ts";
import { configured } from "../configured.ts";

/**
 * Collects rules that share protocols and ports. Those given before a rule hold for each rule that follows. Those given after
 * the last rule hold for all rules, if none were given before.
 */
export class RuleBuilder {
  #direction: Direction = "egress";
  readonly #protocols = new Set<Protocol>();
  readonly #ports: PortRange[] = [];
  readonly #rules: Rule[] = [];
  /** Protocols and ports that no rule has taken yet. */
  #isPending = false;

  /** For the way out. */
  egress(): this {
    return this.#turn("egress");
  }

  /** For the way in. */
  ingress(): this {
    return this.#turn("ingress");
  }

  /** For both ways. */
  any(): this {
    return this.#turn("any");
  }

  /** For TCP, and for the other protocols that are named. */
  tcp(): this {
    return this.#addProtocol("tcp");
  }

  /** For UDP, and for the other protocols that are named. */
  udp(): this {
    return this.#addProtocol("udp");
  }

  /** For ICMP, and for the other protocols that are named. */
  icmpv4(): this {
    return this.#addProtocol("icmpv4");
  }

  /** For ICMPv6, and for the other protocols that are named. */
  icmpv6(): this {
    return this.#addProtocol("icmpv6");
  }

  /** For this port, and for the others that are named. */
  port(port: number): this {
    return this.portRange(port, port);
  }

  /** For these ports, both ends included, and for the others that are named. */
  portRange(low: number, high: number): this {
    this.#ports.push(portRanges.range(low, high));
    this.#isPending = true;
    return this;
  }

  /** {@linkcode port} for each. */
  ports(ports: readonly number[]): this {
    for (const port of ports) this.port(port);
    return this;
  }

  /** Allows addresses of the Internet. */
  allowPublic(): this {
    return this.#allow("public");
  }

  /** Denies addresses of the Internet. */
  denyPublic(): this {
    return this.#deny("public");
  }

  /** Allows addresses of private networks. */
  allowPrivate(): this {
    return this.#allow("private");
  }

  /** Denies addresses of private networks. */
  denyPrivate(): this {
    return this.#deny("private");
  }

  /** Adds a rule for loopback addresses, which are the guest's own: it changes nothing. */
  allowLoopback(): this {
    return this.#allow("loopback");
  }

  /** Adds a rule for loopback addresses, which are the guest's own: it changes nothing. */
  denyLoopback(): this {
    return this.#deny("loopback");
  }

  /** Allows link-local addresses, but those of metadata services. */
  allowLinkLocal(): this {
    return this.#allow("link-local");
  }

  /** Denies link-local addresses. */
  denyLinkLocal(): this {
    return this.#deny("link-local");
  }

  /** Allows metadata services of clouds, which often give away credentials. */
  allowMeta(): this {
    return this.#allow("metadata");
  }

  /** Denies metadata services of clouds, as is the case without a rule. */
  denyMeta(): this {
    return this.#deny("metadata");
  }

  /** Allows multicast addresses. */
  allowMulticast(): this {
    return this.#allow("multicast");
  }

  /** Denies multicast addresses. */
  denyMulticast(): this {
    return this.#deny("multicast");
  }

  /** Allows this machine: its loopback interface as `host.microsandbox.internal`, and its own addresses. */
  allowHost(): this {
    return this.#allow("host");
  }

  /** Denies this machine, as is the case without a rule. */
  denyHost(): this {
    return this.#deny("host");
  }

  /** Allows what is near: loopback, link-local and this machine. */
  allowLocal(): this {
    return this.allowLoopback().allowLinkLocal().allowHost();
  }

  /** Denies what is near: loopback, link-local and this machine. */
  denyLocal(): this {
    return this.denyLoopback().denyLinkLocal().denyHost();
  }

  /** Allows a name. */
  allowDomain(name: string): this {
    return this.#add("allow", destinations.domain(name));
  }

  /** Denies a name. */
  denyDomain(name: string): this {
    return this.#add("deny", destinations.domain(name));
  }

  /** Allows each name. */
  allowDomains(names: readonly string[]): this {
    for (const name of names) this.allowDomain(name);
    return this;
  }

  /** Denies each name. */
  denyDomains(names: readonly string[]): this {
    for (const name of names) this.denyDomain(name);
    return this;
  }

  /** Allows a name and all below it; with `*.` before it, what lies below it only. */
  allowDomainSuffix(suffix: string): this {
    return this.#add("allow", destinations.domainSuffix(suffix));
  }

  /** Denies a name and all below it. */
  denyDomainSuffix(suffix: string): this {
    return this.#add("deny", destinations.domainSuffix(suffix));
  }

  /** {@linkcode allowDomainSuffix} for each. */
  allowDomainSuffixes(suffixes: readonly string[]): this {
    for (const suffix of suffixes) this.allowDomainSuffix(suffix);
    return this;
  }

  /** {@linkcode denyDomainSuffix} for each. */
  denyDomainSuffixes(suffixes: readonly string[]): this {
    for (const suffix of suffixes) this.denyDomainSuffix(suffix);
    return this;
  }

  /** Allows a destination: `allow((to) => to.cidr("10.1.0.0/16"))`. */
  allow(configure: (to: RuleDestinationBuilder) => RuleDestinationBuilder): this {
    return this.#add(
      "allow",
      configured("policy.rules.destination", new RuleDestinationBuilder(), configure).build(),
    );
  }

  /** Denies a destination. */
  deny(configure: (to: RuleDestinationBuilder) => RuleDestinationBuilder): this {
    return this.#add(
      "deny",
      configured("policy.rules.destination", new RuleDestinationBuilder(), configure).build(),
    );
  }

  /**
   * The rules.
   *
   * @throws {InvalidConfigError} for protocols or ports without a rule, and for those after the last rule, if others were given
   * before: it is unclear which rule they are for.
   */
  build(): readonly Rule[] {
    if (!this.#isPending) return [...this.#rules];
    if (this.#rules.length === 0) {
      const problem = "must allow or deny something: protocols and ports alone are no rule";
      throw new InvalidConfigError([{ field: "policy.rules", problem }]);
    }
    if (this.#rules.every(({ protocols, ports }) => protocols.length === 0 && ports.length === 0))
      return this.#rules.map((rule) => ({ ...rule, ...this.#filters() }));
    const problem =
      "has protocols or ports behind its last rule, and others before: say them before the rule";
    throw new InvalidConfigError([{ field: "policy.rules", problem }]);
  }

  #filters(): Pick<Rule, "protocols" | "ports"> {
    return { protocols: [...this.#protocols], ports: [...this.#ports] };
  }

  #turn(direction: Direction): this {
    this.#direction = direction;
    return this;
  }

  #addProtocol(protocol: Protocol): this {
    this.#protocols.add(protocol);
    this.#isPending = true;
    return this;
  }

  #allow(group: DestinationGroup): this {
    return this.#add("allow", destinations.group(group));
  }

  #deny(group: DestinationGroup): this {
    return this.#add("deny", destinations.group(group));
  }

  #add(action: Action, destination: Destination): this {
    this.#rules.push({ direction: this.#direction, destination, ...this.#filters(), action });
    this.#isPending = false;
    return this;
  }
}

/** Chooses whom a rule is about; the last call holds. */
export class RuleDestinationBuilder {
  #destination: Destination | undefined;

  /** An address. */
  ip(ip: string): this {
    return this.cidr(ip);
  }

  /** A network of addresses: `"10.1.0.0/16"`, `"fd00::/8"`. */
  cidr(cidr: string): this {
    return this.#set(destinations.cidr(cidr));
  }

  /** A name. */
  domain(domain: string): this {
    return this.#set(destinations.domain(domain));
  }

  /** A name and all below it; with `*.` before it, what lies below it only. */
  domainSuffix(suffix: string): this {
    return this.#set(destinations.domainSuffix(suffix));
  }

  /** Addresses that share a purpose. */
  group(group: DestinationGroup): this {
    return this.#set(destinations.group(group));
  }

  /** Everybody. */
  any(): this {
    return this.#set(destinations.any());
  }

  /** The destination. @throws {InvalidConfigError} if none was chosen. */
  build(): Destination {
    if (this.#destination !== undefined) return this.#destination;
    throw new InvalidConfigError([{ field: "policy.rules.destination", problem: "must be given" }]);
  }

  #set(destination: Destination): this {
    this.#destination = destination;
    return this;
  }
}
