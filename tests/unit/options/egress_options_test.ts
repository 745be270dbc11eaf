/** What callers may ask of the network that the VM host process decides about. @module */
import assert from "node:assert/strict";
import { type ConfigIssue, InvalidConfigError, type SandboxOptions, SecretSource } from "../../../mod.ts";
import type { HttpHooks } from "../../../src/egress/http/hooks.ts";
import { checkHooks } from "../../../src/options/network_hooks.ts";
import { parseSandboxOptions, parseStoredConfig } from "../../../src/options/sandbox_options.ts";
import { test } from "../../support/harness.ts";
import { storedConfig } from "../../support/home/stored_config.ts";

const SECRET = "s3cret-value-of-the-test";

function parse(network: unknown, others: Partial<SandboxOptions> = {}) {
  return parseSandboxOptions({ name: "x", image: "y", ...others, network } as SandboxOptions);
}

function egressOf(network: unknown) {
  const stored = parse(network).config.network;
  assert.equal(stored.mode, "user");
  assert.ok(stored.mode === "user" && stored.egress !== undefined);
  return stored.egress;
}

function issuesOf(call: () => unknown): readonly ConfigIssue[] {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof InvalidConfigError, String(error));
    assert.ok(!error.message.includes(SECRET), error.message);
    return error.issues;
  }
  return assert.fail("it was not refused");
}

test("parseSandboxOptions() takes mode user as what is public, with all defaults", () => {
  const egress = egressOf("user");
  assert.deepEqual(egress, egressOf({ mode: "user" }));
  assert.deepEqual(egress.dns, { nameservers: [], rebindProtection: true, queryTimeoutMs: 5_000 });
  assert.equal(egress.tls, undefined);
  assert.equal(egress.maxConnections, 256);
  assert.equal(egress.secretViolation, "block-and-log");
  assert.equal(egress.policy.defaultEgress, "deny");
  const opened = egress.policy.rules.map(({ destination }) => destination);
  assert.deepEqual(opened, [
    { kind: "group", group: "host" }, // the resolver: port 53
    { kind: "group", group: "public" },
  ]);
  assert.deepEqual(egress.policy.rules[0]?.ports, [{ start: 53, end: 53 }]);
});

test("parseSandboxOptions() makes rules of lists: denied first, then rules, then allowed, then hosts of secrets", () => {
  const { policy, tls, secrets } = egressOf({
    deny: ["169.254.0.0/16"],
    rules: ["allow@[fd00::/8]:tcp:22"],
    allow: ["packages.example", "*.files.example", "10.1.0.0/16:5432"],
    secrets: { GH_TOKEN: { hosts: ["api.github.example", "*.ghe.example", "10.9.0.1"] } },
  });
  assert.equal(policy.defaultEgress, "deny");
  const shown = policy.rules.map(({ action, destination, protocols, ports }) =>
    [action, Object.values(destination).slice(1), protocols, ports.map(({ start }) => start)]
      .flat(2)
      .join(" "),
  );
  assert.deepEqual(shown, [
    "deny 169.254.0.0/16",
    "allow fd00::/8 tcp 22",
    "allow packages.example",
    "allow *.files.example",
    "allow 10.1.0.0/16 5432",
    "allow api.github.example tcp 443",
    "allow 10.9.0.1 tcp 443",
    "allow *.ghe.example tcp 443",
  ]);
  assert.deepEqual(tls?.interceptedPorts, [443]); // implied by secrets
  assert.deepEqual(secrets[0]?.source, { kind: "env", var: "GH_TOKEN" });
});

test("parseSandboxOptions() lets names be resolved where a rule opens a group", () => {
  const { policy } = egressOf({ rules: ["allow@private"] });
  assert.deepEqual(
    policy.rules.map(({ destination }) => destination),
    [
      { kind: "group", group: "private" },
      { kind: "group", group: "host" },
    ],
  );
  assert.equal(egressOf({ allow: [] }).policy.rules.length, 0);
});

test("parseSandboxOptions() keeps values of secrets out of what is stored, and puts placeholders into the environment", () => {
  const { config, secretValues } = parse(
    {
      secrets: {
        A: { hosts: ["a.example"], value: SECRET },
        B: { hosts: ["b.example"], from: SecretSource.env("C") },
        D: { hosts: ["d.example"], from: "env" },
      },
    },
    { env: { PATH: "/bin" } },
  );
  assert.deepEqual(secretValues, { A: SECRET });
  assert.ok(!JSON.stringify(config).includes(SECRET));
  const { network } = config;
  assert.deepEqual(network.mode === "user" && network.egress?.secrets.map(({ source }) => source), [
    { kind: "given" },
    SecretSource.env("C"),
    SecretSource.env("D"),
  ]);
  assert.deepEqual(config.env, { PATH: "/bin", A: "$MSB_A", B: "$MSB_B", D: "$MSB_D" });
  const again = parseStoredConfig(storedConfig("x", { network: config.network, env: config.env }));
  assert.deepEqual(again.network, config.network);
});

test("parseSandboxOptions() adds a network's ports to those of the sandbox", () => {
  const port = { hostPort: 1, guestPort: 2 };
  const { config } = parse({ mode: "none", ports: [port] }, { ports: [{ hostPort: 3, guestPort: 4 }] });
  assert.deepEqual(
    config.ports.map(({ hostPort }) => hostPort),
    [3, 1],
  );
  const [issue] = issuesOf(() => parse({ mode: "user", ports: [port] }, { ports: [port] }));
  assert.equal(issue?.field, "ports");
});

const hosts = ["a.example"];
const REFUSED: readonly (readonly [network: unknown, field: string, problem: RegExp])[] = [
  [{ allowed: [] }, "network.allowed", /did you mean allow\?/],
  [{ mode: "user", alow: [] }, "network.alow", /did you mean allow\?/],
  [{}, "network.mode", /must be/],
  [{ allow: undefined }, "network.mode", /must be/],
  [{ mode: "none", allow: [] }, "network.allow", /mode "none" has none, mode "user" has$/],
  [{ mode: "none", secrets: { A: { value: SECRET } } }, "network.secrets", /mode "user" has$/],
  [{ mode: "none", alow: [] }, "network.alow", /is not known/],
  [{ mode: "tap", allow: [] }, "network.allow", /mode "tap" has none/],
  [{ mode: "tap", dns: ["x"] }, "network.dns.0", /./],
  [{ allow: "a.example" }, "network.allow", /must be an array/],
  [{ allow: ["a b"] }, "network.allow.0", /must be a domain/],
  [{ allow: ["x.example", "a.example:443-80"] }, "network.allow.1", /upside down/],
  [
    { allow: hosts, deny: Array(4096).fill("a.example") },
    "network.deny",
    /at most 4096 rules, and here 4097$/,
  ],
  [{ deny: ["10.0.0.0/33"] }, "network.deny.0", /prefix length/],
  [{ deny: ["10.0.0.1/8"] }, "network.deny.0", /no bits behind/],
  [{ rules: ["allow"] }, "network.rules.0", /<action>/],
  [{ rules: ["alow@public"] }, "network.rules.0", /did you mean allow\?/],
  [
    { allow: [], policy: { defaultEgress: "deny", defaultIngress: "deny", rules: [] } },
    "network.allow",
    /beside/,
  ],
  [{ policy: { defaultEgress: "deny", rules: [] } }, "network.policy.defaultIngress", /must be/],
  [
    policyOf({ kind: "domain", domain: "10.0.0.1" }),
    "network.policy.rules.0.destination.domain",
    /is an address/,
  ],
  [policyOf({ kind: "cidr", cidr: "x" }), "network.policy.rules.0.destination.cidr", /address/],
  [policyOf({ kind: "group", group: "all" }), "network.policy.rules.0.destination.group", /must be/],
  [policyOf({ kind: "any" }, [{ start: 9, end: 2 }]), "network.policy.rules.0.ports.0", /upside down/],
  [{ secrets: { A: {} } }, "network.secrets.A.hosts", /at least one host/],
  [{ secrets: { A: { hosts: [] } } }, "network.secrets.A.hosts", /at least one host/],
  [{ secrets: { A: { hosts: ["*"] } } }, "network.secrets.A.hosts", /allowAnyHost/],
  [{ secrets: { A: { hosts: ["https://a.example"] } } }, "network.secrets.A.hosts", /names or addresses/],
  [{ secrets: { "A B": { hosts } } }, "network.secrets.A B", /name of a variable/],
  [{ secrets: { A: { hosts, value: "" } } }, "network.secrets.A.value", /must not be empty/],
  [{ secrets: { A: { hosts, value: `${SECRET}\n` } } }, "network.secrets.A.value", /line feed/],
  [
    { secrets: { A: { hosts, value: SECRET, from: SecretSource.env("A") } } },
    "network.secrets.A.from",
    /beside/,
  ],
  [
    { secrets: { A: { hosts, value: SECRET, placeholder: "s3cret" } } },
    "network.secrets.A.placeholder",
    /part/,
  ],
  [
    { secrets: { A: { hosts, from: process.env } } },
    "network.secrets.A.from",
    /^must be "env".*SecretSource\.env\("OTHER_NAME"\)$/,
  ],
  [{ secrets: { A: { hosts, from: SecretSource.env } } }, "network.secrets.A.from", /^must be "env"/],
  [
    { secrets: { A: { hosts, from: { kind: "env", vra: "A" } } } },
    "network.secrets.A.from",
    /^must be "env"/,
  ],
  [{ secrets: { A: SECRET } }, "network.secrets.A", /must be an object$/],
  [{ secrets: { A: { hosts, valu: SECRET } } }, "network.secrets.A.valu", /did you mean value\?/],
  [{ mode: "usr", secrets: { A: { value: SECRET } } }, "network.mode", /must be/],
  [{ secrets: [SECRET] }, "network.secrets", /must be an object$/],
  [{ secrets: { A: { hosts } }, tls: false }, "network.tls", /secrets/],
  [{ tls: { bypass: ["a b"] } }, "network.tls.bypass.0", /must be a name/],
  [{ tls: { interceptedPorts: [0] } }, "network.tls.interceptedPorts.0", /at least 1/],
  [{ tls: { interceptCaCertPath: "./ca.pem" } }, "network.tls.interceptCaKeyPath", /must be given/],
  [{ dns: { nameservers: ["dns.example"] } }, "network.dns.nameservers.0", /must be an address/],
  [{ dns: { nameservers: ["1.1.1.1:0"] } }, "network.dns.nameservers.0", /must be an address/],
  [{ onRequest: "log" }, "network.onRequest", /must be a function/],
  [{ allow: [], onResponse: {} }, "network.onResponse", /must be a function/],
  [{ via: "passt", onRequest: () => undefined }, "network.onRequest", /passt/],
  [{ maxConnections: 0 }, "network.maxConnections", /at least 1/],
  [{ maxConnections: 4097 }, "network.maxConnections", /at most 4096/],
  [
    { rateLimiter: { egress: { bandwidth: { size: 0, refillTimeMs: 1 } } } },
    "network.rateLimiter.egress.bandwidth.size",
    /at least 1/,
  ],
  [{ via: "passt", allow: hosts }, "network.allow", /passt/],
];

function policyOf(destination: unknown, ports: unknown = []) {
  const rule = { direction: "egress", destination, protocols: [], ports, action: "allow" };
  return { policy: { defaultEgress: "deny", defaultIngress: "deny", rules: [rule] } };
}

test("parseSandboxOptions() names the invalid field of a network, and shows no secret", () => {
  for (const [network, field, problem] of REFUSED) {
    const [issue] = issuesOf(() => parse(network));
    assert.equal(issue?.field, field, JSON.stringify(network));
    assert.match(issue?.problem ?? "", problem, JSON.stringify(network));
  }
});

test("parseSandboxOptions() refuses a variable that is also a secret", () => {
  const [issue] = issuesOf(() => parse({ secrets: { A: { hosts } } }, { env: { A: "1" } }));
  assert.equal(issue?.field, "env.A");
});

test("hooks are not stored, have TLS read, and are asked for by each start", () => {
  const onRequest = () => undefined;
  const { config, hooks } = parse({ onRequest });
  const { network } = config;
  assert.ok(network.mode === "user" && network.hasHooks === true && network.egress?.tls !== undefined);
  assert.ok(!JSON.stringify(config).includes("onRequest"));
  assert.deepEqual(hooks, { onRequest });
  const plain = parse({ onRequest, tls: false }).config.network;
  assert.ok(plain.mode === "user" && plain.egress?.tls === undefined);

  assert.equal(checkHooks(network, { onRequest })?.onRequest, onRequest);
  assert.equal(checkHooks(parse("user").config.network, undefined), undefined);
  const refused = (check: () => unknown) =>
    issuesOf(check).map(({ field, problem }) => `${field} ${problem}`);
  assert.match(refused(() => checkHooks(network, undefined)).join(), /^hooks are missing/);
  assert.match(refused(() => checkHooks(network, {})).join(), /^hooks are missing/);
  assert.match(
    refused(() => checkHooks(parse("user").config.network, { onRequest })).join(),
    /^hooks must not/,
  );
  const misspelt = { onRequst: onRequest } as HttpHooks;
  assert.match(refused(() => checkHooks(network, misspelt)).join(), /hooks\.onRequst.*did you mean/);
});
