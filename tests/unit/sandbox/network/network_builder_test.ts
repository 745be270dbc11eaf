/** Networks by the builders: the same options that an object gives. @module */
import assert from "node:assert/strict";
import {
  Destination,
  DestinationGroups,
  DnsBuilder,
  InterfaceOverridesBuilder,
  InvalidConfigError,
  NetworkBuilder,
  NetworkPolicy,
  NetworkPolicyBuilder,
  NetworkRateLimiterBuilder,
  OutboundProxyBuilder,
  PortRange,
  RateLimiterBuilder,
  Rule,
  RuleBuilder,
  RuleDestinationBuilder,
  Sandbox,
  type SandboxOptions,
  SecretBuilder,
  SecretSource,
  TlsBuilder,
  UnsupportedError,
  ViolationActionBuilder,
  ViolationActions,
} from "../../../../mod.ts";
import { parseSandboxOptions } from "../../../../src/options/sandbox_options.ts";
import { fieldsOf } from "../../../support/backend/over_memory.ts";
import { test } from "../../../support/harness.ts";

function parsed(network: SandboxOptions["network"]) {
  return parseSandboxOptions({ name: "x", image: "y", network });
}

/** Of npm `microsandbox` 0.6.18, `internal/napi.d.ts`. */
const KNOWN_NAMES: readonly (readonly [builder: { readonly prototype: object }, names: string])[] = [
  [
    NetworkBuilder,
    "enabled port portBind portUdp portUdpBind policy policyJson policyFromBuilder dns tls secret secretEnv secretEnvSimple interface onSecretViolation maxConnections strict ipv4Pool ipv6Pool trustHostCAs rateLimiter build",
  ],
  [DnsBuilder, "rebindProtection nameservers queryTimeoutMs build"],
  [
    TlsBuilder,
    "bypass verifyUpstream verifyUpstreamFor interceptedPorts blockQuic upstreamCaCert upstreamCaCertFor interceptCaCert interceptCaKey build",
  ],
  [
    SecretBuilder,
    "env value placeholder allowHost allowHostPattern allowAnyHostDangerous requireTlsIdentity injectHeaders injectBasicAuth injectQuery injectBody onViolation build",
  ],
  [
    NetworkPolicyBuilder,
    "defaultAllow defaultDeny defaultEgress defaultIngress rule egress ingress any build",
  ],
  [
    RuleBuilder,
    "egress ingress any tcp udp icmpv4 icmpv6 port portRange ports allowPublic denyPublic allowPrivate denyPrivate allowLoopback denyLoopback allowLinkLocal denyLinkLocal allowMeta denyMeta allowMulticast denyMulticast allowHost denyHost allowLocal denyLocal allowDomain denyDomain allowDomains denyDomains allowDomainSuffix denyDomainSuffix allowDomainSuffixes denyDomainSuffixes allow deny",
  ],
  [RuleDestinationBuilder, "ip cidr domain domainSuffix group any"],
  [NetworkRateLimiterBuilder, "egress ingress"],
  [RateLimiterBuilder, "bandwidth bandwidthBurst ops opsBurst"],
  [
    ViolationActionBuilder,
    "block blockAndLog blockAndTerminate passthroughHost passthroughHostPattern passthroughAllHosts",
  ],
  [OutboundProxyBuilder, "socks4 socks5"],
  [InterfaceOverridesBuilder, "mac mtu ipv4 ipv6"],
];

test("the builders of networks have every name of the known SDK's", () => {
  for (const [builder, names] of KNOWN_NAMES)
    for (const name of names.split(" "))
      assert.equal(typeof Reflect.get(builder.prototype, name), "function", name);
  const setters = "network disableNetwork secret secretEnv proxy port portBind portUdp portUdpBind".split(
    " ",
  );
  for (const name of setters) assert.equal(typeof Reflect.get(Sandbox.builder("x"), name), "function", name);
});

test("NetworkBuilder gives the same configuration as an object", () => {
  const built = new NetworkBuilder()
    .policy((policy) =>
      policy
        .defaultEgress("deny")
        .egress((rule) => rule.tcp().port(443).allowDomain("api.example").allowDomainSuffix("files.example"))
        .rule((rule) => rule.ingress().deny((to) => to.cidr("10.0.0.0/8"))),
    )
    .dns((dns) => dns.nameservers(["192.0.2.53"]).rebindProtection(false).queryTimeoutMs(100))
    .tls((tls) =>
      tls.bypass("*.bank.example").verifyUpstreamFor("dev.example", false).interceptedPorts([443, 8443]),
    )
    .secretEnv("A", "value-of-a", "$PLACE_A", "api.example")
    .secretEnvSimple("B", "value-of-b", "api.example")
    .secret((secret) =>
      secret.env("C").allowHostPattern("*.files.example").injectBody(true).requireTlsIdentity(false),
    )
    .onSecretViolation((action) => action.blockAndTerminate())
    .maxConnections(7)
    .rateLimiter((limiter) =>
      limiter.egress((egress) => egress.bandwidth(1000, 100).bandwidthBurst(50).ops(10, 1000)),
    )
    .strict(false)
    .trustHostCAs(false)
    .port(8080, 80)
    .portUdpBind("0.0.0.0", 53, 53)
    .build();
  const tcp443 = { protocols: ["tcp"], ports: [PortRange.single(443)] } as const;
  const given = {
    policy: {
      defaultEgress: "deny",
      defaultIngress: "allow",
      rules: [
        { ...Rule.allowEgress(Destination.domain("api.example")), ...tcp443 },
        { ...Rule.allowEgress(Destination.domainSuffix("files.example")), ...tcp443 },
        Rule.denyIngress(Destination.cidr("10.0.0.0/8")),
      ],
    },
    dns: { nameservers: ["192.0.2.53"], rebindProtection: false, queryTimeoutMs: 100 },
    tls: {
      bypass: ["*.bank.example"],
      scopedVerifyUpstream: [{ pattern: "dev.example", verify: false }],
      interceptedPorts: [443, 8443],
    },
    secrets: {
      A: { value: "value-of-a", placeholder: "$PLACE_A", hosts: ["api.example"] },
      B: { value: "value-of-b", hosts: ["api.example"] },
      C: { hosts: ["*.files.example"], injection: { body: true }, requireTlsIdentity: false },
    },
    secretViolation: "block-and-terminate",
    maxConnections: 7,
    rateLimiter: {
      egress: {
        bandwidth: { size: 1000, refillTimeMs: 100, oneTimeBurst: 50 },
        ops: { size: 10, refillTimeMs: 1000 },
      },
    },
    ports: [
      { hostPort: 8080, guestPort: 80 },
      { bind: "0.0.0.0", hostPort: 53, guestPort: 53, protocol: "udp" },
    ],
  } as const;
  const [one, other] = [parsed(built), parsed(given)];
  assert.deepEqual(one.config.network, other.config.network);
  assert.deepEqual(one.config.ports, other.config.ports);
  assert.deepEqual(one.secretValues, other.secretValues);
});

test("a program that is shaped for the known SDK gives the expected configuration", () => {
  const options = Sandbox.builder("agent")
    .image("python")
    .network((n) =>
      n.policy((p) => p.defaultDeny().egress((r) => r.allowDomain("api.openai.example").tcp().port(443))),
    )
    .secretEnv("OPENAI_API_KEY", (s) => s.env("OPENAI_API_KEY").allowHost("api.openai.example"))
    .secretEnv("OTHER", "value-of-other", "other.example")
    .port(8080, 80)
    .build();
  const { config, secretValues } = parseSandboxOptions(options);
  assert.ok(config.network.mode === "user");
  assert.deepEqual(config.network.egress?.policy, {
    defaultEgress: "deny",
    defaultIngress: "deny",
    rules: [
      {
        direction: "egress",
        destination: { kind: "domain", domain: "api.openai.example" },
        protocols: ["tcp"],
        ports: [{ start: 443, end: 443 }],
        action: "allow",
      },
    ],
  });
  assert.deepEqual(secretValues, { OTHER: "value-of-other" });
  assert.equal(config.env["OPENAI_API_KEY"], "$MSB_OPENAI_API_KEY");
  const json = new NetworkBuilder().policyJson(
    JSON.stringify(NetworkPolicy.fromProfiles(new Set(["private"] as const))),
  );
  assert.equal(parsed(json.build()).config.network.mode, "user");
  assert.deepEqual(parsed(new NetworkBuilder().enabled(false).build()).config.network, { mode: "none" });
  assert.deepEqual(Sandbox.builder("x").network("user").disableNetwork().build().network, "none");
});

test("NetworkPolicyBuilder allows what is public without a default, as mode user does", () => {
  const { config } = parsed({ policy: NetworkPolicy.builder().build() });
  assert.deepEqual(config.network, parsed("user").config.network);
});

test("RuleBuilder keeps protocols and ports for the rules that follow, and those at the end for all before", () => {
  const shown = (configure: (rule: RuleBuilder) => RuleBuilder) =>
    configure(new RuleBuilder())
      .build()
      .map(({ action, destination, protocols, ports }) =>
        [action, Object.values(destination).at(-1), ...protocols, ...ports.map(({ start }) => start)].join(
          " ",
        ),
      );
  assert.deepEqual(
    shown((r) => r.tcp().port(443).allowPublic().udp().ports([53]).denyDomains(["a", "b"])),
    ["allow public tcp 443", "deny a tcp udp 443 53", "deny b tcp udp 443 53"],
  );
  assert.deepEqual(
    shown((r) => r.allowDomain("a").denyMeta().udp()),
    ["allow a udp", "deny metadata udp"],
  );
  assert.deepEqual(
    shown((r) => r.allowLocal().allow((to) => to.ip("192.0.2.1"))),
    ["allow loopback", "allow link-local", "allow host", "allow 192.0.2.1"],
  );
  assert.throws(() => new RuleBuilder().tcp().allowPublic().port(80).build(), InvalidConfigError);
  assert.throws(() => new RuleBuilder().tcp().port(443).build(), InvalidConfigError); // no rule: an empty policy
  assert.deepEqual(new RuleBuilder().egress().build(), []);
  assert.throws(() => new RuleBuilder().allow((to) => to), InvalidConfigError);
});

test("the builders of a network want functions that return what they got", () => {
  // biome-ignore lint/suspicious/noExplicitAny: what no type allows
  const nothing: any = () => {};
  const calls: Readonly<Record<string, () => unknown>> = {
    policy: () => new NetworkBuilder().policy(nothing),
    dns: () => new NetworkBuilder().dns(nothing),
    tls: () => new NetworkBuilder().tls(nothing),
    secret: () => new NetworkBuilder().secret(nothing),
    secretEnv: () => new NetworkBuilder().secretEnv("A", nothing),
    onSecretViolation: () => new NetworkBuilder().onSecretViolation(nothing),
    rateLimiter: () => new NetworkBuilder().rateLimiter(nothing),
    "rateLimiter.egress": () => new NetworkBuilder().rateLimiter((limiter) => limiter.egress(nothing)),
    "policy.rules": () => new NetworkPolicyBuilder().egress(nothing),
    "policy.rules.destination": () => new RuleBuilder().deny(nothing),
  };
  for (const [field, call] of Object.entries(calls)) assert.throws(call, fieldsOf(field), field);
  assert.throws(() => new NetworkBuilder().policy(nothing()), fieldsOf("network.policy")); // else all that is public
});

test("the builders refuse what is not supported, and what is given twice", () => {
  const network = new NetworkBuilder();
  for (const refused of [
    () => network.interface((overrides) => overrides),
    () => network.ipv4Pool("10.0.0.0/8"),
    () => network.ipv6Pool("fd00::/8"),
    () => network.strict(true),
    () => network.trustHostCAs(true),
    () => network.onSecretViolation((action) => action.passthroughHost("a.example")),
    () => network.onSecretViolation((action) => action.passthroughHostPattern("*.example")),
    () => new SecretBuilder().onViolation((action) => action.block()),
    () => new OutboundProxyBuilder().socks4("a"),
    () => new OutboundProxyBuilder().socks5("a"),
    () => Sandbox.builder("x").proxy((proxy) => proxy.socks5("a")),
    () => new InterfaceOverridesBuilder().mac("02:00:00:00:00:01"),
    () => new InterfaceOverridesBuilder().mtu(1500),
    () => new InterfaceOverridesBuilder().ipv4("10.0.0.1"),
    () => new InterfaceOverridesBuilder().ipv6("fd00::1"),
  ])
    assert.throws(refused, (error) => error instanceof UnsupportedError && error.hint !== undefined);
  const secret = (s: SecretBuilder) => s.value(SecretSource.env("A")).allowHost("a.example");
  for (const refused of [
    () => new NetworkBuilder().secretEnv("A", secret).secretEnv("A", secret),
    () => Sandbox.builder("x").secretEnv("A", secret).secretEnv("A", secret),
    () =>
      Sandbox.builder("x")
        .secretEnv("A", secret)
        .network((n) => n.secretEnv("A", secret))
        .build(),
    () => Sandbox.builder("x").secretEnv("A", secret).disableNetwork().build(),
    () => new SecretBuilder().build(),
    () => new NetworkBuilder().policyJson("{"),
    () => new RateLimiterBuilder().opsBurst(1).build(),
    () => new NetworkPolicyBuilder().defaultEgress("block" as "deny"),
    () => NetworkPolicy.fromProfiles(["all" as "public"]),
  ])
    assert.throws(refused, InvalidConfigError);
});

test("lists of names are complete", () => {
  assert.equal(DestinationGroups.length, 7);
  assert.deepEqual(ViolationActions, ["block", "block-and-log", "block-and-terminate", "passthrough"]);
  assert.deepEqual(SecretSource.env("A"), { kind: "env", var: "A" });
});

test("NetworkBuilder takes hooks", () => {
  const onRequest = () => undefined;
  const onResponse = async (response: Response) => response;
  const network = new NetworkBuilder()
    .allow("api.example")
    .onRequest(onRequest)
    .onResponse(onResponse)
    .build();
  assert.deepEqual(parsed(network).hooks, { onRequest, onResponse });
});
