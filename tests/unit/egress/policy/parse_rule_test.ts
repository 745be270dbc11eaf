import assert from "node:assert/strict";
import { InvalidConfigError } from "../../../../src/base/errors.ts";
import { checkPolicy } from "../../../../src/egress/policy/check.ts";
import { destinations, policies, rules } from "../../../../src/egress/policy/factories.ts";
import { parseRule, policyFromLists } from "../../../../src/egress/policy/parse_rule.ts";
import { test } from "../../../support/harness.ts";

function refused(body: () => unknown, field: string, problem: RegExp): void {
  assert.throws(body, (error: unknown) => {
    assert.ok(error instanceof InvalidConfigError, String(error));
    assert.equal(error.code, "invalidConfig");
    assert.equal(error.issues[0]?.field, field);
    assert.match(error.issues[0]?.problem ?? "", problem);
    return true;
  });
}

test("policyFromLists() reads domains, suffixes, networks, ports and groups", () => {
  const policy = policyFromLists(
    {
      allow: [
        "packages.example",
        "*.files.example",
        "10.1.0.0/16:5432",
        "[fd00::/8]:80,8000-8999",
        "fd00::1",
        "münchen.example",
      ],
      deny: ["169.254.0.0/16"],
    },
    "network",
  );
  assert.equal(policy.defaultEgress, "deny");
  assert.deepEqual(
    policy.rules.map(({ action, destination, ports }) => [action, destination, ports]),
    [
      ["deny", { kind: "cidr", cidr: "169.254.0.0/16" }, []],
      ["allow", { kind: "domain", domain: "packages.example" }, []],
      ["allow", { kind: "domainSuffix", suffix: "*.files.example" }, []],
      ["allow", { kind: "cidr", cidr: "10.1.0.0/16" }, [{ start: 5432, end: 5432 }]],
      [
        "allow",
        { kind: "cidr", cidr: "fd00::/8" },
        [
          { start: 80, end: 80 },
          { start: 8000, end: 8999 },
        ],
      ],
      ["allow", { kind: "cidr", cidr: "fd00::1" }, []],
      ["allow", { kind: "domain", domain: "münchen.example" }, []],
    ],
  );
});

test("policyFromLists() without allow opens public addresses, except for what is denied", () => {
  const { rules: some } = policyFromLists({ deny: ["evil.example"] }, "network");
  assert.deepEqual(some, [
    rules.denyEgress(destinations.domain("evil.example")),
    ...policies.fromProfiles(["public"]).rules,
  ]);
});

test("policyFromLists() names the entry that is wrong", () => {
  const allow = (text: string) => () => policyFromLists({ allow: ["a.example", text] }, "network");
  for (const text of ["0x7f.1", "2130706433", "010.0.0.1", "0177.0.0.1", "127.1", "１２７.0.0.1"])
    refused(allow(text), "network.allow.1", /another way to write the address/);
  refused(allow("10.0.0.1/8"), "network.allow.1", /no bits behind the prefix/);
  refused(allow("10.0.0.0/33"), "network.allow.1", /prefix length/);
  refused(allow("::ffff:10.0.0.0/104"), "network.allow.1", /IPv4 address that it stands for/);
  refused(allow("a.example:90-80"), "network.allow.1", /upside down/);
  refused(allow("a.example:70000"), "network.allow.1", /from 0 to 65535/);
  refused(allow("a.example:http"), "network.allow.1", /must have ports such as/);
  refused(allow("a.*.example"), "network.allow.1", /must be a domain/);
  refused(allow("*.1.2.3.4"), "network.allow.1", /is an address/);
  refused(allow("-a.example"), "network.allow.1", /must be a domain/);
  refused(allow(`${"a".repeat(64)}.example`), "network.allow.1", /must be a domain/);
  refused(allow(""), "network.allow.1", /must be/);
});

test("policyFromLists() says what is probably meant by an entry that would match nothing", () => {
  const list = (name: "allow" | "deny", text: string) => () => policyFromLists({ [name]: [text] }, "network");
  const meant: Readonly<Record<string, RegExp>> = {
    "https://a.example/": /did you mean "a\.example:443"\?/,
    "http://a.example:8080": /did you mean "a\.example:8080"\?/,
    "ftp://a.example/x": /did you mean "a\.example"\?/,
    "https://[fd00::1]/": /did you mean "\[fd00::1\]:443"\?/,
    "a.example/path": /without a scheme and a path.*did you mean "a\.example"\?/,
    "a.example:81/path": /did you mean "a\.example:81"\?/,
    "fd00::/8:443": /write "\[fd00::\/8\]:443"/,
    publc: /did you mean public\? a host of that name is "publc\."/,
    Private: /did you mean private\?/,
    "meta-data": /did you mean metadata\?/,
    "linklocal:80": /did you mean link-local\?/,
    "tcp:443": /must not be a protocol.*allow@any:tcp:443/,
  };
  for (const [text, problem] of Object.entries(meant)) {
    refused(list("allow", text), "network.allow.0", problem);
    refused(list("deny", text), "network.deny.0", problem);
  }
  refused(() => parseRule("deny@privat", "rule"), "rule", /did you mean private\?/);
  for (const text of ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
    refused(list("allow", text), "network.allow.0", /did you mean "host\.microsandbox\.internal:8080"/);
});

test("policyFromLists() takes hosts of local networks, and valid entries that look like mistakes", () => {
  const allow = ["db", "post", "hosts:80", "publc.", "tcp.", "build-7", "private-registry:5000"];
  assert.equal(policyFromLists({ allow }, "network").rules.length, allow.length);
  const deny = ["127.0.0.0/8", "127.0.0.1", "::1", "localhost", "fd00::/8", "[fd00::/8]:443"];
  assert.equal(policyFromLists({ allow: [], deny }, "network").rules.length, deny.length);
});

test("parseRule() reads the command line's grammar", () => {
  assert.deepEqual(parseRule("allow@api.example:tcp:443", "rule"), {
    action: "allow",
    direction: "egress",
    destination: { kind: "domain", domain: "api.example" },
    protocols: ["tcp"],
    ports: [{ start: 443, end: 443 }],
  });
  assert.deepEqual(parseRule("deny:any@[fd00::/8]", "rule"), rules.denyAny(destinations.cidr("fd00::/8")));
  assert.deepEqual(parseRule("allow:ingress@any", "rule"), rules.allowIngress(destinations.any()));
  assert.deepEqual(parseRule("allow@link-local:any:1-2", "rule").ports, [{ start: 1, end: 2 }]);
  assert.deepEqual(
    parseRule("deny@.evil.example", "rule"),
    rules.denyEgress(destinations.domainSuffix(".evil.example")),
  );
});

test("parseRule() names what is wrong", () => {
  const parse = (text: string) => () => parseRule(text, "rule");
  refused(parse("api.example"), "rule", /must be <action>/);
  refused(parse("alow@a.example"), "rule", /its action must be allow, deny.*did you mean allow/);
  refused(parse("allow:out@a.example"), "rule", /its direction/);
  refused(parse("allow@a.example:sctp"), "rule", /its protocol/);
  refused(parse("allow@a.example:icmpv4:1"), "rule", /no ports/);
  refused(parse("allow@a.example:tcp:9-1"), "rule", /upside down/);
  refused(parse("allow@a.example:tcp:1:2"), "rule", /must be <action>/);
});

test("checkPolicy() names every field that is wrong", () => {
  const policy = {
    ...policies.none(),
    rules: [
      rules.allowEgress(destinations.domain("10.0.0.1")),
      { ...rules.allowEgress(destinations.any()), ports: [{ start: 9, end: 1 }] },
      {
        ...rules.allowEgress(destinations.any()),
        protocols: ["icmpv4" as const],
        ports: [{ start: 1, end: 1 }],
      },
      rules.allowEgress(destinations.cidr("10.0.0.0/40")),
    ],
  };
  assert.throws(
    () => checkPolicy(policy, "network.policy"),
    (error: unknown) => {
      assert.ok(error instanceof InvalidConfigError);
      assert.deepEqual(
        error.issues.map(({ field }) => field),
        [
          "network.policy.rules.0.destination.domain",
          "network.policy.rules.1.ports.0",
          "network.policy.rules.2.ports",
          "network.policy.rules.3.destination.cidr",
        ],
      );
      return true;
    },
  );
});

test("fromProfiles() refuses an unknown profile", () => {
  refused(() => policies.fromProfiles(["publik" as "public"]), "profiles", /did you mean public/);
});
