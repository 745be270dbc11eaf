import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MicrosandboxError } from "../../../src/base/errors.ts";
import { Image } from "../../../src/image/store/image.ts";
import { resolveImage } from "../../../src/image/store/resolve_image.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { showImage } from "../../unit/image/trees.ts";
import { type ShownFile, showHostTree } from "./host_tree.ts";
import { LAYERS, writeLayout } from "./sample_layout.ts";
import { makeSteppedLayout } from "./stepped_layout.ts";
import { makeCertificates, RegistryProcess, run, toolsProblem } from "./tools.ts";

const OPTIONS = { skip: toolsProblem, timeoutMs: 120_000 };
const ANONYMOUS = { auth: { kind: "anonymous" } } as const;
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
      // Byte for byte the disk that tests/vm/image_tree_test.ts shows to a guest.
      const fromLayout = await resolveImage(layout, { home: join(home.path, "other") });
      assert.ok(readFileSync(fromLayout.erofsPath).equals(readFileSync(image.erofsPath)));
    },
    OPTIONS,
  );
}

test(
  "resolveImage() makes the tree of an image that umoci has built in steps",
  async () => {
    using home = temporaryDirectory();
    await using registry = await RegistryProcess.start(join(home.path, "registry"));
    const layout = await makeSteppedLayout(home.path);
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
