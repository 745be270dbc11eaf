/** Changes to a network while it runs. @module */
import assert from "node:assert/strict";
import type { EgressConfig, SecretConfig, TlsConfig } from "../../../src/egress/config.ts";
import { policies } from "../../../src/egress/policy/factories.ts";
import { applyEgressUpdate } from "../../../src/egress/update.ts";
import { test } from "../../support/harness.ts";

const tls: TlsConfig = {
  interceptedPorts: [443],
  bypass: [],
  verifyUpstream: true,
  scopedVerifyUpstream: [],
  upstreamCaCerts: [],
  caCert: "certificate",
  caKey: "key",
  blockQuic: true,
};

function secret(envVar: string, value: string): SecretConfig {
  return {
    envVar,
    value,
    placeholder: `$MSB_${envVar}`,
    allowedHosts: ["a.example"],
    allowedHostPatterns: [],
    allowAnyHost: false,
    requireTlsIdentity: true,
    injection: { headers: true, basicAuth: true, queryParams: false, body: false },
  };
}

const current: EgressConfig = {
  policy: policies.none(),
  dns: { nameservers: [], rebindProtection: true, queryTimeoutMs: 1 },
  tls,
  secrets: [secret("A", "a1"), secret("B", "b1")],
  secretViolation: "block",
  maxConnections: 1,
  rateLimiter: {},
};

test("applyEgressUpdate() changes what is given, and keeps values and keys that are not", () => {
  const policy = policies.allowAll();
  assert.deepEqual(applyEgressUpdate(current, { policy }), { ...current, policy });
  const { value: _value, ...moved } = { ...secret("A", ""), allowedHosts: ["b.example"] };
  const changed = applyEgressUpdate(current, { secrets: [moved, secret("C", "c1")], removedSecrets: ["B"] });
  assert.deepEqual(changed.secrets, [{ ...moved, value: "a1" }, secret("C", "c1")]);
  const { caCert: _cert, caKey: _key, ...others } = { ...tls, bypass: ["x.example"] };
  assert.deepEqual(applyEgressUpdate(current, { tls: others }).tls, { ...tls, bypass: ["x.example"] });
  assert.equal(applyEgressUpdate({ ...current, secrets: [] }, { tls: null }).tls, undefined);
});

test("applyEgressUpdate() refuses a secret without a value, and secrets without TLS that is read", () => {
  const { value: _value, ...unknown } = secret("C", "");
  assert.throws(() => applyEgressUpdate(current, { secrets: [unknown] }), /C has no value/);
  assert.throws(() => applyEgressUpdate(current, { tls: null }), /TLS/);
  const { tls: _tls, ...plain } = { ...current, secrets: [] };
  assert.throws(() => applyEgressUpdate(plain, { secrets: [secret("A", "a")] }), /TLS/);
  const { caCert: _cert, caKey: _key, ...others } = tls;
  assert.throws(() => applyEgressUpdate(plain, { tls: others }), /authority/);
});
