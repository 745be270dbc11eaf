/**
 * Builds policies step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */
import { InvalidConfigError } from "../../base/errors.ts";
import type { Action, NetworkPolicy, Rule } from "../../egress/config.ts";
import { destinations, portRanges } from "../../egress/policy/factories.ts";
import { configured } from "../configured.ts";
import { RuleBuilder } from "./rule_builder.ts";

/**
 * Collects the rules of a policy, in the order in which they are asked. Without a default, what is public is allowed and all
 * else is denied on the way out; the way in is open to published ports.
 *
 * @example
 * ```ts no-vm
 * import { NetworkPolicyBuilder } from "microsandbox";
 *
 * const policy = new NetworkPolicyBuilder()
 *   .defaultDeny()
 *   .egress((rule) => rule.tcp().port(443).allowDomains(["api.example", "files.example"]))
 *   .build();
 * console.log(policy.rules.length); // 2
 * ```
 */
export class NetworkPolicyBuilder {
  #defaultEgress: Action | undefined;
  #defaultIngress: Action = "allow";
  readonly #rules: Rule[] = [];

  /** Allows what no rule denies, both ways. */
  defaultAllow(): this {
    return this.defaultEgress("allow").defaultIngress("allow");
  }

  /** Denies what no rule allows, both ways. */
  defaultDeny(): this {
    return this.defaultEgress("deny").defaultIngress("deny");
  }

  /** Sets what holds for the way out if no rule matches. */
  defaultEgress(action: Action): this {
    this.#defaultEgress = checkAction(action, "defaultEgress");
    return this;
  }

  /** Sets what holds for the way in if no rule matches. */
  defaultIngress(action: Action): this {
    this.#defaultIngress = checkAction(action, "defaultIngress");
    return this;
  }

  /** Adds rules for the direction that they name, by default the way out. */
  rule(configure: (rule: RuleBuilder) => RuleBuilder): this {
    return this.#add(new RuleBuilder(), configure);
  }

  /** Adds rules for the way out. */
  egress(configure: (rule: RuleBuilder) => RuleBuilder): this {
    return this.#add(new RuleBuilder().egress(), configure);
  }

  /** Adds rules for the way in. */
  ingress(configure: (rule: RuleBuilder) => RuleBuilder): this {
    return this.#add(new RuleBuilder().ingress(), configure);
  }

  /** Adds rules for both ways. */
  any(configure: (rule: RuleBuilder) => RuleBuilder): this {
    return this.#add(new RuleBuilder().any(), configure);
  }

  /** The policy. Its domains and ports are checked where it is used. */
  build(): NetworkPolicy {
    const rules = [...this.#rules];
    if (this.#defaultEgress === undefined) rules.push(...publicRules());
    return { defaultEgress: this.#defaultEgress ?? "deny", defaultIngress: this.#defaultIngress, rules };
  }

  #add(builder: RuleBuilder, configure: (rule: RuleBuilder) => RuleBuilder): this {
    this.#rules.push(...configured("policy.rules", builder, configure).build());
    return this;
  }
}

/** What a policy without a default allows, behind its rules. */
function publicRules(): Rule[] {
  const [dns, group] = [portRanges.single(53), destinations.group("host")];
  return [
    { direction: "egress", destination: group, protocols: ["udp", "tcp"], ports: [dns], action: "allow" },
    {
      direction: "egress",
      destination: destinations.group("public"),
      protocols: [],
      ports: [],
      action: "allow",
    },
  ];
}

function checkAction(action: Action, field: string): Action {
  if (action === "allow" || action === "deny") return action;
  const problem = `must be allow or deny: current value is ${JSON.stringify(action)}`;
  throw new InvalidConfigError([{ field: `policy.${field}`, problem }]);
}
