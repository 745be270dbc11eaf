/** Changes to a network while it runs, as callers give them. @module */
import assert from "node:assert/strict";
import { type EgressReport, InvalidConfigError, NetworkPolicy, SecretSource } from "../../../mod.ts";
import { type NetworkUpdateOptions, parseNetworkUpdate } from "../../../src/options/network_update.ts";
import { test } from "../../support/harness.ts";

const injection = { headers: true, basicAuth: true, queryParams: false, body: false };
const A = {
  envVar: "A",
  placeholder: "$MSB_A",
  allowedHosts: ["a.example"],
  allowedHostPatterns: ["*.a.example"],
  allowAnyHost: false,
  requireTlsIdentity: true,
  injection,
};
const TLS = {
  interceptedPorts: [8443],
  bypass: [],
  verifyUpstream: true,
  scopedVerifyUpstream: [],
  upstreamCaCerts: [],
  caCert: "certificate",
  blockQuic: true,
};
const NOW: EgressReport = {
  policy: NetworkPolicy.none(),
  dns: { nameservers: [], rebindProtection: true, queryTimeoutMs: 5_000 },
  tls: TLS,
  secrets: [A],
  secretViolation: "block",
  maxConnections: 256,
  rateLimiter: {},
};

function fieldsOf(options: unknown, now = NOW, environment = {}): readonly string[] {
  try {
    parseNetworkUpdate(options as NetworkUpdateOptions, now, environment);
  } catch (error) {
    assert.ok(error instanceof InvalidConfigError, String(error));
    assert.ok(!error.message.includes("hidden"), error.message);
    return error.issues.map(({ field }) => field);
  }
  return assert.fail("it was not refused");
}

test("parseNetworkUpdate() changes what is given", () => {
  assert.deepEqual(parseNetworkUpdate({}, NOW), {});
  assert.deepEqual(parseNetworkUpdate({ maxConnections: 3, secretViolation: "block" }, NOW), {
    maxConnections: 3,
    secretViolation: "block",
  });
  const { policy } = parseNetworkUpdate({ allow: ["x.example:80"] }, NOW);
  assert.deepEqual(
    policy?.rules.map(({ destination, ports }) => [Object.values(destination)[1], ports[0]?.start]),
    [
      ["x.example", 80],
      ["a.example", 8443], // where its TLS is read
      ["*.a.example", 8443],
    ],
  );
});

test("parseNetworkUpdate() keeps of a secret what is left out, its value included", () => {
  const { secrets } = parseNetworkUpdate({ secrets: { A: { value: "another" } } }, NOW);
  assert.deepEqual(secrets, [{ ...A, value: "another" }]);
  const moved = parseNetworkUpdate(
    { secrets: { A: { hosts: ["b.example"], injection: { body: true } } } },
    NOW,
  );
  assert.deepEqual(moved.secrets, [
    { ...A, allowedHosts: ["b.example"], allowedHostPatterns: [], injection: { ...injection, body: true } },
  ]);
  const read = parseNetworkUpdate({ secrets: { A: { from: SecretSource.env("V") } } }, NOW, { V: "v" });
  assert.equal(read.secrets?.[0]?.value, "v");
  const added = parseNetworkUpdate({ secrets: { B: { hosts: ["b.example"] }, A: null } }, NOW, { B: "b" });
  assert.deepEqual(added.removedSecrets, ["A"]);
  assert.deepEqual(
    added.secrets?.map(({ envVar, value }) => [envVar, value]),
    [["B", "b"]],
  );
});

test("parseNetworkUpdate() names the field that is wrong, and shows no secret", () => {
  assert.deepEqual(fieldsOf({ alow: [] }), ["network.alow"]);
  assert.deepEqual(fieldsOf({ mode: "user" }), ["network.mode"]);
  assert.deepEqual(fieldsOf({ allow: ["a b"] }), ["network.allow.0"]);
  assert.deepEqual(fieldsOf({ dns: { nameservers: ["x"] } }), ["network.dns.nameservers.0"]);
  assert.deepEqual(fieldsOf({ secrets: { A: { value: "hidden\n" } } }), ["network.secrets.A.value"]);
  assert.deepEqual(fieldsOf({ secrets: { A: "hidden" } }), ["network.secrets.A"]);
  assert.deepEqual(fieldsOf({ secrets: { A: { hosts: [] } } }), ["network.secrets.A.hosts"]);
  assert.deepEqual(fieldsOf({ secrets: { B: null } }), ["network.secrets.B"]);
  assert.deepEqual(fieldsOf({ secrets: { B: { hosts: ["b.example"] } } }), ["network.secrets.B.from"]);
  const { tls: _tls, ...plain } = { ...NOW, secrets: [] };
  assert.deepEqual(fieldsOf({ secrets: { B: { hosts: ["b.example"], value: "hidden" } } }, plain), [
    "network.secrets",
  ]);
});
