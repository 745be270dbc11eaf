import assert from "node:assert/strict";
import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { MicrosandboxError } from "../../../../src/base/errors.ts";
import { isLocalImage } from "../../../../src/image/local_name.ts";
import { ImageNotFoundError } from "../../../../src/image/oci/errors.ts";
import type { PullProgress } from "../../../../src/image/progress.ts";
import { FileLocks } from "../../../../src/image/store/file_lock.ts";
import { Image } from "../../../../src/image/store/image.ts";
import { ImageStore } from "../../../../src/image/store/image_store.ts";
import { resolveImage } from "../../../../src/image/store/resolve_image.ts";
import { SETTLING_MS } from "../../../../src/image/store/source_key.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { digestOf, TestRegistry } from "../../../support/oci/server.ts";
import { buildTar } from "../tar/builder.ts";
import { showImage } from "../trees.ts";
import { addApp, assertClean, BASE, hasCode, resolve, TOP } from "./fixture.ts";

test("resolveImage() pulls an image, merges its layers and says how to run it", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const digest = addApp(registry);
  const image = await resolve(registry, home);
  assert.equal(image.manifestDigest, digest);
  assert.equal(image.reference, `${registry.host}/team/app:v1`);
  assert.deepEqual(Object.keys(showImage(image.erofsPath)), ["", "/app", "/etc"]);
  assert.deepEqual(image.config, {
    entrypoint: ["/app"],
    cmd: ["--help"],
    env: ["A=b"],
    workingDir: "/w",
    user: "u",
    labels: { l: "v" },
    exposedPorts: [],
    volumes: [],
  });
  assertClean(home);
});

test("resolveImage() gives the same bytes for the same manifest in every home", async () => {
  await using registry = await TestRegistry.start();
  using first = temporaryDirectory();
  using second = temporaryDirectory();
  addApp(registry);
  const images = [await resolve(registry, first), await resolve(registry, second)];
  assert.equal(digestOf(readFileSync(images[0]!.erofsPath)), digestOf(readFileSync(images[1]!.erofsPath)));
});

test("resolveImage() asks the registry as the pull policy says", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  await assert.rejects(resolve(registry, home, { pullPolicy: "never" }), hasCode("imageNotFound"));
  assert.equal(registry.requests.length, 0);
  const first = addApp(registry);
  await resolve(registry, home);
  const asked = registry.requests.length;
  assert.equal((await resolve(registry, home)).digest, first);
  assert.equal((await resolve(registry, home, { pullPolicy: "never" })).digest, first);
  assert.equal(registry.requests.length, asked);

  assert.equal((await resolve(registry, home, { pullPolicy: "always" })).digest, first);
  assert.equal(registry.requests.length, asked + 1, "one HEAD tells that nothing has changed");
  const second = registry.addImage({ layers: [buildTar(...BASE)] }, "v1");
  assert.equal((await resolve(registry, home)).digest, first, "a tag stays what it was when it was pulled");
  assert.equal((await resolve(registry, home, { pullPolicy: "always" })).digest, second);
  assert.equal((await resolve(registry, home, {}, `team/app@${first}`)).digest, first);
});

test("resolveImage() chooses the requested platform of an index, and keeps platforms apart", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const digests = ["amd64", "arm64"].map((architecture) => {
    const platform = { os: "linux", architecture };
    const layers = [buildTar({ name: architecture, data: "" })];
    return { digest: registry.addImage({ layers, platform }), platform };
  });
  registry.addIndex(digests, "v1");
  for (const { digest, platform } of digests) {
    const image = await resolve(registry, home, { platform: `linux/${platform.architecture}` });
    assert.equal(image.digest, digest);
  }
  await assert.rejects(resolve(registry, home, { platform: "linux/s390x" }), hasCode("imagePlatformMissing"));
});

test("resolveImage() refuses an image for another processor that is in no index", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  registry.addImage({ layers: [], platform: { os: "linux", architecture: "s390x" } }, "v1");
  await assert.rejects(resolve(registry, home), hasCode("imagePlatformMissing"));
  assert.ok(await resolve(registry, home, { platform: "linux/s390x" }));
});

test("resolveImage() refuses an image for another processor even after it was pulled for that one", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const foreign = { os: "linux", architecture: "arm", variant: "v6" };
  const digest = registry.addImage({ layers: [], platform: foreign }, "v1");
  registry.addImage({ layers: [], platform: foreign }, "v2");
  const wanted = { platform: "linux/arm/v6" };
  await resolve(registry, home, wanted);
  const archive = join(home.path, "app.tar");
  await Image.save(digest, { home: home.path, outputPath: archive });
  const ways = [
    (options: object) => resolve(registry, home, options),
    (options: object) => resolve(registry, home, { ...options, pullPolicy: "always" }),
    (options: object) => resolve(registry, home, options, "team/app:v2"),
    (options: object) => resolve(registry, home, options, `team/app@${digest}`),
    (options: object) => resolve(registry, home, { ...options, pullPolicy: "never" }, `team/app@${digest}`),
    (options: object) => resolveImage(archive, { home: home.path, ...options }),
  ];
  for (const obtain of ways) {
    assert.equal((await obtain(wanted)).digest, digest);
    await assert.rejects(obtain({}), { code: "imagePlatformMissing", available: ["linux/arm/v6"] });
  }
  const names = readdirSync(join(home.path, "cache", "references"));
  assert.equal(names.length, 2, "no name stands for the image on the refused platform");
});

test("resolveImage() accepts an image that states no processor for every platform", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const digest = registry.addImage({ layers: [], platform: { os: "", architecture: "" } }, "v1");
  for (const platform of ["linux/s390x", undefined])
    assert.equal((await resolve(registry, home, { platform })).digest, digest);
});

test("resolveImage() downloads a layer once, however many images and callers want it", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const shared = buildTar(...BASE);
  registry.addImage({ layers: [shared] }, "v1");
  registry.addImage({ layers: [shared, buildTar(...TOP)] }, "v2");
  const layer = digestOf(gzipSync(shared, { level: 1 }));
  const names = ["team/app:v1", "team/app:v1", "team/app:v2", "team/app:v2", "other/app:v1"];
  await Promise.all(names.map((name) => resolve(registry, home, {}, name)));
  assert.equal(registry.count(layer), 1);
  assertClean(home);
});

test("resolveImage() leaves nothing behind when a layer is not what was promised", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  addApp(registry);
  registry.faults.push({ path: "/blobs/", body: new Uint8Array(10), times: 100 });
  await assert.rejects(resolve(registry, home), MicrosandboxError.is);
  assertClean(home);
  assert.equal(existsSync(join(home.path, "cache", "images")), false);
  registry.faults.length = 0;
  await resolve(registry, home);
});

test("resolveImage() refuses a layer whose contents are not those of its diff id", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const layer = gzipSync(buildTar(...BASE));
  const config = new TextEncoder().encode(JSON.stringify({ rootfs: { diff_ids: [digestOf("other")] } }));
  const descriptor = (bytes: Uint8Array) => ({ digest: registry.addBlob(bytes), size: bytes.length });
  registry.addManifest({ schemaVersion: 2, config: descriptor(config), layers: [descriptor(layer)] }, "v1");
  await assert.rejects(resolve(registry, home), hasCode("imageDigestMismatch"));
  registry.addManifest({ schemaVersion: 2, config: descriptor(config), layers: [] }, "v1");
  await assert.rejects(resolve(registry, home), hasCode("imageManifestInvalid"));
  assertClean(home);
});

test("resolveImage() fetches a stored layer again that was damaged on the disk", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  addApp(registry);
  const image = await resolve(registry, home);
  rmSync(image.erofsPath);
  const blobs = join(home.path, "cache", "blobs");
  for (const name of readdirSync(blobs)) {
    const bytes = readFileSync(join(blobs, name));
    if (bytes[0] === 0x1f) writeFileSync(join(blobs, name), bytes.fill(0, 20));
  }
  await assert.rejects(resolve(registry, home), MicrosandboxError.is);
  await assert.rejects(resolve(registry, home), MicrosandboxError.is); // one damaged layer a try
  assert.ok(existsSync((await resolve(registry, home)).erofsPath));
});

test("resolveImage() ends immediately when the signal fires, and leaves nothing behind", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  addApp(registry);
  registry.faults.push({ path: "/blobs/", hang: true, times: 100 });
  const abort = new AbortController();
  const onProgress = ({ kind }: PullProgress) => kind === "resolving" && setTimeout(() => abort.abort(), 20);
  await assert.rejects(resolve(registry, home, { signal: abort.signal, onProgress }), hasCode("aborted"));
  await assert.rejects(resolve(registry, home, { signal: AbortSignal.abort() }), hasCode("aborted"));
  assertClean(home);
});

test("resolveImage() reports each step of a pull, with byte counts that end at the totals", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  addApp(registry);
  const events: PullProgress[] = [];
  await resolve(registry, home, { onProgress: (event) => events.push(event) });
  const kinds = new Set(events.map(({ kind }) => kind));
  assert.deepEqual([...kinds].sort(), [
    "complete",
    "layerDownloadComplete",
    "layerDownloadProgress",
    "layerMaterializeComplete",
    "layerMaterializeProgress",
    "layerMaterializeStarted",
    "resolved",
    "resolving",
    "stitchComplete",
    "stitchWritingFsmeta",
  ]);
  const read = events.filter((event) => event.kind === "layerMaterializeProgress").at(-1)!;
  assert.equal(read.bytesRead, read.totalBytes);
});

test("resolveImage() makes a disk of a directory once, until something in it changes", async () => {
  using home = temporaryDirectory();
  using source = temporaryDirectory();
  const file = join(source.path, "file");
  writeFileSync(file, "one");
  const options = { home: home.path };
  const first = await resolveImage(source.path, options);
  assert.deepEqual(Object.keys(showImage(first.erofsPath)), ["", "/file"]);
  assert.equal(first.manifestDigest, undefined);
  const before = statSync(file);
  writeFileSync(file, "two");
  utimesSync(file, before.atime, before.mtime); // size and time as before: only the status change tells
  const second = await resolveImage(source.path, options);
  assert.notEqual(second.digest, first.digest);
  assertClean(home);
});

test("resolveImage() relies on a directory's key only after the changes have settled", async () => {
  using home = temporaryDirectory();
  using source = temporaryDirectory();
  const sources = join(home.path, "cache", "sources");
  const beganMs = Date.now();
  writeFileSync(join(source.path, "file"), "one");
  await resolveImage(source.path, { home: home.path });
  // One of the runtimes knows of the status change no more than the second; and a machine may stand still meanwhile.
  const mayHaveSettled = Date.now() - beganMs > SETTLING_MS - 1000;
  assert.ok(mayHaveSettled || !existsSync(sources), "it was relied on at once");
  // There is no other way to an old status change time than to wait for it.
  await new Promise((done) => setTimeout(done, SETTLING_MS + 100));
  const { digest } = await resolveImage(source.path, { home: home.path });
  assert.equal(readdirSync(sources).length, 1);
  assert.equal((await resolveImage(source.path, { home: home.path })).digest, digest);
});

test("resolveImage() accepts tars, plain and compressed, and refuses other files", async () => {
  using home = temporaryDirectory();
  using source = temporaryDirectory();
  const tar = buildTar(...BASE);
  const forms = { "a.tar": tar, "b.tar.gz": gzipSync(tar), "c.tar.zst": zstdCompressSync(tar) };
  for (const [name, bytes] of Object.entries(forms)) {
    const path = join(source.path, name);
    writeFileSync(path, bytes);
    const image = await resolveImage(path, { home: home.path });
    assert.equal(image.digest, digestOf(bytes));
    assert.deepEqual(Object.keys(showImage(image.erofsPath)), ["", "/etc", "/etc/name"]);
  }
  const refused = { "dev/null": { type: "3", major: 1, minor: 3 }, "/etc/passwd": {} };
  for (const [name, member] of Object.entries(refused)) {
    const path = join(source.path, "refused.tar");
    writeFileSync(path, buildTar({ name, ...member }));
    await assert.rejects(resolveImage(path, { home: home.path }), { code: "tarInvalid", member: name });
  }
  const path = join(source.path, "text.tar");
  writeFileSync(path, "not a tar");
  await assert.rejects(resolveImage(path, { home: home.path }), MicrosandboxError.is);
  assertClean(home);
});

test("resolveImage() reports a missing path as an image that is not found, with a hint", async () => {
  using home = temporaryDirectory();
  using source = temporaryDirectory();
  writeFileSync(join(source.path, "file"), "");
  for (const name of ["absent", "absent/deeper", "file/below", "absent.tar"]) {
    const path = join(source.path, name);
    await assert.rejects(resolveImage(path, { home: home.path }), (error) => {
      assert.ok(error instanceof ImageNotFoundError);
      assert.equal(error.code, "imageNotFound");
      assert.equal(error.reference, path);
      assert.ok(error.hint?.includes(path));
      return true;
    });
  }
  assertClean(home);
});

test("resolveImage() refuses files that are not images, and invalid limits, with a typed error", async () => {
  using home = temporaryDirectory();
  using source = temporaryDirectory();
  writeFileSync(join(source.path, "empty"), "");
  symlinkSync("loop", join(source.path, "loop"));
  const local = join(source.path, "empty");
  await assert.rejects(resolveImage(local, { home: home.path }), hasCode("invalidConfig"));
  await assert.rejects(resolveImage("/dev/null", { home: home.path }), hasCode("invalidConfig"));
  await assert.rejects(resolveImage(join(source.path, "loop"), { home: home.path }), hasCode("io"));
  for (const bad of [0, -1, 1.5, Number.NaN, 65]) {
    const options = { home: home.path, parallelDownloads: bad };
    await assert.rejects(resolveImage("alpine", options), hasCode("invalidConfig"));
  }
  for (const bad of [
    { maxUnpackedBytes: 0 },
    { platform: "amd64" },
    { pullPolicy: "sometimes" as "never" },
  ]) {
    await assert.rejects(resolveImage("alpine", { home: home.path, ...bad }), hasCode("invalidConfig"));
  }
  await assert.rejects(resolveImage("./a\0b", { home: home.path }), hasCode("invalidConfig"));
  assertClean(home);
});

test("resolveImage() unpacks no more than `maxUnpackedBytes`, and leaves nothing of it behind", async () => {
  using home = temporaryDirectory();
  using source = temporaryDirectory();
  await using registry = await TestRegistry.start();
  const tar = buildTar(...BASE);
  registry.addImage({ layers: [tar] }, "v1");
  const local = join(source.path, "rootfs.tar");
  writeFileSync(local, tar);
  const ways = [
    (maxUnpackedBytes: number) => resolve(registry, home, { maxUnpackedBytes }, "app:v1"),
    (maxUnpackedBytes: number) => resolveImage(local, { home: home.path, maxUnpackedBytes }),
  ];
  for (const obtain of ways) {
    await assert.rejects(obtain(tar.length - 1), { code: "tarInvalid" });
    assertClean(home);
    await obtain(tar.length);
  }
});

test("resolveImage() downloads no more layers at a time than the option allows", async () => {
  using home = temporaryDirectory();
  await using registry = await TestRegistry.start();
  const layers = [1, 2, 3].map((index) => buildTar({ name: `file-${index}` }));
  registry.addImage({ layers }, "v1");
  const started: number[] = [];
  const ended: number[] = [];
  const onProgress = (event: PullProgress): void => {
    if (event.kind === "layerDownloadProgress" && !started.includes(event.layerIndex)) {
      assert.equal(started.length, ended.length, "no other layer is on its way");
      started.push(event.layerIndex);
    }
    if (event.kind === "layerDownloadComplete") ended.push(event.layerIndex);
  };
  await resolve(registry, home, { parallelDownloads: 1, onProgress }, "app:v1");
  assert.deepEqual(ended, [0, 1, 2]);
});

test("isLocalImage() treats a name as a path only if it cannot be meant as a reference", () => {
  for (const spec of ["./x", "../x", "/x", ".", ".."]) assert.ok(isLocalImage(spec), spec);
  for (const spec of ["alpine", "a/b", "absent.tar", "localhost:5000/x", "...", ".../x"]) {
    assert.ok(!isLocalImage(spec), spec);
  }
});

test("ImageStore does not find a half-written image", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const digest = addApp(registry);
  const { erofsPath } = await resolve(registry, home);
  const store = new ImageStore(home.path);
  writeFileSync(erofsPath, "short");
  assert.equal(store.find(digest), undefined);
  await resolve(registry, home);
  writeFileSync(store.paths.imageRecord(digest), "{ broken");
  assert.equal(store.find(digest), undefined);
  assert.ok(await resolve(registry, home));
});

test("FileLocks keeps exclusive holders apart and lets shared ones in together", async () => {
  using home = temporaryDirectory();
  const locks = new FileLocks(home.path);
  {
    using _first = await locks.acquire("store", "", "shared");
    using second = locks.tryAcquire("store", "", "shared");
    assert.ok(second);
    assert.equal(locks.tryAcquire("store", "", "exclusive"), undefined);
  }
  using exclusive = locks.tryAcquire("store", "", "exclusive");
  assert.ok(exclusive);
  assert.equal(locks.tryAcquire("store", "", "shared"), undefined);
  const abort = new AbortController();
  const waiting = locks.acquire("store", "", "shared", abort.signal);
  abort.abort();
  await assert.rejects(waiting, hasCode("aborted"));
});
