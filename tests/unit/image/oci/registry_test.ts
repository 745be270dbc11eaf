import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { MiB } from "../../../../src/base/bytes.ts";
import { MicrosandboxError } from "../../../../src/base/errors.ts";
import { parseChallenges } from "../../../../src/image/oci/challenge.ts";
import { isLoopback, type RegistryClient } from "../../../../src/image/oci/registry_client.ts";
import {
  ATTEMPTS_MAX,
  parseRetryAfter,
  REDIRECTS_MAX,
  RETRY_AFTER_MS_MAX,
} from "../../../../src/image/oci/registry_http.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { clientOf, HASTY } from "../../../support/oci/client.ts";
import { digestOf, TestRegistry } from "../../../support/oci/server.ts";

const BLOB = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31) & 0xff);

async function download(
  client: RegistryClient,
  digest: `sha256:${string}`,
  sizeBytes = BLOB.length,
): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of client.readBlob("app", { digest, sizeBytes })) parts.push(part.slice());
  return Buffer.concat(parts);
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => MicrosandboxError.is(error) && error.code === code;
}

test("readBlob() resumes where the connection was cut", async () => {
  await using registry = await TestRegistry.start();
  // Larger than what sockets hold: by the time of the cut, the client has taken some of it.
  const blob = new Uint8Array(32 * MiB).fill(7);
  const digest = registry.addBlob(blob);
  registry.faults.push({ path: "/blobs/", cutAfterBytes: 24 * MiB });
  const received = await download(clientOf(registry), digest, blob.length);
  assert.ok(received.equals(blob));
  const ranges = registry.requests.map(({ headers }) => headers.range);
  assert.equal(ranges[0], undefined);
  assert.match(String(ranges[1]), /^bytes=[1-9][0-9]*-$/);
});

test("readBlob() drops what it has when a server answers a range with the whole blob", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addBlob(BLOB);
  registry.faults.push({ path: "/blobs/", cutAfterBytes: 100_000 }, { path: "/blobs/", ignoreRange: true });
  assert.deepEqual(await download(clientOf(registry), digest), Buffer.from(BLOB));
});

test("readBlob() resumes after a server stopped sending", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addBlob(BLOB);
  registry.faults.push({ path: "/blobs/", hang: true });
  assert.deepEqual(await download(clientOf(registry, { http: HASTY }), digest), Buffer.from(BLOB));
});

test("readBlob() gives up on a server that sends a byte and hangs, each time", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addBlob(BLOB);
  registry.faults.push({ path: "/blobs/", hang: true, times: 1000 });
  const http = { backoffFirstMs: 1, stallTimeoutMs: 20 };
  await assert.rejects(download(clientOf(registry, { http }), digest), hasCode("imageRegistry"));
  assert.equal(registry.count("/blobs/"), ATTEMPTS_MAX);
});

test("readBlob() gives up on a server that always cuts at once", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addBlob(BLOB);
  registry.faults.push({ path: "/blobs/", cutAfterBytes: 0, times: 1000 });
  await assert.rejects(download(clientOf(registry), digest), hasCode("imageRegistry"));
  assert.ok(registry.requests.length <= ATTEMPTS_MAX * ATTEMPTS_MAX);
});

test("readBlob() refuses other bytes, fewer bytes and more bytes than promised", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addBlob(BLOB);
  const client = clientOf(registry);
  registry.faults.push({ path: "/blobs/", body: BLOB.map((byte) => byte ^ 1) });
  await assert.rejects(download(client, digest), hasCode("imageDigestMismatch"));
  await assert.rejects(download(client, digest, BLOB.length - 1), hasCode("imageDigestMismatch"));
  registry.faults.push({ path: "/blobs/", body: BLOB.subarray(0, 10), times: 1000 });
  await assert.rejects(download(client, digest), MicrosandboxError.is);
});

test("readBlob() reads an empty blob", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addBlob(new Uint8Array());
  assert.equal((await download(clientOf(registry), digest, 0)).length, 0);
});

test("readBlob() ends immediately when the signal fires, even while the server hangs", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addBlob(BLOB);
  registry.faults.push({ path: "/blobs/", hang: true, times: 1000 });
  const client = clientOf(registry, { http: { stallTimeoutMs: 60_000 } });
  const abort = new AbortController();
  const reading = (async () => {
    for await (const _ of client.readBlob("app", { digest, sizeBytes: BLOB.length }, abort.signal))
      abort.abort();
  })();
  await assert.rejects(reading, hasCode("aborted"));
});

test("fetchManifest() refuses bytes that are not those of the digest", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addManifest({ schemaVersion: 2 }, "v1");
  const client = clientOf(registry);
  assert.equal((await client.fetchManifest("app", "v1")).digest, digest);
  registry.faults.push({ path: "/manifests/", body: new TextEncoder().encode("{}"), times: 2 });
  await assert.rejects(client.fetchManifest("app", digest), hasCode("imageDigestMismatch"));
  await assert.rejects(client.fetchManifest("app", "v1"), hasCode("imageDigestMismatch"));
  await assert.rejects(client.fetchManifest("app", "absent"), hasCode("imageNotFound"));
});

test("fetchManifest() tries again when the registry is busy, and no longer than the limit", async () => {
  await using registry = await TestRegistry.start();
  registry.addManifest({ schemaVersion: 2 }, "v1");
  registry.faults.push({ path: "/manifests/", status: 503, headers: { "retry-after": "0" }, times: 2 });
  await clientOf(registry).fetchManifest("app", "v1");
  assert.equal(registry.requests.length, 3);
  registry.faults.push({ path: "/manifests/", status: 500, times: 1000 });
  await assert.rejects(clientOf(registry).fetchManifest("app", "v1"), hasCode("imageRegistry"));
  assert.equal(registry.requests.length, 3 + ATTEMPTS_MAX);
});

test("fetchManifest() waits as long as the registry asks for, and by its own back-off where it does not", async () => {
  await using registry = await TestRegistry.start();
  registry.addManifest({ schemaVersion: 2 }, "v1");
  const busy = (headers: Record<string, string>) =>
    registry.faults.push({ path: "/manifests/", status: 429, headers });
  busy({ "retry-after": "7" });
  busy({ "retry-after": String(RETRY_AFTER_MS_MAX / 1000) });
  busy({});
  const waits: { readonly ms: number; readonly requestsBefore: number }[] = [];
  const wait = async (ms: number) => void waits.push({ ms, requestsBefore: registry.requests.length });
  await clientOf(registry, { http: { backoffFirstMs: 100, wait } }).fetchManifest("app", "v1");
  assert.deepEqual(waits.slice(0, 2), [
    { ms: 7000, requestsBefore: 1 },
    { ms: RETRY_AFTER_MS_MAX, requestsBefore: 2 },
  ]);
  const [{ ms: backoff } = { ms: 0 }, ...more] = waits.slice(2);
  assert.ok(backoff >= 200 && backoff <= 400, `${backoff} ms: half to all of the third back-off`);
  assert.deepEqual([more.length, registry.requests.length], [0, 4]);
});

test("fetchManifest() ends immediately when the registry asks for too long a wait", async () => {
  await using registry = await TestRegistry.start();
  registry.faults.push({ path: "/manifests/", status: 429, headers: { "retry-after": "3600" } });
  await assert.rejects(
    clientOf(registry).fetchManifest("app", "v1"),
    (error) => MicrosandboxError.is(error) && "retryAfterMs" in error && error.retryAfterMs === 3_600_000,
  );
  assert.equal(registry.requests.length, 1);
});

test("readBlob() sends no credentials to another host", async () => {
  await using storage = await TestRegistry.start();
  await using registry = await TestRegistry.start();
  const digest = storage.addBlob(BLOB);
  const location = `http://${storage.host}/v2/app/blobs/${digest}`;
  registry.gate = ({ headers }) =>
    headers.authorization === undefined
      ? { status: 401, headers: { "www-authenticate": "Basic realm=r" } }
      : { status: 307, headers: { location } };
  const auth = { kind: "basic", username: "u", password: "p" } as const;
  assert.equal((await download(clientOf(registry, { auth }), digest)).length, BLOB.length);
  assert.equal(registry.requests[1]?.headers.authorization, "Basic dTpw");
  assert.equal(storage.requests[0]?.headers.authorization, undefined);
});

for (const scheme of ["basic", "bearer"] as const) {
  test(`readBlob() sends no password to a server that it was redirected to and that asks by ${scheme}`, async () => {
    await using thief = await TestRegistry.start();
    await using registry = await TestRegistry.start();
    const realm = `http://${thief.host}/token`;
    thief.routes.set("/token", () => ({ status: 200, body: '{"token":"t"}' }));
    thief.gate = () => ({ status: 401, headers: { "www-authenticate": `${scheme} realm="${realm}"` } });
    registry.gate = () => ({ status: 307, headers: { location: `http://${thief.host}/v2/blob` } });
    const auth = { kind: "basic", username: "u", password: "p" } as const;
    await assert.rejects(download(clientOf(registry, { auth }), digestOf("x"), 1), hasCode("imageRegistry"));
    const sent = [...thief.requests, ...registry.requests].map(({ headers }) => headers.authorization);
    assert.deepEqual(new Set(sent), new Set([undefined]));
    assert.deepEqual([thief.count("/token"), registry.requests.length], [0, 1]);
  });
}

test("readBlob() answers a challenge that comes after a redirect within the registry", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addBlob(BLOB);
  const moved = `/v2/moved/blobs/${digest}`;
  registry.gate = ({ path, headers }) => {
    if (!path.startsWith("/v2/moved/")) return { status: 307, headers: { location: moved } };
    const isKnown = headers.authorization === "Basic dTpw";
    return isKnown ? undefined : { status: 401, headers: { "www-authenticate": "Basic realm=r" } };
  };
  const auth = { kind: "basic", username: "u", password: "p" } as const;
  assert.equal((await download(clientOf(registry, { auth }), digest)).length, BLOB.length);
});

test("readBlob() follows no more redirects than the limit, and none to another scheme", async () => {
  await using registry = await TestRegistry.start();
  registry.gate = ({ path }) => ({ status: 302, headers: { location: path } });
  await assert.rejects(download(clientOf(registry), digestOf("x"), 1), hasCode("imageRegistry"));
  assert.equal(registry.requests.length, REDIRECTS_MAX + 1);
  registry.gate = () => ({ status: 302, headers: { location: "file:///etc/passwd" } });
  await assert.rejects(download(clientOf(registry), digestOf("x"), 1), hasCode("imageRegistry"));
});

test("RegistryClient gets one token for many requests and sends the credentials only for it", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addBlob(BLOB);
  registry.addManifest({ schemaVersion: 2 }, "v1");
  const realm = `http://${registry.host}/token`;
  registry.routes.set("/token", () => ({
    status: 200,
    body: JSON.stringify({ token: "t0k", expires_in: 300 }),
  }));
  registry.gate = ({ headers }) =>
    headers.authorization === "Bearer t0k"
      ? undefined
      : { status: 401, headers: { "www-authenticate": `Bearer realm="${realm}",service="s,1",scope="x"` } };
  const client = clientOf(registry, { auth: { kind: "basic", username: "u", password: "p" } });
  await client.fetchManifest("app", "v1");
  await Promise.all([download(client, digest), download(client, digest)]);
  assert.equal(registry.count("/token"), 1);
  const token = registry.requests.find(({ path }) => path.startsWith("/token"));
  assert.equal(token?.headers.authorization, "Basic dTpw");
  const query = new URL(token?.path ?? "", realm).searchParams;
  assert.equal(query.get("scope"), "repository:app:pull");
  assert.equal(query.get("service"), "s,1");
});

test("RegistryClient keeps its token when the wall clock is set", async () => {
  await using registry = await TestRegistry.start();
  const digest = registry.addBlob(BLOB);
  registry.routes.set("/token", () => ({ status: 200, body: '{"token":"t0k","expires_in":300}' }));
  registry.gate = ({ headers }) =>
    headers.authorization === "Bearer t0k"
      ? undefined
      : { status: 401, headers: { "www-authenticate": `Bearer realm="http://${registry.host}/token"` } };
  const client = clientOf(registry);
  const now = Date.now;
  try {
    await download(client, digest);
    Date.now = () => now() + 24 * 60 * 60 * 1000;
    await download(client, digest);
  } finally {
    Date.now = now;
  }
  assert.equal(registry.count("/token"), 1);
});

test("RegistryClient gets a new token when the old one is refused, once", async () => {
  await using registry = await TestRegistry.start();
  registry.addManifest({ schemaVersion: 2 }, "v1");
  let issued = 0;
  let accepted = 1;
  registry.routes.set("/token", () => ({
    status: 200,
    body: JSON.stringify({ access_token: `t${++issued}` }),
  }));
  registry.gate = ({ headers }) =>
    headers.authorization === `Bearer t${accepted}`
      ? undefined
      : { status: 401, headers: { "www-authenticate": `Bearer realm="http://${registry.host}/token"` } };
  const client = clientOf(registry);
  await client.fetchManifest("app", "v1");
  accepted = 2;
  await client.fetchManifest("app", "v1");
  accepted = 99;
  await assert.rejects(client.fetchManifest("app", "v1"), hasCode("imageAuth"));
});

test("RegistryClient sends an identity token to the token server as a refresh token", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  registry.addManifest({ schemaVersion: 2 }, "v1");
  const auths = { [registry.host]: { identitytoken: "refresh" } };
  writeFileSync(join(home.path, "config.json"), JSON.stringify({ auths }));
  registry.routes.set("/token", () => ({ status: 200, body: '{"access_token":"t"}' }));
  registry.gate = ({ headers }) =>
    headers.authorization === "Bearer t"
      ? undefined
      : { status: 401, headers: { "www-authenticate": `Bearer realm="http://${registry.host}/token"` } };
  const client = clientOf(registry, { auth: undefined, environment: { DOCKER_CONFIG: home.path } });
  await client.fetchManifest("app", "v1");
  const token = registry.requests.find(({ path }) => path === "/token");
  assert.equal(new URLSearchParams(token?.body).get("refresh_token"), "refresh");
});

test("RegistryClient sends no identity token to where a token server redirects", async () => {
  await using thief = await TestRegistry.start();
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const auths = { [registry.host]: { identitytoken: "refresh" } };
  writeFileSync(join(home.path, "config.json"), JSON.stringify({ auths }));
  registry.gate = ({ path }) =>
    path === "/token"
      ? { status: 307, headers: { location: `http://${thief.host}/token` } }
      : { status: 401, headers: { "www-authenticate": `Bearer realm="http://${registry.host}/token"` } };
  const client = clientOf(registry, { auth: undefined, environment: { DOCKER_CONFIG: home.path } });
  await assert.rejects(client.fetchManifest("app", "v1"), hasCode("imageAuth"));
  assert.equal(thief.requests.length, 0);
});

test("RegistryClient sends no password over plain HTTP to a token server unless that is allowed", async () => {
  await using registry = await TestRegistry.start();
  registry.gate = () => ({
    status: 401,
    headers: { "www-authenticate": 'Bearer realm="ftp://example.test/token"' },
  });
  const client = clientOf(registry, { auth: { kind: "basic", username: "u", password: "p" } });
  await assert.rejects(client.fetchManifest("app", "v1"), hasCode("imageAuth"));
});

test("RegistryClient uses plain HTTP on loopback by default", async () => {
  await using registry = await TestRegistry.start();
  registry.addManifest({ schemaVersion: 2 }, "v1");
  await clientOf(registry, { insecure: false }).fetchManifest("app", "v1");
  for (const host of ["localhost", "127.0.0.1:5000", "[::1]:5000"]) assert.ok(isLoopback(host));
  for (const host of ["localhost.example.com", "127.0.0.1.example.com", "10.0.0.1"])
    assert.ok(!isLoopback(host));
});

test("parseChallenges() reads several challenges with quoted commas", () => {
  const header =
    'Basic realm="a, \\"b\\"", Bearer realm="https://t/x",service=s, scope="a:b:pull,push", Negotiate';
  const challenges = parseChallenges(header).map(({ scheme, parameters }) => [
    scheme,
    Object.fromEntries(parameters),
  ]);
  assert.deepEqual(challenges, [
    ["basic", { realm: 'a, "b"' }],
    ["bearer", { realm: "https://t/x", service: "s", scope: "a:b:pull,push" }],
    ["negotiate", {}],
  ]);
  assert.deepEqual(parseChallenges('=="broken'), []);
});

test("parseRetryAfter() reads seconds and dates", () => {
  const now = Date.parse("2024-01-01T00:00:00Z");
  assert.equal(parseRetryAfter("3", now), 3000);
  assert.equal(parseRetryAfter("Mon, 01 Jan 2024 00:00:05 GMT", now), 5000);
  assert.equal(parseRetryAfter("Sun, 31 Dec 2023 00:00:00 GMT", now), 0);
  assert.equal(parseRetryAfter("soon", now), undefined);
  assert.equal(parseRetryAfter(null, now), undefined);
});
