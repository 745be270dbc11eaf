/** What a start adds to the stored network. @module */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { InvalidConfigError, type SandboxOptions } from "../../../../mod.ts";
import { resolveEgress } from "../../../../src/backend/local/resolve_egress.ts";
import { createAuthority } from "../../../../src/egress/tls/authority.ts";
import { parseSandboxOptions } from "../../../../src/options/sandbox_options.ts";
import { test } from "../../../support/harness.ts";
import { openHome } from "../../../support/home/open_home.ts";

function stored(network: SandboxOptions["network"]) {
  return parseSandboxOptions({ name: "x", image: "y", network }).config.network;
}

function fieldsOf(call: () => unknown): readonly string[] {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof InvalidConfigError, String(error));
    return error.issues.map(({ field }) => field);
  }
  return assert.fail("it was not refused");
}

test("resolveEgress() gives no configuration to modes without decisions", () => {
  using home = openHome();
  for (const mode of ["none", { mode: "user", via: "passt" }] as const)
    assert.equal(resolveEgress(stored(mode), { home: home.path }), undefined);
  const [field] = fieldsOf(() =>
    resolveEgress(stored("none"), { home: home.path, secretValues: { A: "b" } }),
  );
  assert.equal(field, "secrets.A");
});

test("resolveEgress() allows what is public to a sandbox that was stored with its mode alone", () => {
  using home = openHome();
  const config = resolveEgress({ mode: "user" }, { home: home.path });
  assert.equal(config?.policy.defaultEgress, "deny");
  assert.equal(config?.tls, undefined);
});

test("resolveEgress() reads secrets anew at each start, and wants values again", () => {
  using home = openHome();
  const network = stored({
    secrets: { A: { hosts: ["a.example"] }, B: { hosts: ["b.example"], value: "given" } },
  });
  const resolve = (secretValues: Record<string, string>, environment: Record<string, string>) =>
    resolveEgress(network, { home: home.path, secretValues, environment });
  const config = resolve({ B: "b" }, { A: "a1" });
  assert.deepEqual(
    config?.secrets.map(({ value }) => value),
    ["a1", "b"],
  );
  assert.match(config?.tls?.caKey ?? "", /PRIVATE KEY/);
  assert.equal(resolve({ B: "b" }, { A: "a2" })?.secrets[0]?.value, "a2");
  assert.equal(resolve({ A: "mine", B: "b" }, {})?.secrets[0]?.value, "mine");
  assert.deepEqual(
    fieldsOf(() => resolve({}, {})),
    ["network.secrets.A.from", "network.secrets.B.value"],
  );
  assert.deepEqual(
    fieldsOf(() => resolve({ B: "b", C: "c" }, { A: "a" })),
    ["network.secrets.C"],
  );
  assert.deepEqual(
    fieldsOf(() => resolve({ B: "b" }, { A: "a\n" })),
    ["network.secrets.A.value"],
  );
});

test("resolveEgress() reads certificates, and names a file that is not one", () => {
  using home = openHome();
  const { certificate, key } = createAuthority();
  const path = (name: string, text: string) => {
    const file = join(home.path, name);
    writeFileSync(file, text);
    return file;
  };
  const [cert, keyFile, junk] = [path("ca.pem", certificate), path("ca.key", key), path("junk", "junk")];
  const resolve = (tls: object) => resolveEgress(stored({ tls }), { home: home.path })?.tls;
  const given = resolve({
    interceptCaCertPath: cert,
    interceptCaKeyPath: keyFile,
    upstreamCaCertPaths: [cert],
  });
  assert.equal(given?.caCert, certificate);
  assert.deepEqual(given?.upstreamCaCerts, [{ pem: certificate }]);
  const scoped = resolve({ scopedUpstreamCaCerts: [{ pattern: "*.example", path: cert }] });
  assert.deepEqual(scoped?.upstreamCaCerts, [{ pattern: "*.example", pem: certificate }]);
  assert.deepEqual(
    fieldsOf(() => resolve({ interceptCaCertPath: junk, interceptCaKeyPath: keyFile })),
    ["network.tls.interceptCaCertPath"],
  );
  assert.deepEqual(
    fieldsOf(() => resolve({ interceptCaCertPath: cert, interceptCaKeyPath: junk })),
    ["network.tls.interceptCaKeyPath"],
  );
  for (const wrong of [junk, join(home.path, "none"), home.path])
    assert.deepEqual(
      fieldsOf(() => resolve({ upstreamCaCertPaths: [wrong] })),
      ["network.tls.upstreamCaCertPaths.0"],
    );
});
