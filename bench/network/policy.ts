/** How long a decision takes. @module */
import type { NetworkPolicy, Rule } from "../../src/egress/config.ts";
import { destinations, policies, portRanges, rules } from "../../src/egress/policy/factories.ts";
import { CompiledPolicy, type PolicyFlow } from "../../src/egress/policy/policy.ts";
import { type Figure, sample } from "../support/figures.ts";

const RULES = 1_000;
const DECISIONS = 100_000;
/** ARCHITECTURE promises this for 1,000 rules. */
const LIMIT_MICROSECONDS = 20;

/** Names, suffixes, networks of both families, and ports, none of which match the flow that is asked about. */
function policyOf(count: number): NetworkPolicy {
  const some = Array.from({ length: count }, (_, index): Rule => {
    const [high, low] = [index >> 8, index & 255];
    const destination = [
      destinations.domain(`host-${index}.example`),
      destinations.domainSuffix(`*.zone-${index}.example`),
      destinations.cidr(`10.${high}.${low}.0/24`),
      destinations.cidr(`fd00:${index.toString(16)}::/32`),
    ][index % 4];
    const rule = rules.allowEgress(destination ?? destinations.any());
    return index % 3 === 0
      ? { ...rule, ports: [portRanges.single(443), portRanges.range(8000, 8999)] }
      : rule;
  });
  return { ...policies.none(), rules: some };
}

/** Decides flows that no rule matches, so that all are looked at. */
export function measurePolicy(rounds: number): Figure[] {
  const policy = new CompiledPolicy(policyOf(RULES));
  const flows: PolicyFlow[] = Array.from({ length: 256 }, (_, index) => ({
    direction: "egress",
    protocol: index % 4 === 0 ? "udp" : "tcp",
    address: index % 3 === 0 ? `2606:4700::${index.toString(16)}` : `93.184.216.${index}`,
    port: 443,
    names: [`deep.below.other-${index}.example`, `second-${index}.example`],
  }));
  const run = (decide: (flow: PolicyFlow) => unknown): number => {
    const begin = performance.now();
    for (let index = 0; index < DECISIONS; index++) decide(flows[index & 255]!);
    return ((performance.now() - begin) * 1000) / DECISIONS;
  };
  run((flow) => policy.decide(flow)); // compiled by the runtime
  const flowTimes = sample(Array.from({ length: rounds }, () => run((flow) => policy.decide(flow))));
  const nameTimes = sample(
    Array.from({ length: rounds }, () => run((flow) => policy.decideName(flow.names[0]!))),
  );
  const limit = { kind: "at most", value: LIMIT_MICROSECONDS } as const;
  return [
    {
      name: `decide a flow, ${RULES} rules`,
      value: flowTimes.median,
      unit: "µs",
      limit,
      detail: { flowTimes },
    },
    {
      name: `decide a name, ${RULES} rules`,
      value: nameTimes.median,
      unit: "µs",
      limit,
      detail: { nameTimes },
    },
  ];
}
