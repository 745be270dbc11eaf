import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { MiB } from "../../../src/base/bytes.ts";
import { detectImageSource } from "../../../src/image/detect.ts";
import { writeErofs } from "../../../src/image/erofs/writer.ts";
import { createDirectory } from "../../../src/image/tree/tree.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { buildTar } from "./tar/builder.ts";

const HASH = "0123456789abcdef".repeat(4);
const ROOT_FILES = buildTar(
  { name: "./", type: "5" },
  { name: "./etc/", type: "5" },
  { name: "manifest.json" },
);
const OCI_ARCHIVE = buildTar(
  { name: "blobs/", type: "5" },
  { name: `blobs/sha256/${HASH}`, data: "x".repeat(5000) },
  { name: "index.json", data: "{}" },
  { name: "oci-layout", data: "{}" },
);
const DOCKER_ARCHIVE = buildTar(
  { name: `${HASH}/`, type: "5" },
  { name: `${HASH}/layer.tar`, data: "layer" },
  { name: `${HASH}.json`, data: "{}" },
  { name: "manifest.json", data: "[]" },
);

for (const [what, bytes, expected] of [
  ["a tar", ROOT_FILES, { kind: "tar", compression: "none" }],
  ["a tar in gzip", gzipSync(ROOT_FILES), { kind: "tar", compression: "gzip" }],
  ["a tar in zstd", zstdCompressSync(ROOT_FILES), { kind: "tar", compression: "zstd" }],
  ["an archive of an OCI layout", OCI_ARCHIVE, { kind: "imageArchive", compression: "none" }],
  ["an archive of docker save", DOCKER_ARCHIVE, { kind: "imageArchive", compression: "none" }],
  ["an archive in gzip", gzipSync(DOCKER_ARCHIVE), { kind: "imageArchive", compression: "gzip" }],
  ["a tar that is damaged further on", ROOT_FILES.subarray(0, 700), { kind: "tar", compression: "none" }],
  ["text", Buffer.from("some text"), { kind: "unknown" }],
  ["text in gzip", gzipSync(Buffer.from("some text")), { kind: "unknown" }],
  ["an empty file", Buffer.alloc(0), { kind: "unknown" }],
] as const) {
  test(`detectImageSource() knows ${what}, whatever its name`, async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "file.jpg");
    writeFileSync(path, bytes);
    assert.deepEqual(await detectImageSource(path), expected);
  });
}

/** An archive whose index is at its end, behind much that compresses to nothing. */
const LATE_INDEX = buildTar(
  { name: `blobs/sha256/${HASH}`, data: new Uint8Array(32 * MiB) },
  { name: "index.json", data: "{}" },
);

test("detectImageSource() looks no further than the limit", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "file");
  writeFileSync(path, gzipSync(LATE_INDEX));
  const expected = { kind: "imageArchive", compression: "gzip" };
  assert.deepEqual(await detectImageSource(path, { maxUnpackedBytes: LATE_INDEX.length }), expected);
  const looking = detectImageSource(path, { maxUnpackedBytes: 16 * MiB });
  await assert.rejects(looking, { code: "tarInvalid", problem: `it unpacks to more than ${16 * MiB} bytes` });
});

test("detectImageSource() ends when its signal has fired", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "file");
  writeFileSync(path, gzipSync(LATE_INDEX));
  const looking = detectImageSource(path, { signal: AbortSignal.abort() });
  await assert.rejects(looking, { code: "aborted" });
});

test("detectImageSource() knows an EROFS image", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "image");
  await writeErofs(createDirectory(), path);
  assert.deepEqual(await detectImageSource(path), { kind: "erofs" });
});

test("detectImageSource() knows a directory, and an OCI layout", async () => {
  using directory = temporaryDirectory();
  mkdirSync(join(directory.path, "layout"));
  writeFileSync(join(directory.path, "layout", "oci-layout"), "{}");
  assert.deepEqual(await detectImageSource(directory.path), { kind: "directory" });
  assert.deepEqual(await detectImageSource(join(directory.path, "layout")), { kind: "ociLayout" });
});

test("detectImageSource() names a missing path", async () => {
  await assert.rejects(detectImageSource("/absent/path"), {
    code: "io",
    path: "/absent/path",
    errno: "ENOENT",
  });
});
