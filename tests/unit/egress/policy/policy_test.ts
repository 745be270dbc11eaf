import assert from "node:assert/strict";
import type { NetworkPolicy, Rule } from "../../../../src/egress/config.ts";
import { destinations, policies, portRanges, rules } from "../../../../src/egress/policy/factories.ts";
import { policyFromLists } from "../../../../src/egress/policy/parse_rule.ts";
import { CompiledPolicy, type PolicyFlow } from "../../../../src/egress/policy/policy.ts";
import { test } from "../../../support/harness.ts";

const tcp = (address: string, port = 443, ...names: string[]): PolicyFlow => ({
  direction: "egress",
  protocol: "tcp",
  address,
  port,
  names,
});

function denying(...some: readonly Rule[]): CompiledPolicy {
  return new CompiledPolicy({ ...policies.none(), rules: some });
}

test("CompiledPolicy takes the first rule that matches, and tells which it was", () => {
  const policy = denying(
    rules.denyEgress(destinations.cidr("10.1.0.0/16")),
    rules.allowEgress(destinations.cidr("10.0.0.0/8")),
  );
  assert.deepEqual(policy.decide(tcp("10.1.2.3")), {
    action: "deny",
    reason: "rule",
    rule: 0,
    nameMatters: false,
  });
  assert.deepEqual(policy.decide(tcp("10.2.2.3")), {
    action: "allow",
    reason: "rule",
    rule: 1,
    nameMatters: false,
  });
  assert.deepEqual(policy.decide(tcp("11.0.0.1")), {
    action: "deny",
    reason: "default",
    rule: undefined,
    nameMatters: false,
  });
});

test("CompiledPolicy keeps directions, transports and ports apart", () => {
  const policy = denying({
    ...rules.allowIngress(destinations.any()),
    protocols: ["udp"],
    ports: [portRanges.range(10, 20)],
  });
  const flow = { direction: "ingress", protocol: "udp", address: "1.1.1.1", port: 20, names: [] } as const;
  assert.equal(policy.decide(flow).action, "allow");
  for (const other of [
    { ...flow, port: 21 },
    { ...flow, port: 9 },
    { ...flow, protocol: "tcp" },
    { ...flow, direction: "egress" },
    { ...flow, protocol: "icmpv4", port: 0 },
  ] as const)
    assert.equal(policy.decide(other).action, "deny", JSON.stringify(other));
});

test("CompiledPolicy matches a domain with the addresses that this sandbox resolved for it", () => {
  const policy = denying(rules.allowEgress(destinations.domain("API.example.")));
  assert.equal(policy.decide(tcp("1.1.1.1", 443, "api.example")).action, "allow");
  for (const name of ["example", "x.api.example", "xapi.example", "api.example.net"])
    assert.equal(policy.decide(tcp("1.1.1.1", 443, name)).action, "deny", name);
  assert.equal(policy.decide(tcp("1.1.1.1")).action, "deny");
});

test("CompiledPolicy knows suffixes with and without the domain itself", () => {
  const both = denying(rules.allowEgress(destinations.domainSuffix(".files.example")));
  const below = denying(rules.allowEgress(destinations.domainSuffix("*.files.example")));
  const action = (policy: CompiledPolicy, name: string) => policy.decide(tcp("1.1.1.1", 443, name)).action;
  assert.deepEqual(
    ["files.example", "a.files.example", "b.a.files.example", "xfiles.example"].map((n) => action(both, n)),
    ["allow", "allow", "allow", "deny"],
  );
  assert.deepEqual(
    ["files.example", "a.files.example", "b.a.files.example", "xfiles.example"].map((n) => action(below, n)),
    ["deny", "allow", "allow", "deny"],
  );
});

test("CompiledPolicy says when another name could be decided otherwise", () => {
  const policy = new CompiledPolicy({
    ...policies.none(),
    rules: [
      rules.allowEgress(destinations.cidr("10.0.0.0/8")),
      { ...rules.allowEgress(destinations.domain("a.example")), ports: [portRanges.single(443)] },
    ],
  });
  assert.equal(policy.decide(tcp("1.1.1.1", 443, "a.example")).nameMatters, true);
  assert.equal(policy.decide(tcp("1.1.1.1", 443)).nameMatters, true);
  assert.equal(policy.decide(tcp("1.1.1.1", 80)).nameMatters, false);
  assert.equal(policy.decide(tcp("10.1.1.1", 443)).nameMatters, false);
});

test("CompiledPolicy opens metadata services only to a rule that names them", () => {
  for (const address of [
    "169.254.169.254",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "2002:a9fe:a9fe::",
    "168.63.129.16",
  ]) {
    const decide = (policy: NetworkPolicy) =>
      new CompiledPolicy(policy).decide(tcp(address, 80, "a.example")).action;
    const allow = (...some: readonly Rule[]) => decide({ ...policies.none(), rules: some });
    assert.equal(decide(policies.allowAll()), "deny", address);
    assert.equal(allow(rules.allowEgress(destinations.any())), "deny");
    assert.equal(allow(rules.allowEgress(destinations.cidr("169.254.0.0/16"))), "deny");
    assert.equal(allow(rules.allowEgress(destinations.cidr("fd00::/8"))), "deny");
    assert.equal(allow(rules.allowEgress(destinations.cidr("168.63.129.0/24"))), "deny");
    assert.equal(allow(rules.allowEgress(destinations.group("link-local"))), "deny");
    assert.equal(allow(rules.allowEgress(destinations.group("private"))), "deny");
    assert.equal(allow(rules.allowEgress(destinations.group("public"))), "deny");
    assert.equal(allow(rules.allowEgress(destinations.domain("a.example"))), "deny");
    assert.equal(allow(rules.allowEgress(destinations.group("metadata"))), "allow");
    assert.equal(
      allow(rules.denyEgress(destinations.any()), rules.allowEgress(destinations.group("metadata"))),
      "deny",
    );
  }
  assert.equal(
    denying(rules.allowEgress(destinations.cidr("169.254.169.254"))).decide(tcp("169.254.169.254")).action,
    "allow",
  );
});

test("CompiledPolicy opens the host only to a rule that names it", () => {
  const decide = (policy: NetworkPolicy, names: string[] = ["host.microsandbox.internal"]) =>
    new CompiledPolicy(policy, () => new Set(["192.168.7.7"])).decide(tcp("203.0.113.254", 8080, ...names))
      .action;
  const allow = (...some: readonly Rule[]) => decide({ ...policies.none(), rules: some });
  assert.equal(decide(policies.allowAll()), "deny");
  assert.equal(allow(rules.allowEgress(destinations.any())), "deny");
  assert.equal(allow(rules.allowEgress(destinations.domainSuffix("internal"))), "deny");
  assert.equal(allow(rules.allowEgress(destinations.group("host"))), "allow");
  assert.equal(allow(rules.allowEgress(destinations.domain("host.microsandbox.internal"))), "allow");
  const own = new CompiledPolicy(
    policies.fromProfiles(["private", "public"]),
    () => new Set(["192.168.7.7"]),
  );
  assert.equal(own.decide(tcp("192.168.7.7")).action, "deny");
  assert.equal(own.decide(tcp("192.168.7.8")).action, "allow");
});

test("CompiledPolicy denies an invalid address", () => {
  const policy = new CompiledPolicy(policies.allowAll());
  for (const address of ["", "0x7f.1", "2130706433", "010.0.0.1", "localhost", "fe80::1%eth0"])
    assert.equal(policy.decide(tcp(address)).action, "deny", address);
});

test("CompiledPolicy puts each address into one group", () => {
  const policy = new CompiledPolicy(policies.none());
  const table: readonly (readonly [number, readonly string[]])[] = [
    [1, ["1.1.1.1", "8.8.8.8", "172.32.0.1", "192.0.0.9", "100.128.0.1", "2606:4700::1111", "2001:4860::1"]],
    [2, ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"]],
    [
      4,
      [
        "10.0.0.0",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "fc00::1",
        "fdff::1",
        "fec0::1",
      ],
    ],
    [8, ["169.254.0.1", "169.254.255.255", "fe80::1", "febf::1"]],
    [32, ["224.0.0.1", "239.255.255.255", "ff02::1"]],
    [64, ["203.0.113.1", "203.0.113.254", "fd5a:9c1e:7b42::1"]],
    [
      128,
      [
        "0.0.0.0",
        "203.0.113.3",
        "198.18.0.1",
        "192.0.2.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "2001:db8::1",
        "4000::1",
      ],
    ],
  ];
  for (const [bit, addresses] of table)
    for (const address of addresses) assert.equal(policy.groupBitOf(address), bit, address);
});

test("decideName() resolves what a rule about the name or about DNS allows, and nothing else", () => {
  const action = (policy: NetworkPolicy, name: string) => new CompiledPolicy(policy).decideName(name).action;
  const list = policyFromLists({ allow: ["a.example", "*.files.example", "10.1.0.0/16:5432"] }, "network");
  assert.equal(action(list, "a.example"), "allow");
  assert.equal(action(list, "x.files.example"), "allow");
  assert.equal(action(list, "files.example"), "deny");
  assert.equal(action(list, "secret.attacker.example"), "deny");
  assert.equal(action(policies.none(), "a.example"), "deny");
  assert.equal(action(policies.allowAll(), "a.example"), "allow");
  assert.equal(action(policies.fromProfiles(["public"]), "a.example"), "allow");
  const public_ = rules.allowEgress(destinations.group("public"));
  assert.equal(action({ ...policies.none(), rules: [public_] }, "a.example"), "deny");
});

test("decideName() lets a name that is denied on one port only be resolved", () => {
  const some = { ...rules.denyEgress(destinations.domain("a.example")), ports: [portRanges.single(80)] };
  const open = policies.fromProfiles(["public"]);
  assert.equal(
    new CompiledPolicy({ ...open, rules: [some, ...open.rules] }).decideName("a.example").action,
    "allow",
  );
  const all = rules.denyEgress(destinations.domain("a.example"));
  assert.equal(
    new CompiledPolicy({ ...open, rules: [all, ...open.rules] }).decideName("a.example").action,
    "deny",
  );
});

test("decideName() knows the host's name only where its ports are open", () => {
  const action = (policy: NetworkPolicy) =>
    new CompiledPolicy(policy).decideName("host.microsandbox.internal").action;
  assert.equal(action(policies.fromProfiles(["host"])), "allow");
  assert.equal(action(policyFromLists({ allow: ["host.microsandbox.internal:8080"] }, "network")), "allow");
  assert.equal(action(policyFromLists({ allow: ["10.0.0.0/8"] }, "network")), "deny");
});

test("allowsAddress() wants a rule about the address itself", () => {
  const allows = (...some: readonly Rule[]) => denying(...some).allowsAddress("10.1.2.3");
  assert.equal(allows(rules.allowEgress(destinations.any())), false);
  assert.equal(allows(rules.allowEgress(destinations.domain("a.example"))), false);
  assert.equal(allows(rules.allowEgress(destinations.group("private"))), true);
  assert.equal(
    allows({ ...rules.allowEgress(destinations.cidr("10.0.0.0/8")), ports: [portRanges.single(1)] }),
    true,
  );
  assert.equal(
    allows(
      rules.denyEgress(destinations.cidr("10.1.0.0/16")),
      rules.allowEgress(destinations.group("private")),
    ),
    false,
  );
});
