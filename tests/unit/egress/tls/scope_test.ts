/** Patterns of hosts, and what they decide. @module */
import assert from "node:assert/strict";
import type { TlsConfig } from "../../../../src/egress/config.ts";
import { matchesHostPattern, parseAuthority, parseHostName } from "../../../../src/egress/tls/host_name.ts";
import { hostAuthorities } from "../../../../src/egress/tls/host_trust.ts";
import { blocksQuic, isBypassed, verificationOf } from "../../../../src/egress/tls/scope.ts";
import { test } from "../../../support/harness.ts";

const TLS: TlsConfig = {
  interceptedPorts: [443, 8443],
  bypass: ["pinned.example", "*.bank.example"],
  verifyUpstream: true,
  scopedVerifyUpstream: [
    { pattern: "*.dev.example", verify: false },
    { pattern: "real.dev.example", verify: true },
  ],
  upstreamCaCerts: [{ pem: "everywhere" }, { pattern: "*.corp.example", pem: "inside" }],
  caCert: "",
  caKey: "",
  blockQuic: true,
};

test("matchesHostPattern() matches a suffix with the names below it, and with no others", () => {
  const matches = (pattern: string) =>
    ["a.example", "b.a.example", "xa.example", "example", "10.0.0.1"].filter((name) =>
      matchesHostPattern(pattern, name),
    );
  assert.deepEqual(matches("a.example"), ["a.example"]);
  assert.deepEqual(matches("A.Example."), ["a.example"]);
  assert.deepEqual(matches("*.a.example"), ["b.a.example"]);
  assert.deepEqual(matches("*.example"), ["a.example", "b.a.example", "xa.example"]);
  assert.deepEqual(matches("*").length, 5);
  assert.equal(matchesHostPattern("*.example", ".example"), false);
});

test("parseHostName() takes names, and no address in any notation", () => {
  const names = [
    "A.example.",
    "localhost",
    "a_b.example",
    "1.2.example",
    "a..b",
    "-a.example",
    "",
    ".",
    "a b",
    "127.0.0.1",
    "2130706433",
    "0x7f.1",
    "127.1",
    "a.example:443",
    "a@b",
    "\u00e4.example",
    "[::1]",
  ];
  const taken = names.map(parseHostName).filter((name) => name !== undefined);
  assert.deepEqual(taken, ["a.example", "localhost", "a_b.example", "1.2.example"]);
});

test("parseAuthority() takes a host and a port, and nothing beside them", () => {
  assert.deepEqual(parseAuthority("A.example:8443"), { host: "a.example", port: 8443 });
  assert.deepEqual(parseAuthority("10.0.0.1"), { host: "10.0.0.1", port: undefined });
  assert.deepEqual(parseAuthority("[2001:DB8:0::1]:1"), { host: "2001:db8::1", port: 1 });
  for (const text of [
    "",
    ":80",
    "a:",
    "a:0",
    "a:65536",
    "a:+1",
    "u@a",
    "a/b",
    "::1",
    "[::1",
    "[a]",
    "a,b",
    "a b",
    "010.1.1.1",
  ])
    assert.equal(parseAuthority(text), undefined, text);
});

test("isBypassed(), blocksQuic() and verificationOf() follow the configuration", () => {
  assert.equal(isBypassed(TLS, "pinned.example"), true);
  assert.equal(isBypassed(TLS, "www.bank.example"), true);
  assert.equal(isBypassed(TLS, "bank.example"), false);
  assert.equal(blocksQuic(TLS, 443), true);
  assert.equal(blocksQuic(TLS, 4433), false);
  assert.equal(blocksQuic({ ...TLS, blockQuic: false }, 443), false);
  assert.equal(blocksQuic(undefined, 443), false);
  assert.deepEqual(verificationOf(TLS, "a.dev.example"), {
    isVerified: false,
    givenAuthorities: ["everywhere"],
  });
  assert.equal(verificationOf(TLS, "real.dev.example").isVerified, true);
  assert.deepEqual(verificationOf(TLS, "a.corp.example").givenAuthorities, ["everywhere", "inside"]);
});

test("hostAuthorities() reads the bundle of this machine, or falls back to the runtime's", () => {
  const own = hostAuthorities({});
  assert.ok(own.length > 50);
  assert.ok(own.every((pem) => pem.startsWith("-----BEGIN CERTIFICATE-----")));
  assert.deepEqual(hostAuthorities({ SSL_CERT_FILE: "/nonexistent" }), own);
});
