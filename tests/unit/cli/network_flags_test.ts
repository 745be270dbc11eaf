/** Flags of the network, and the lines of its log. @module */
import assert from "node:assert/strict";
import { Command } from "@commander-js/extra-typings";
import { Destination, type NetworkFlow, NetworkPolicy, PortRange, Rule } from "../../../mod.ts";
import { formatRecord, formatRule } from "../../../src/cli/commands/network.ts";
import { describeError } from "../../../src/cli/error_text.ts";
import { parseSecret, toNetwork, withNetworkFlags } from "../../../src/cli/network_flags.ts";
import { parseSandboxOptions } from "../../../src/options/sandbox_options.ts";
import { test } from "../../support/harness.ts";

function networkOf(line: string) {
  const command = withNetworkFlags(new Command().exitOverride().configureOutput({ writeErr: () => {} }));
  return toNetwork(command.parse(line === "" ? [] : line.split(" "), { from: "user" }).opts());
}

test("flags of the network are the library's options", () => {
  assert.equal(networkOf(""), undefined);
  assert.equal(networkOf("--net user"), "user");
  assert.equal(networkOf("--network tap"), "tap");
  assert.deepEqual(networkOf("--allow api.example:443 --allow *.files.example --deny private"), {
    allow: ["api.example:443", "*.files.example"],
    deny: ["private"],
  });
  assert.deepEqual(networkOf("--net-rule allow@a.example:tcp:80,443,deny@public --net-rule allow@any"), {
    rules: ["allow@a.example:tcp:80,443", "deny@public", "allow@any"],
  });
  assert.deepEqual(
    networkOf("--secret GH_TOKEN@api.example,*.ghe.example --tls-bypass *.bank.example --max-connections 3"),
    {
      secrets: { GH_TOKEN: { hosts: ["api.example", "*.ghe.example"] } },
      tls: { bypass: ["*.bank.example"] },
      maxConnections: 3,
    },
  );
  assert.deepEqual(networkOf("--net user --tls-intercept --dns-nameserver 192.0.2.53"), {
    mode: "user",
    tls: true,
    dns: { nameservers: ["192.0.2.53"] },
  });
});

test("flags of the network are refused with the flag that is wrong", () => {
  for (const word of ["GH_TOKEN=secret@api.example", "GH_TOKEN", "@api.example", "GH_TOKEN@"])
    assert.throws(() => parseSecret(word), /NAME@HOST/);
  assert.throws(
    () => parseSecret("GH_TOKEN=s3cr3t-v4lue"),
    (error) => {
      const { message } = describeError(error);
      assert.match(message, /^--secret GH_TOKEN: must be NAME@HOST: the value comes from your environment/);
      assert.ok(!message.includes("s3cr3t"));
      return true;
    },
  );
  assert.throws(() => networkOf("--net bridge"));
  for (const [line, message] of [
    ["--net none --allow a.example", /^--allow: must not be there: mode "none" has none/],
    ["--allow a.example:9-1", /^--allow: its ports must not be upside down: current value is 9-1/],
    ["--dns-nameserver x", /^--dns-nameserver: must be an address/],
    ["--tls-intercept-ca-cert ./x", /^--tls-intercept-ca-key: must be given/],
    ["--tls-bypass a:b", /^--tls-bypass: must be a name/],
    ["--net-rule alow@a.example", /^--net-rule: its action/],
    ["--secret A@https://a.example", /^--secret A: must be names or addresses/],
  ] as const) {
    const refuse = () => parseSandboxOptions({ name: "x", image: "y", network: networkOf(line) });
    assert.throws(refuse, (error) => message.test(describeError(error).message), line);
  }
});

test("formatRecord() shows a decision in a line, and nothing that a terminal would act on", () => {
  const timestamp = new Date("2026-01-31T12:00:00.000Z");
  const flow: NetworkFlow = {
    ...{ kind: "flow", timestamp, cursor: "", id: 1, protocol: "tcp", address: "2001:db8::1", port: 443 },
    ...{ name: "a\u001b[31m.example", decision: "denied", reason: "rule", rule: 2, bytesIn: 0, bytesOut: 10 },
  };
  const line = formatRecord(flow);
  assert.ok(
    line.startsWith("2026-01-31T12:00:00.000Z denied  tcp a") && line.endsWith("([2001:db8::1]:443): rule 2"),
    line,
  );
  assert.ok(!line.includes("\u001b"));
  assert.match(formatRecord({ ...flow, endedAs: "closed" }), /rule 2, closed, 0 B in, 10 B out$/);
  assert.match(formatRecord({ ...flow, protocol: "dns", name: "b.example" }), /dns b\.example: rule 2$/);
  assert.match(formatRecord({ kind: "lost", timestamp, cursor: "", records: 3 }), /3 records are lost$/);
});

test("formatRule() writes a rule as --net-rule takes it", () => {
  const text = (rule: Rule) => formatRule(rule);
  const rules = [
    Rule.allowAny(Destination.any()),
    {
      ...Rule.denyEgress(Destination.cidr("fd00::/8")),
      protocols: ["tcp"],
      ports: [PortRange.range(1, 9)],
    } as const,
    { ...Rule.allowEgress(Destination.domainSuffix("files.example")), ports: [PortRange.single(80)] },
    Rule.allowEgress(Destination.group("public")),
  ];
  const texts = rules.map(text);
  assert.deepEqual(texts, [
    "allow:any@any",
    "deny@[fd00::/8]:tcp:1-9",
    "allow@.files.example:any:80",
    "allow@public",
  ]);
  const { config } = parseSandboxOptions({ name: "x", image: "y", network: { rules: texts } });
  const stored = config.network.mode === "user" ? config.network.egress?.policy.rules.map(text) : [];
  for (const known of texts) assert.ok(stored?.includes(known), known);
  assert.equal(NetworkPolicy.none().rules.length, 0);
});
