/** Policy decisions against the plainest model of them. @module */
import assert from "node:assert/strict";
import type { Destination, NetworkPolicy, Rule } from "../../src/egress/config.ts";
import { policyIssues } from "../../src/egress/policy/check.ts";
import { CompiledPolicy } from "../../src/egress/policy/policy.ts";
import { type ModelFlow, modelDecision } from "../support/egress/policy_model.ts";
import { test } from "../support/harness.ts";
import { type SeededRandom, seededRandom } from "../support/random.ts";

const FLOWS = 200_000;
const FLOWS_PER_POLICY = 200;
const RULES_PER_POLICY_MAX = 24;

const ADDRESSES = [
  ..."1.1.1.1 1.1.1.2 10.0.0.1 10.1.2.3 172.16.9.9 172.32.0.1 192.168.0.7 127.0.0.1 169.254.1.1 169.254.169.254".split(
    " ",
  ),
  ..."224.0.0.5 203.0.113.1 203.0.113.254 0.0.0.0 255.255.255.255 168.63.129.16 100.64.1.1 192.0.2.7 192.0.0.9".split(
    " ",
  ),
  ..."::1 :: fe80::1 fd00:ec2::254 fd00::1 ff02::1 2606:4700::1 2001:db8::1 fd5a:9c1e:7b42::fe 2001:4::1".split(
    " ",
  ),
  ..."::ffff:a00:1 64:ff9b::a9fe:a9fe 2002:7f00:1::1 64:ff9b:1::c0a8:7 ::102:304 2002:808:808::".split(" "),
];
const CIDRS = [
  ..."0.0.0.0/0 10.0.0.0/8 10.1.0.0/16 10.1.2.3 1.1.1.0/24 169.254.0.0/16 169.254.169.254 169.254.169.254/32".split(
    " ",
  ),
  ..."203.0.113.0/24 203.0.113.254/32 127.0.0.0/8 128.0.0.0/1 ::/0 fd00::/8 fd00:ec2::254 fe80::/10 2000::/3".split(
    " ",
  ),
  ..."2606:4700::/32 2606:4700::1/128 8000::/1".split(" "),
];
const NAMES = [
  "example",
  "a.example",
  "b.a.example",
  "files.example",
  "xfiles.example",
  "host.microsandbox.internal",
];
const SUFFIXES = ["example", ".a.example", "*.a.example", "*.example", "files.example", "internal"];
const GROUPS = ["public", "loopback", "private", "link-local", "metadata", "multicast", "host"] as const;

function someOf<T>(random: SeededRandom, items: readonly T[], countMax: number): T[] {
  return Array.from({ length: random.integer(0, countMax) }, () => random.pick(items));
}

function randomDestination(random: SeededRandom): Destination {
  switch (random.integer(0, 9)) {
    case 0:
      return { kind: "any" };
    case 1:
    case 2:
    case 3:
      return { kind: "cidr", cidr: random.pick(CIDRS) };
    case 4:
    case 5:
      return { kind: "domain", domain: random.pick(NAMES) };
    case 6:
    case 7:
      return { kind: "domainSuffix", suffix: random.pick(SUFFIXES) };
    default:
      return { kind: "group", group: random.pick(GROUPS) };
  }
}

function randomRule(random: SeededRandom): Rule {
  const start = random.integer(0, 5);
  return {
    direction: random.pick(["egress", "egress", "ingress", "any"] as const),
    destination: randomDestination(random),
    protocols: someOf(random, ["tcp", "udp"] as const, 2),
    ports: random.integer(0, 2) === 0 ? [{ start, end: start + random.integer(0, 3) }] : [],
    action: random.pick(["allow", "deny"] as const),
  };
}

function randomFlow(random: SeededRandom): ModelFlow {
  const protocol = random.pick(["tcp", "tcp", "udp", "icmpv4", "icmpv6"] as const);
  const isRandom = random.integer(0, 3) === 0;
  return {
    direction: random.pick(["egress", "egress", "ingress"] as const),
    protocol,
    address: isRandom ? [...random.bytes(4)].join(".") : random.pick(ADDRESSES),
    port: protocol.startsWith("icmp") ? 0 : random.integer(0, 8),
    names: someOf(random, NAMES, 2),
  };
}

test(`CompiledPolicy decides ${FLOWS} random flows as the model does`, () => {
  const random = seededRandom("egress policy");
  const seen = { allow: 0, deny: 0, rule: 0, default: 0 };
  for (let flows = 0; flows < FLOWS; flows += FLOWS_PER_POLICY) {
    const policy: NetworkPolicy = {
      defaultEgress: random.pick(["allow", "deny"] as const),
      defaultIngress: random.pick(["allow", "deny"] as const),
      rules: Array.from({ length: random.integer(0, RULES_PER_POLICY_MAX) }, () => randomRule(random)),
    };
    assert.deepEqual(policyIssues(policy, "policy"), []);
    const compiled = new CompiledPolicy(policy);
    for (let count = 0; count < FLOWS_PER_POLICY; count++) {
      const flow = randomFlow(random);
      const { action, rule = -1 } = compiled.decide(flow);
      const expected = modelDecision(policy, flow);
      if (action !== expected.action || rule !== expected.rule)
        assert.deepEqual({ action, rule }, expected, JSON.stringify({ policy, flow }));
      seen[action]++;
      seen[rule < 0 ? "default" : "rule"]++;
    }
  }
  // Each way of deciding was taken often, or the test would prove little.
  for (const count of Object.values(seen)) assert.ok(count > FLOWS / 20, JSON.stringify(seen));
});
