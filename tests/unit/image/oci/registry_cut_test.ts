import assert from "node:assert/strict";
import { BODY_ATTEMPTS_MAX } from "../../../../src/image/oci/registry_http.ts";
import { test } from "../../../support/harness.ts";
import { clientOf, HASTY } from "../../../support/oci/client.ts";
import { TestRegistry } from "../../../support/oci/server.ts";

const MANIFEST = { schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json" };

test("fetchManifest() asks again for a manifest that was cut on the way", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addManifest(MANIFEST, "v1");
  registry.faults.push({ path: "/manifests/", cutAfterBytes: 20, times: 2 });
  assert.equal((await clientOf(registry).fetchManifest("app", "v1")).digest, digest);
  assert.equal(registry.count("/manifests/"), 3);
});

test("fetchManifest() asks again for a manifest that stalled on the way", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addManifest(MANIFEST, "v1");
  registry.faults.push({ path: "/manifests/", hang: true });
  assert.equal((await clientOf(registry, { http: HASTY }).fetchManifest("app", "v1")).digest, digest);
  assert.ok(registry.count("/manifests/") >= 2);
});

test("fetchManifest() gives up on a manifest that is always cut", async () => {
  await using registry = await TestRegistry.start();
  registry.addManifest(MANIFEST, "v1");
  registry.faults.push({ path: "/manifests/", cutAfterBytes: 20, times: 1000 });
  await assert.rejects(clientOf(registry).fetchManifest("app", "v1"), { code: "imageRegistry" });
  assert.equal(registry.count("/manifests/"), BODY_ATTEMPTS_MAX);
});

test("fetchManifest() does not ask again for a manifest with a wrong digest", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addManifest(MANIFEST, "v1");
  registry.faults.push({ path: "/manifests/", body: new TextEncoder().encode("{}"), times: 1000 });
  await assert.rejects(clientOf(registry).fetchManifest("app", digest), { code: "imageDigestMismatch" });
  assert.equal(registry.count("/manifests/"), 1);
});

test("RegistryClient asks again for a token that was cut on the way", async () => {
  await using registry = await TestRegistry.start();
  registry.addManifest(MANIFEST, "v1");
  // The token server is a second registry, whose "manifest" is the token.
  await using tokens = await TestRegistry.start();
  tokens.addManifest({ token: "secret" }, "token");
  tokens.faults.push({ path: "/manifests/token", cutAfterBytes: 5, times: 2 });
  const realm = `http://${tokens.host}/v2/auth/manifests/token`;
  registry.gate = ({ headers }) =>
    headers.authorization === "Bearer secret"
      ? undefined
      : { status: 401, headers: { "www-authenticate": `Bearer realm="${realm}",service="test"` } };
  await clientOf(registry).fetchManifest("app", "v1");
  assert.equal(tokens.count("/manifests/token"), 3);
});
