/**
 * What the guest's kernel sees of an image, name by name, beside what umoci unpacks of it; and how the image is run.
 *
 * @module
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Image, Sandbox } from "../../mod.ts";
import { directory, file, LAYERS, writeLayout } from "../interop/image/sample_layout.ts";
import { makeSteppedLayout } from "../interop/image/stepped_layout.ts";
import { run, toolsProblem } from "../interop/image/tools.ts";
import { homeTest, MEMORY_MIB } from "../support/vm/vm.ts";
import { buildTar } from "../unit/image/tar/builder.ts";

const OPTIONS = { missing: toolsProblem };

/** The lister, built for host and guest alike. */
async function buildLister(scratch: string): Promise<string> {
  const source = fileURLToPath(new URL("./image_tree/list_tree.c", import.meta.url));
  const program = join(scratch, "list_tree");
  await run("musl-gcc", ["-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", program, source]);
  return program;
}

/** Compares what the guest's kernel sees of the image with what umoci unpacks; returns it. The lister is in the image. */
async function assertSameInGuest(layout: string, lister: string, scratch: string): Promise<string> {
  const bundle = join(scratch, "bundle");
  await run("umoci", ["unpack", "--image", `${layout}:app`, bundle]);
  const expected = (await run(lister, [join(bundle, "rootfs")])).trimEnd().split("\n");
  const sandbox = await Sandbox.create({ name: "tree", image: layout, memoryMiB: MEMORY_MIB });
  const listed = await sandbox.exec("/list_tree", ["/image-as-it-is", "/dev/vdb"]);
  assert.equal(listed.stderr(), "");
  assert.deepEqual(listed.stdout().trimEnd().split("\n"), expected);
  await sandbox.stop();
  await Sandbox.remove("tree");
  return listed.stdout();
}

homeTest(
  "a guest sees of an image what umoci unpacks, in every field of every name",
  async ({ scratch }) => {
    const lister = await buildLister(scratch);
    const own = buildTar(file("list_tree", readFileSync(lister).toString("latin1"), { mode: 0o755 }));
    const layout = writeLayout(join(scratch, "layout"), [...LAYERS, own]);
    const tree = await assertSameInGuest(layout, lister, scratch);
    // The list is of use only if it has what it is meant to compare.
    for (const word of [" device=1:3", " target=", " links=3", " security.capability=", ".123456789 "]) {
      assert.ok(tree.includes(word), word);
    }
  },
  OPTIONS,
);

homeTest(
  "a guest sees what umoci unpacks of an image that was built in steps",
  async ({ scratch }) => {
    const lister = await buildLister(scratch);
    const layout = await makeSteppedLayout(scratch, [`cp '${lister}' list_tree`]);
    const tree = await assertSameInGuest(layout, lister, scratch);
    for (const word of [" device=1:5", "/a/l ", "/n/o/zero "])
      assert.ok(tree.includes(word), `${word} in ${tree}`);
    for (const word of ["/a/b", "/a/z"]) assert.ok(!tree.includes(word), word);
  },
  OPTIONS,
);

homeTest(
  "an image's ENTRYPOINT, CMD, ENV, WORKDIR and USER are honoured, and it is kept while a sandbox uses it",
  async ({ scratch }) => {
    const busybox = readFileSync("/bin/busybox").toString("latin1");
    const layer = buildTar(
      directory("bin"),
      file("bin/busybox", busybox, { mode: 0o755 }),
      { name: "bin/sh", type: "2", linkName: "busybox" },
      directory("etc"),
      file("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n"),
      directory("srv", { uid: 33, gid: 34 }),
    );
    const layout = writeLayout(join(scratch, "layout"), [layer], {
      Entrypoint: ["/bin/sh", "-c"],
      Cmd: ["echo $GREETING $(pwd) $(busybox id -u):$(busybox id -g)"],
      Env: ["GREETING=hello", "PATH=/bin"],
      WorkingDir: "/srv",
      User: "web",
    });
    const sandbox = await Sandbox.create({ name: "configured", image: layout, memoryMiB: MEMORY_MIB });
    const output = await sandbox.execDefault();
    assert.deepEqual([output.code, output.stdout(), output.stderr()], [0, "hello /srv 33:34\n", ""]);
    await sandbox.stop();

    assert.equal((await Image.prune({ all: true })).removed.length, 0);
    const again = await Sandbox.start("configured"); // without a look at the layout
    assert.equal((await again.execDefault()).stdout(), "hello /srv 33:34\n");
    await again.stop();
    await Sandbox.remove("configured");
    assert.equal((await Image.prune({ all: true })).removed.length, 1);
  },
  OPTIONS,
);
