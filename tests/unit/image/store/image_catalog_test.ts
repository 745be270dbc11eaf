import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { MicrosandboxError } from "../../../../src/base/errors.ts";
import { Image, registerImageUsage } from "../../../../src/image/store/image.ts";
import { resolveImage } from "../../../../src/image/store/resolve_image.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { digestOf, TestRegistry } from "../../../support/oci/server.ts";
import { buildTar } from "../tar/builder.ts";
import { showImage } from "../trees.ts";
import { addApp, assertClean, BASE, CONFIG, hasCode, resolve, TOP } from "./fixture.ts";

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

test("resolveImage() also verifies a layout's manifest by SHA-512, and keeps it under that digest", async () => {
  using home = temporaryDirectory();
  const layout = join(home.path, "layout");
  const tar = buildTar(...BASE);
  const sha512 = (bytes: Uint8Array | string): string => createHash("sha512").update(bytes).digest("hex");
  const add = (algorithm: string, hex: string, bytes: Uint8Array | string): void => {
    mkdirSync(join(layout, "blobs", algorithm), { recursive: true });
    writeFileSync(join(layout, "blobs", algorithm, hex), bytes);
  };
  const rootfs = { type: "layers", diff_ids: [digestOf(tar)] };
  const config = JSON.stringify({ os: "", architecture: "", rootfs });
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { digest: `sha512:${sha512(config)}`, size: Buffer.byteLength(config) },
    layers: [{ digest: digestOf(tar), size: tar.length }],
  });
  add("sha256", digestOf(tar).slice(7), tar);
  add("sha512", sha512(config), config);
  add("sha512", sha512(manifest), `${manifest} `);
  const entry = { digest: `sha512:${sha512(manifest)}`, size: manifest.length };
  writeFileSync(join(layout, "oci-layout"), "{}");
  writeFileSync(join(layout, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  await assert.rejects(resolveImage(layout, { home: home.path }), hasCode("imageManifestInvalid"));

  add("sha512", sha512(manifest), manifest);
  const { digest } = await resolveImage(layout, { home: home.path });
  await Image.save(digest, { home: home.path, outputPath: join(home.path, "saved.tar") });
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

test("Image.inspect() gives layers the official SDK's field names", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  const options = { home: home.path };
  addApp(registry, "v1");
  await resolve(registry, home);
  const { config, layers, handle } = await Image.inspect(`${registry.host}/team/app:v1`, options);
  assert.equal(handle.layerCount, 2);
  assert.match(config.digest ?? "", /^sha256:/);
  assert.deepEqual(config.entrypoint, ["/app"]);
  assert.deepEqual(
    layers.map(({ diffId, erofsSizeBytes, position }) => ({ diffId, erofsSizeBytes, position })),
    [BASE, TOP].map((members, position) => ({
      diffId: digestOf(buildTar(...members)),
      erofsSizeBytes: null,
      position,
    })),
  );
  for (const { blobDigest, compressedSizeBytes } of layers) {
    assert.equal(
      statSync(join(home.path, "cache/blobs", blobDigest.replace(":", "-"))).size,
      compressedSizeBytes,
    );
  }
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
  assert.deepEqual((await Image.prune(options)).removed, [], "an image that has a name stays");
  const report = await Image.prune({ ...options, all: true });
  assert.deepEqual(report.removed, [`${name}:v2`]);
  assert.ok(report.bytesReclaimed > 0);
  const { imageRefsRemoved, manifestsRemoved, layersRemoved, fsmetaRemoved, vmdkRemoved } = report;
  assert.deepEqual(
    { imageRefsRemoved, manifestsRemoved, layersRemoved, fsmetaRemoved, vmdkRemoved },
    { imageRefsRemoved: 1, manifestsRemoved: 1, layersRemoved: 1, fsmetaRemoved: 1, vmdkRemoved: 0 },
  );
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

test("Image.prune() removes an unused image whose name has moved to another", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  registerImageUsage(() => ({ digestsInUse: () => Promise.resolve(new Set()) }));
  const before = addApp(registry, "v1");
  await resolve(registry, home);
  const after = registry.addImage({ layers: [buildTar(...BASE)] }, "v1");
  await resolve(registry, home, { pullPolicy: "always" });
  const options = { home: home.path };
  assert.deepEqual((await Image.prune(options)).removed, [before]);
  assert.deepEqual(
    (await Image.list(options)).map(({ digest }) => digest),
    [after],
  );
});

test("Image.prune() removes records that a killed process has half written", async () => {
  using home = temporaryDirectory();
  registerImageUsage(() => ({ digestsInUse: () => Promise.resolve(new Set()) }));
  for (const name of ["images", "references", "sources"]) {
    const directory = join(home.path, "cache", name);
    mkdirSync(directory, { recursive: true });
    writeFileSync(
      join(directory, `${digestOf("x").replace(":", "-")}.json.0123456789ab.tmp`),
      '{"version":1',
    );
  }
  await Image.prune({ home: home.path });
  assertClean(home);
});

test("Image.prune() ends when its signal has fired", async () => {
  await using registry = await TestRegistry.start();
  using home = temporaryDirectory();
  registerImageUsage(() => ({ digestsInUse: () => Promise.resolve(new Set()) }));
  addApp(registry);
  await resolve(registry, home);
  const signal = AbortSignal.abort("enough");
  await assert.rejects(Image.prune({ home: home.path, signal }), hasCode("aborted"));
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

test("Image.list() says which path an image without a name was made from", async () => {
  using home = temporaryDirectory();
  using source = temporaryDirectory();
  writeFileSync(join(source.path, "rootfs.tar"), buildTar(...BASE));
  mkdirSync(join(source.path, "rootfs"));
  for (const name of ["rootfs", "rootfs.tar"]) {
    const { digest } = await resolveImage(join(source.path, name), { home: home.path });
    const listed = (await Image.list({ home: home.path })).find((image) => image.digest === digest);
    assert.deepEqual([listed?.reference, listed?.localPath], [digest, realpathSync(join(source.path, name))]);
  }
});
