import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { MicrosandboxError } from "../../../src/base/errors.ts";
import { Image } from "../../../src/image/store/image.ts";
import { resolveImage } from "../../../src/image/store/resolve_image.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import {
  buildLongName,
  buildMember,
  buildTar,
  END_MARK,
  type TarBuilderMember,
} from "../../unit/image/tar_builder.ts";
import { showImage } from "../../unit/image/trees.ts";
import { type ShownFile, showHostTree } from "./host_tree.ts";
import { makeCertificates, RegistryProcess, run, toolsProblem } from "./tools.ts";

const OPTIONS = { skip: toolsProblem, timeoutMs: 120_000 };
const ANONYMOUS = { auth: { kind: "anonymous" } } as const;
const TIME = 1_600_000_000;
const CAPABILITY = Uint8Array.from([1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

function directory(name: string, more: Partial<TarBuilderMember> = {}): TarBuilderMember {
  return { name, type: "5", mode: 0o755, mtime: TIME, ...more };
}

function file(name: string, data: string, more: Partial<TarBuilderMember> = {}): TarBuilderMember {
  return { name, data, mtime: TIME + 1, ...more };
}

/** Names in tars are bytes, of which the builder wants one in each character. */
function utf8(name: string): string {
  return Buffer.from(name).toString("latin1");
}

const LONG = `long/${"n".repeat(200)}`;

/** Layers with everything that a layer may have. Directories come with a member, so that all have a time. */
const LAYERS: readonly Buffer[] = [
  buildTar(
    directory("./"),
    directory("bin"),
    directory("etc", { mode: 0o750, uid: 5, gid: 6 }),
    file("etc/passwd", "root:x:0:0::/:/bin/sh\n"),
    file("etc/shadow", "secret", { mode: 0o600, gid: 42 }),
    file("etc/duplicate", "first"),
    file("etc/duplicate", "the last one wins", { mode: 0o640 }),
    directory("opaque"),
    directory("opaque/sub"),
    file("opaque/old", "hidden"),
    file("opaque/sub/old", "hidden"),
    directory("gone"),
    file("gone/child", "hidden"),
    directory("tmp", { mode: 0o1777 }),
    file("bin/su", "#!", { mode: 0o4755 }),
    { name: "bin/sh", type: "2", linkName: "busybox", mtime: TIME },
    file("bin/busybox", "x".repeat(10_000), { mode: 0o755 }),
    { name: "bin/ls", type: "1", linkName: "bin/busybox", mode: 0o755, mtime: TIME + 1 },
  ),
  Buffer.concat([
    buildMember(directory("dev")),
    buildMember({ name: "dev/null", type: "3", major: 1, minor: 3, mode: 0o666, mtime: TIME }),
    buildMember({ name: "dev/sda", type: "4", major: 8, minor: 0, mode: 0o660, gid: 6, mtime: TIME }),
    buildMember({ name: "dev/pipe", type: "6", mode: 0o600, mtime: TIME }),
    buildMember(directory("long")),
    buildLongName("L", LONG),
    buildMember(file("cut", "long name")),
    buildMember(file("big-ids", "x", { uid: 2_000_000_000, gid: 3_000_000 })),
    buildMember(
      file("attributes", "x", {
        mode: 0o755,
        pax: [
          ["SCHILY.xattr.user.note", "hello"],
          ["SCHILY.xattr.security.capability", CAPABILITY],
          ["mtime", `${TIME}.123456789`],
        ],
      }),
    ),
    buildMember(directory("opaque")),
    buildMember(file("opaque/.wh..wh..opq", "")),
    buildMember(file("opaque/new", "visible")),
    buildMember(file(".wh.gone", "")),
    buildMember(directory("etc", { mode: 0o755, mtime: TIME + 7 })),
    buildMember(file("etc/.wh.shadow", "")),
    buildMember({ name: "bin/cat", type: "1", linkName: "bin/busybox", mode: 0o755, mtime: TIME + 1 }),
    END_MARK,
  ]),
  buildTar(
    directory("gone", { mode: 0o700 }),
    file("gone/again", "back"),
    directory(utf8("unicode-é"), { mode: 0o711 }),
    file(utf8("unicode-é/ü"), "x"),
    file("empty", ""),
  ),
];

/** Writes an OCI layout with one image, named `app`. */
function writeLayout(path: string, layers: readonly Uint8Array[], config: object = {}): string {
  const blobs = join(path, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: Uint8Array, mediaType: string): object => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(blobs, hex), bytes);
    return {
      mediaType: `application/vnd.oci.image.${mediaType}`,
      digest: `sha256:${hex}`,
      size: bytes.length,
    };
  };
  const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  const platform = { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };
  const diffIds = layers.map((layer) => `sha256:${createHash("sha256").update(layer).digest("hex")}`);
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: put(
      json({ ...platform, config, rootfs: { type: "layers", diff_ids: diffIds } }),
      "config.v1+json",
    ),
    layers: layers.map((layer) => put(gzipSync(layer), "layer.v1.tar+gzip")),
  });
  const entry = {
    ...put(manifest, "manifest.v1+json"),
    annotations: { "org.opencontainers.image.ref.name": "app" },
  };
  writeFileSync(join(path, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  writeFileSync(join(path, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  return path;
}

/** What `umoci unpack` makes of the image. */
async function unpackWithUmoci(
  layout: string,
  home: string,
  tag = "app",
): Promise<Record<string, ShownFile>> {
  const bundle = join(home, "bundle");
  await run("umoci", ["unpack", "--image", `${layout}:${tag}`, bundle]);
  return await showHostTree(join(bundle, "rootfs"));
}

/** Fails at the first names that differ, and shows both. */
async function assertSameTree(erofsPath: string, expected: Record<string, ShownFile>): Promise<void> {
  await run("fsck.erofs", [erofsPath]);
  const actual = Object.fromEntries(
    Object.entries(showImage(erofsPath)).map(([name, { inode: _, ...shown }]) => [
      Buffer.from(name, "latin1").toString(),
      shown,
    ]),
  );
  assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort());
  for (const [name, shown] of Object.entries(expected)) assert.deepEqual(actual[name], shown, name);
}

test(
  "resolveImage() makes the tree that umoci unpacks, for all that a layer may have",
  async () => {
    using home = temporaryDirectory();
    await using registry = await RegistryProcess.start(join(home.path, "registry"));
    const layout = writeLayout(join(home.path, "layout"), LAYERS, { Cmd: ["/bin/sh"] });
    const name = `${registry.host}/team/app:v1`;
    await run("skopeo", ["copy", "-q", "--dest-tls-verify=false", `oci:${layout}:app`, `docker://${name}`]);
    const image = await resolveImage(name, { home: home.path, registry: ANONYMOUS });
    assert.deepEqual(image.config.cmd, ["/bin/sh"]);
    const expected = await unpackWithUmoci(layout, home.path);
    await assertSameTree(image.erofsPath, expected);
    const fromLayout = await resolveImage(layout, { home: join(home.path, "other") });
    assert.ok(readFileSync(fromLayout.erofsPath).equals(readFileSync(image.erofsPath)));
  },
  OPTIONS,
);

for (const [what, args] of [
  ["zstd layers", ["--dest-compress", "--dest-compress-format", "zstd", "--format", "oci"]],
  ["Docker's schema 2", ["--format", "v2s2"]],
] as const) {
  test(
    `resolveImage() reads ${what} as skopeo pushes them`,
    async () => {
      using home = temporaryDirectory();
      await using registry = await RegistryProcess.start(join(home.path, "registry"));
      const layout = writeLayout(join(home.path, "layout"), LAYERS);
      const plain = join(home.path, "plain"); // skopeo compresses again only what is not compressed
      await run("skopeo", ["copy", "-q", "--dest-decompress", `oci:${layout}:app`, `dir:${plain}`]);
      const name = `${registry.host}/app:v1`;
      await run("skopeo", [
        "copy",
        "-q",
        "--dest-tls-verify=false",
        ...args,
        `dir:${plain}`,
        `docker://${name}`,
      ]);
      const raw = await run("skopeo", ["inspect", "--raw", "--tls-verify=false", `docker://${name}`]);
      assert.match(raw, what === "zstd layers" ? /tar\+zstd/ : /docker\.distribution\.manifest\.v2/);
      const image = await resolveImage(name, { home: home.path, registry: ANONYMOUS });
      await assertSameTree(image.erofsPath, await unpackWithUmoci(layout, home.path));
    },
    OPTIONS,
  );
}

test(
  "resolveImage() makes the tree of an image that umoci has built in steps",
  async () => {
    using home = temporaryDirectory();
    await using registry = await RegistryProcess.start(join(home.path, "registry"));
    const layout = join(home.path, "layout");
    const bundle = join(home.path, "step");
    const rootfs = join(bundle, "rootfs");
    await run("umoci", ["init", "--layout", layout]);
    await run("umoci", ["new", "--image", `${layout}:app`]);
    const steps = [
      "mkdir -p a/b d && echo one > a/b/x && echo two > a/y && ln a/y a/z && ln -s y a/l && echo k > d/keep",
      "rm -r a/b && echo more >> a/y && mkdir -p n/o && mknod n/o/zero c 1 5 && setfattr -n user.k -v v d/keep",
      "rm a/z && rm -r d && echo file > d && chmod 4711 a/y && chown 12:34 a && touch -d @86400 n",
    ];
    for (const step of steps) {
      await run("umoci", ["unpack", "--image", `${layout}:app`, bundle]);
      await run("sh", ["-ec", step], rootfs);
      await run("umoci", ["repack", "--image", `${layout}:app`, bundle]);
      await run("rm", ["-rf", bundle]);
    }
    const name = `${registry.host}/steps:v1`;
    await run("skopeo", ["copy", "-q", "--dest-tls-verify=false", `oci:${layout}:app`, `docker://${name}`]);
    const image = await resolveImage(name, { home: home.path, registry: ANONYMOUS });
    await assertSameTree(image.erofsPath, await unpackWithUmoci(layout, home.path));
  },
  OPTIONS,
);

test(
  "resolveImage() logs in with a password, and over TLS with a private authority",
  async () => {
    using home = temporaryDirectory();
    const tls = await makeCertificates(join(home.path, "tls"));
    const login = { username: "user", password: "pa:ss" };
    await using registry = await RegistryProcess.start(join(home.path, "registry"), { login, tls });
    const layout = writeLayout(join(home.path, "layout"), LAYERS);
    const name = `${registry.host}/private/app:v1`;
    const target = ["--dest-creds", "user:pa:ss", "--dest-tls-verify=false"];
    await run("skopeo", ["copy", "-q", ...target, `oci:${layout}:app`, `docker://${name}`]);

    const caCerts = [readFileSync(tls.authority, "utf8")];
    const auth = { kind: "basic", ...login } as const;
    const options = { home: home.path };
    const hasCode = (code: string) => (error: unknown) => MicrosandboxError.is(error) && error.code === code;
    const http = { backoffFirstMs: 1 };
    await assert.rejects(
      resolveImage(name, { ...options, registry: { ...ANONYMOUS, caCerts, http } }),
      hasCode("imageAuth"),
    );
    await assert.rejects(
      resolveImage(name, { ...options, registry: { caCerts, http, auth: { ...auth, password: "wrong" } } }),
      hasCode("imageAuth"),
    );
    await assert.rejects(
      resolveImage(name, { ...options, registry: { auth, http } }),
      (error) => MicrosandboxError.is(error) && /caCerts/.test(String(error.hint)),
    );
    assert.ok(await resolveImage(name, { ...options, registry: { auth, caCerts, http } }));
  },
  OPTIONS,
);

test(
  "Image.save() writes archives that skopeo reads, and Image.load() reads those of skopeo",
  async () => {
    using home = temporaryDirectory();
    const layout = writeLayout(join(home.path, "layout"), LAYERS);
    const expected = await unpackWithUmoci(layout, home.path);
    const platform = { home: home.path };
    for (const kind of ["docker-archive", "oci-archive"] as const) {
      const archive = join(home.path, `${kind}.tar`);
      await run("skopeo", ["copy", "-q", `oci:${layout}:app`, `${kind}:${archive}:example.test/team/app:v1`]);
      const [loaded] = await Image.load(archive, platform);
      assert.equal(loaded?.reference, "example.test/team/app:v1");
      const { erofsPath } = await resolveImage(archive, platform);
      await assertSameTree(erofsPath, expected);

      const saved = join(home.path, `saved-${kind}.tar`);
      const format = kind === "docker-archive" ? "docker" : "oci";
      await Image.save("example.test/team/app:v1", { ...platform, outputPath: saved, format });
      const again = join(home.path, `again-${kind}`);
      const suffix = kind === "docker-archive" ? "" : ":example.test/team/app:v1";
      await run("skopeo", ["copy", "-q", `${kind}:${saved}${suffix}`, `oci:${again}:app`]);
      const copy = await resolveImage(again, { home: join(home.path, "copy") });
      await assertSameTree(copy.erofsPath, expected);
    }
  },
  OPTIONS,
);
