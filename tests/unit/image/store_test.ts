import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
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
import { MicrosandboxError } from "../../../src/base/errors.ts";
import type { PullProgress } from "../../../src/image/progress.ts";
import { FileLocks } from "../../../src/image/store/file_lock.ts";
import { Image, registerImageUsage } from "../../../src/image/store/image.ts";
import { ImageStore } from "../../../src/image/store/image_store.ts";
import {
  isLocalImage,
  type ResolvedImage,
  type ResolveImageOptions,
  resolveImage,
} from "../../../src/image/store/resolve_image.ts";
import { SETTLING_MS } from "../../../src/image/store/source_key.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { digestOf, TestRegistry } from "../../support/registry_server.ts";
import { buildTar, type TarBuilderMember } from "./tar_builder.ts";
import { showImage } from "./trees.ts";

const BASE: TarBuilderMember[] = [
  { name: "etc", type: "5" },
  { name: "etc/name", data: "base" },
];
const TOP: TarBuilderMember[] = [
  { name: "etc/.wh.name", data: "" },
  { name: "app", data: "top" },
];
const CONFIG = {
  Entrypoint: ["/app"],
  Cmd: ["--help"],
  Env: ["A=b"],
  WorkingDir: "/w",
  User: "u",
  Labels: { l: "v" },
};

function addApp(registry: TestRegistry, tag = "v1"): `sha256:${string}` {
  return registry.addImage({ layers: [buildTar(...BASE), buildTar(...TOP)], config: CONFIG }, tag);
}

function resolve(
  registry: TestRegistry,
  home: { path: string },
  options: Partial<ResolveImageOptions> = {},
  name = "team/app:v1",
): Promise<ResolvedImage> {
  return resolveImage(`${registry.host}/${name}`, {
    home: home.path,
    ...options,
    registry: {
      auth: { kind: "anonymous" },
      insecure: true,
      http: { backoffFirstMs: 1 },
      ...options.registry,
    },
  });
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => MicrosandboxError.is(error) && error.code === code;
}

/** Nothing but what a finished store has. */
function assertClean(home: { path: string }): void {
  const work = join(home.path, "cache", "work");
  assert.deepEqual(existsSync(work) ? readdirSync(work) : [], []);
  for (const name of ["images", "blobs", "references", "sources"]) {
    const directory = join(home.path, "cache", name);
    if (existsSync(directory)) assert.ok(readdirSync(directory).every((file) => !file.includes("tmp")));
  }
}

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

test("resolveImage() takes the wanted platform of an index, and keeps both apart", async () => {
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

test("resolveImage() ends at once when the signal fires, and leaves nothing behind", async () => {
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

test("resolveImage() tells each step of a pull, with byte counts that end at the totals", async () => {
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
  writeFileSync(join(source.path, "file"), "one");
  const sources = join(home.path, "cache", "sources");
  await resolveImage(source.path, { home: home.path });
  assert.equal(existsSync(sources), false);
  // There is no other way to an old status change time than to wait for it.
  await new Promise((done) => setTimeout(done, SETTLING_MS + 100));
  const { digest } = await resolveImage(source.path, { home: home.path });
  assert.equal(readdirSync(sources).length, 1);
  assert.equal((await resolveImage(source.path, { home: home.path })).digest, digest);
});

test("resolveImage() takes tars, plain and compressed, and refuses other files", async () => {
  using home = temporaryDirectory();
  using source = temporaryDirectory();
  const tar = buildTar(...BASE, { name: "dev", type: "3", major: 1, minor: 3 });
  const forms = { "a.tar": tar, "b.tar.gz": gzipSync(tar), "c.tar.zst": zstdCompressSync(tar) };
  for (const [name, bytes] of Object.entries(forms)) {
    const path = join(source.path, name);
    writeFileSync(path, bytes);
    const image = await resolveImage(path, { home: home.path });
    assert.equal(image.digest, digestOf(bytes));
    assert.deepEqual(Object.keys(showImage(image.erofsPath)), ["", "/dev", "/etc", "/etc/name"]);
  }
  const path = join(source.path, "text.tar");
  writeFileSync(path, "not a tar");
  await assert.rejects(resolveImage(path, { home: home.path }), MicrosandboxError.is);
  await assert.rejects(resolveImage(join(source.path, "absent"), { home: home.path }), hasCode("io"));
  assertClean(home);
});

test("isLocalImage() takes a name for a path only where nobody could mean a reference", () => {
  for (const spec of ["./x", "../x", "/x", ".", ".."]) assert.ok(isLocalImage(spec), spec);
  for (const spec of ["alpine", "a/b", "absent.tar", "localhost:5000/x", "...", ".../x"]) {
    assert.ok(!isLocalImage(spec), spec);
  }
});

test("Image.save() writes archives that Image.load() and resolveImage() read", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const digest = addApp(registry);
  const name = `${registry.host}/team/app:v1`;
  await resolve(registry, home);
  for (const format of ["docker", "oci"] as const) {
    using other = temporaryDirectory();
    const outputPath = join(other.path, "app.tar");
    await Image.save(name, { home: home.path, outputPath, format });
    const [loaded, ...more] = await Image.load(outputPath, { home: other.path });
    assert.deepEqual(more, []);
    assert.equal(loaded?.reference, name);
    assert.equal(loaded?.manifestDigest, digest);
    assert.equal((await resolve(registry, other, { pullPolicy: "never" })).digest, digest);
    const [tagged] = await Image.load(outputPath, { home: other.path, tag: "mine:1" });
    assert.equal(tagged?.reference, "docker.io/library/mine:1");
    using third = temporaryDirectory();
    assert.equal((await resolveImage(outputPath, { home: third.path })).manifestDigest, digest);
    assert.deepEqual(readdirSync(other.path).sort(), ["app.tar", "cache"]);
  }
});

test("Image.load() reads what older versions of docker save write", async () => {
  using home = temporaryDirectory();
  const layers = [buildTar(...BASE), buildTar(...TOP)];
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const diffIds = layers.map(digestOf);
  const config = JSON.stringify({ os: "linux", architecture, config: CONFIG, rootfs: { diff_ids: diffIds } });
  const configName = `${digestOf(config).slice(7)}.json`;
  const [one, two, three] = ["1".repeat(64), "2".repeat(64), "3".repeat(64)];
  const manifest = [
    { Config: configName, RepoTags: ["app:old"], Layers: [`${one}/layer.tar`, `${two}/layer.tar`] },
  ];
  const archive = buildTar(
    { name: `${one}/`, type: "5" },
    { name: `${one}/VERSION`, data: "1.0" },
    { name: `${one}/layer.tar`, data: layers[0]! },
    { name: `${two}/layer.tar`, type: "2", linkName: `../${three}/layer.tar` },
    { name: configName, data: config },
    { name: `${three}/layer.tar`, data: layers[1]! },
    { name: "manifest.json", data: JSON.stringify(manifest) },
    { name: "repositories", data: "{}" },
  );
  const path = join(home.path, "old.tar.gz");
  writeFileSync(path, gzipSync(archive));
  const [image] = await Image.load(path, { home: home.path });
  assert.equal(image?.reference, "docker.io/library/app:old");
  const { erofsPath } = await resolveImage("app:old", { home: home.path, pullPolicy: "never" });
  assert.deepEqual(Object.keys(showImage(erofsPath)), ["", "/app", "/etc"]);
  assertClean(home);
});

test("Image.load() never leaves the archive, whatever its names say", async () => {
  using home = temporaryDirectory();
  const secret = join(home.path, "secret");
  writeFileSync(secret, "{}");
  const manifest = JSON.stringify([{ Config: secret, RepoTags: [], Layers: [] }]);
  const archives = [
    buildTar({ name: "manifest.json", data: manifest }),
    buildTar({ name: "manifest.json", type: "2", linkName: secret }),
    buildTar({ name: "../manifest.json", data: manifest }),
    buildTar({ name: "blobs/", type: "5" }, { name: "manifest.json", type: "1", linkName: "../../secret" }),
  ];
  const path = join(home.path, "evil.tar");
  for (const archive of archives) {
    writeFileSync(path, archive);
    await assert.rejects(Image.load(path, { home: home.path }), MicrosandboxError.is);
  }
  assertClean(home);
});

test("resolveImage() follows no link out of an OCI layout", async () => {
  using home = temporaryDirectory();
  const layout = join(home.path, "layout");
  mkdirSync(layout);
  writeFileSync(join(layout, "oci-layout"), "{}");
  writeFileSync(join(home.path, "outside.json"), '{"schemaVersion":2,"manifests":[]}');
  symlinkSync("../outside.json", join(layout, "index.json"));
  await assert.rejects(resolveImage(layout, { home: home.path }), hasCode("imageManifestInvalid"));
});

test("Image.prune() and Image.remove() touch nothing that is used", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const inUse = new Set<string>();
  registerImageUsage(() => ({ digestsInUse: () => Promise.resolve(inUse) }));
  const used = addApp(registry, "v1");
  registry.addImage({ layers: [buildTar(...BASE, { name: "more", data: "x" })] }, "v2");
  const claim = (digest: string): void => void inUse.add(digest);
  const image = await resolve(registry, home, { claim });
  assert.ok(inUse.has(used));
  await resolve(registry, home, {}, "team/app:v2");
  const options = { home: home.path };
  const name = `${registry.host}/team/app`;
  assert.deepEqual(
    (await Image.list(options)).map(({ reference }) => reference),
    [`${name}:v1`, `${name}:v2`],
  );
  await assert.rejects(Image.remove(`${name}:v1`, options), hasCode("imageInUse"));
  const report = await Image.prune(options);
  assert.deepEqual(report.removed, [`${name}:v2`]);
  assert.ok(report.reclaimedBytes > 0);
  assert.ok(existsSync(image.erofsPath));
  await Image.save(`${name}:v1`, { ...options, outputPath: join(home.path, "kept.tar") });

  await Image.remove(`${name}:v1`, { ...options, force: true });
  assert.ok(existsSync(image.erofsPath), "the disk stays for as long as it is used");
  inUse.clear();
  await Image.prune(options);
  assert.equal(existsSync(image.erofsPath), false);
  for (const directory of ["images", "blobs", "references", "work"]) {
    assert.deepEqual(readdirSync(join(home.path, "cache", directory)), []);
  }
  await assert.rejects(Image.remove(`${name}:v1`, options), hasCode("imageNotFound"));
});

test("Image.get() and Image.inspect() describe an image by name and by digest", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const digest = addApp(registry);
  await Image.pull(`${registry.host}/team/app:v1`, { home: home.path, registry: { insecure: true } });
  for (const name of [`${registry.host}/team/app:v1`, digest]) {
    const handle = await Image.get(name, { home: home.path });
    assert.equal(handle.manifestDigest, digest);
    assert.equal(handle.layerCount, 2);
  }
  const { layers, config } = await Image.inspect(digest, { home: home.path });
  assert.deepEqual(config.entrypoint, ["/app"]);
  assert.equal(layers[0]?.diffId, digestOf(buildTar(...BASE)));
  await assert.rejects(Image.get("absent", { home: home.path }), hasCode("imageNotFound"));
});

test("ImageStore takes no half-written image for one", async () => {
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
