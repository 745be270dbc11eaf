import assert from "node:assert/strict";
import { MicrosandboxError } from "../../../../src/base/errors.ts";
import { decodeImageConfig } from "../../../../src/image/oci/image_config.ts";
import {
  choosePlatform,
  decodeManifest,
  type ImageIndex,
  INDEX_ENTRIES_MAX,
  LAYERS_MAX,
  MANIFEST_BYTES_MAX,
} from "../../../../src/image/oci/manifest.ts";
import {
  formatPlatform,
  hostPlatform,
  parsePlatform,
  platformScore,
} from "../../../../src/image/oci/platform.ts";
import { test } from "../../../support/harness.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;
const OTHER = `sha256:${"cd".repeat(32)}`;
const descriptor = { mediaType: "application/vnd.oci.image.config.v1+json", digest: DIGEST, size: 2 };

function bytesOfJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => MicrosandboxError.is(error) && error.code === code;
}

test("decodeManifest() reads manifests and indexes of OCI and Docker", () => {
  const manifest = decodeManifest(
    bytesOfJson({
      schemaVersion: 2,
      config: descriptor,
      layers: [descriptor],
      unknown: 1,
      annotations: null,
    }),
    "manifest",
  );
  assert.equal(manifest.kind, "manifest");
  const index = decodeManifest(bytesOfJson({ schemaVersion: 2, manifests: [descriptor] }), "index");
  assert.equal(index.kind, "index");
});

test("decodeManifest() refuses documents that are not manifests", () => {
  const many = (count: number): unknown[] => Array.from({ length: count }, () => descriptor);
  const bad: unknown[] = [
    null,
    [],
    {},
    { schemaVersion: 1, layers: [] },
    { schemaVersion: 2, config: descriptor },
    { schemaVersion: 2, config: descriptor, layers: [], manifests: [] },
    { schemaVersion: 2, config: { ...descriptor, size: -1 }, layers: [] },
    { schemaVersion: 2, config: { ...descriptor, size: 1.5 }, layers: [] },
    { schemaVersion: 2, config: { ...descriptor, digest: "sha256:../../x" }, layers: [] },
    { schemaVersion: 2, config: descriptor, layers: many(LAYERS_MAX + 1) },
    { schemaVersion: 2, manifests: many(INDEX_ENTRIES_MAX + 1) },
  ];
  for (const value of bad) {
    assert.throws(() => decodeManifest(bytesOfJson(value), "manifest"), hasCode("imageManifestInvalid"));
  }
  assert.throws(() => decodeManifest(new Uint8Array([0xff]), "manifest"), hasCode("imageManifestInvalid"));
  const large = new Uint8Array(MANIFEST_BYTES_MAX + 1).fill(0x20);
  assert.throws(() => decodeManifest(large, "manifest"), hasCode("imageManifestInvalid"));
});

test("decodeManifest() accepts as many layers as the limit allows", () => {
  const layers = Array.from({ length: LAYERS_MAX }, () => descriptor);
  const manifest = decodeManifest(bytesOfJson({ schemaVersion: 2, config: descriptor, layers }), "manifest");
  assert.equal(manifest.kind === "manifest" && manifest.layers.length, LAYERS_MAX);
});

function indexOf(
  ...entries: { digest: string; mediaType?: string; platform?: object; annotations?: object }[]
): ImageIndex {
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifests = entries.map((entry) => ({ ...descriptor, mediaType, ...entry }));
  const index = decodeManifest(bytesOfJson({ schemaVersion: 2, manifests }), "index");
  assert.equal(index.kind, "index");
  return index as ImageIndex;
}

test("choosePlatform() chooses the variant that fits best", () => {
  const index = indexOf(
    { digest: OTHER, platform: { os: "linux", architecture: "arm", variant: "v6" } },
    { digest: DIGEST, platform: { os: "linux", architecture: "arm", variant: "v7" } },
    { digest: OTHER, platform: { os: "linux", architecture: "arm64", variant: "v8" } },
  );
  assert.equal(choosePlatform(index, parsePlatform("linux/arm/v7")).digest, DIGEST);
  assert.equal(choosePlatform(index, parsePlatform("linux/arm")).digest, DIGEST);
  assert.equal(choosePlatform(index, parsePlatform("linux/aarch64")).digest, OTHER);
  assert.throws(() => choosePlatform(index, parsePlatform("linux/arm/v5")), hasCode("imagePlatformMissing"));
});

test("choosePlatform() never chooses an attestation", () => {
  const index = indexOf(
    { digest: OTHER, platform: { os: "unknown", architecture: "unknown" } },
    { digest: OTHER, annotations: { "vnd.docker.reference.type": "attestation-manifest" } },
  );
  assert.throws(() => choosePlatform(index, hostPlatform()), hasCode("imagePlatformMissing"));
});

test("choosePlatform() skips entries whose types are not images", () => {
  const platform = { os: "linux", architecture: "amd64" };
  const index = indexOf(
    { digest: OTHER, mediaType: "application/vnd.unknown" },
    { digest: OTHER, mediaType: "application/vnd.unknown", platform },
    { digest: DIGEST, mediaType: "application/vnd.oci.image.manifest.v1+json", platform },
  );
  assert.equal(choosePlatform(index, parsePlatform("linux/amd64")).digest, DIGEST);
  assert.throws(() => choosePlatform(index, parsePlatform("linux/s390x")), hasCode("imagePlatformMissing"));
});

test("platformScore() is 0 for another system and for a newer variant", () => {
  const wanted = parsePlatform("linux/amd64");
  assert.equal(platformScore(wanted, { os: "windows", architecture: "amd64" }), 0);
  assert.equal(platformScore(wanted, { os: "linux", architecture: "arm64" }), 0);
  assert.equal(
    platformScore(parsePlatform("linux/arm/v6"), { os: "linux", architecture: "arm", variant: "v7" }),
    0,
  );
});

test("parsePlatform() refuses other shapes", () => {
  for (const text of ["", "linux", "linux/", "linux/amd64/v1/x", "Linux AMD64"]) {
    assert.throws(() => parsePlatform(text), hasCode("invalidConfig"));
  }
  assert.equal(formatPlatform(parsePlatform("linux/x86_64")), "linux/amd64");
});

test("decodeImageConfig() gives the fields of a Dockerfile and leaves out empty ones", () => {
  const file = decodeImageConfig(
    bytesOfJson({
      os: "linux",
      architecture: "amd64",
      config: {
        Entrypoint: ["/bin/sh", "-c"],
        Cmd: [],
        Env: ["PATH=/bin", "EMPTY="],
        WorkingDir: "/srv",
        User: "app:staff",
        Labels: { a: "b" },
        ExposedPorts: { "80/tcp": {} },
        Volumes: { "/data": {} },
        StopSignal: "SIGQUIT",
      },
      rootfs: { type: "layers", diff_ids: [DIGEST] },
    }),
    "config",
  );
  assert.deepEqual(file.config, {
    entrypoint: ["/bin/sh", "-c"],
    env: ["PATH=/bin", "EMPTY="],
    workingDir: "/srv",
    user: "app:staff",
    labels: { a: "b" },
    exposedPorts: ["80/tcp"],
    volumes: ["/data"],
    stopSignal: "SIGQUIT",
  });
  assert.deepEqual(file.diffIds, [DIGEST]);
});

test("decodeImageConfig() accepts null for unset fields, as Docker writes them", () => {
  const config = { Entrypoint: null, Cmd: null, Env: null, Labels: null, Volumes: null };
  const file = decodeImageConfig(bytesOfJson({ config, rootfs: { diff_ids: null } }), "config");
  assert.deepEqual(file.config, { env: [], labels: {}, exposedPorts: [], volumes: [] });
});
