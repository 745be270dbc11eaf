import assert from "node:assert/strict";
import { join } from "node:path";
import { MicrosandboxError } from "../../../../src/base/errors.ts";
import { ErofsWriter } from "../../../../src/image/erofs/writer.ts";
import { LayerMerger } from "../../../../src/image/oci/layer_merger.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { buildTar, type TarBuilderMember } from "../tar/builder.ts";
import { type Shown, showImage } from "../trees.ts";

function file(name: string, data = name): TarBuilderMember {
  return { name, data };
}

function directory(name: string, mode = 0o755): TarBuilderMember {
  return { name, type: "5", mode };
}

async function merge(...layers: TarBuilderMember[][]): Promise<Record<string, Shown>> {
  using home = temporaryDirectory();
  const path = join(home.path, "image");
  using writer = new ErofsWriter(path);
  const merger = new LayerMerger(writer);
  for (const layer of layers) await merger.apply(once(buildTar(...layer)), undefined);
  await writer.finish(merger.root);
  const shown = Object.entries(showImage(path)).map(
    ([name, node]) => [name.replace(/^\//, ""), node] as const,
  );
  return Object.fromEntries(shown);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function names(...layers: TarBuilderMember[][]): Promise<string[]> {
  return Object.keys(await merge(...layers))
    .filter((name) => name !== "")
    .sort();
}

test("LayerMerger removes what a whiteout names, with everything below it", async () => {
  const lower = [directory("a"), file("a/x"), directory("a/b"), file("a/b/y"), file("keep")];
  assert.deepEqual(await names(lower, [file("a/.wh.x")]), ["a", "a/b", "a/b/y", "keep"]);
  assert.deepEqual(await names(lower, [file(".wh.a")]), ["keep"]);
  assert.deepEqual(
    await names(lower, [file("a/.wh.absent"), file("none/.wh.x")]).then((all) => all.length),
    5,
  );
});

test("LayerMerger keeps what the whiteout's own layer has, wherever in the layer the whiteout is", async () => {
  const lower = [directory("a"), file("a/old"), directory("a/sub"), file("a/sub/old")];
  for (const layer of [
    [file("a/new"), file("a/sub/new"), file(".wh.a")],
    [file(".wh.a"), file("a/new"), file("a/sub/new")],
    [file("a/new"), file(".wh.a"), file("a/sub/new")],
  ]) {
    assert.deepEqual(await names(lower, layer), ["a", "a/new", "a/sub", "a/sub/new"]);
  }
});

test("LayerMerger removes from an opaque directory what lower layers have", async () => {
  const lower = [directory("a"), file("a/old"), directory("a/sub"), file("a/sub/old"), file("keep")];
  for (const layer of [
    [directory("a"), file("a/.wh..wh..opq"), file("a/new"), file("a/sub/new")],
    [file("a/new"), file("a/sub/new"), file("a/.wh..wh..opq")],
  ]) {
    assert.deepEqual(await names(lower, layer), ["a", "a/new", "a/sub", "a/sub/new", "keep"]);
  }
  assert.deepEqual(await names(lower, [file(".wh..wh..opq"), file("new")]), ["new"]);
});

test("LayerMerger keeps an opaque directory's own metadata", async () => {
  const merged = await merge([directory("a", 0o755)], [directory("a", 0o700), file("a/.wh..wh..opq")]);
  assert.equal(merged["a"]?.mode, 0o700);
});

test("LayerMerger follows a link to the directory that a whiteout is in", async () => {
  const lower = [directory("usr"), directory("usr/lib"), file("usr/lib/x"), file("usr/lib/y")];
  const link = { name: "lib", type: "2", linkName: "usr/lib" };
  assert.deepEqual(await names([...lower, link], [file("lib/.wh.x")]), [
    "lib",
    "usr",
    "usr/lib",
    "usr/lib/y",
  ]);
  assert.deepEqual(await names([...lower, link], [file("lib/.wh..wh..opq")]), ["lib", "usr", "usr/lib"]);
});

test("LayerMerger ignores whiteouts in the lowest layer and AUFS's own files in all", async () => {
  const members = [file("x"), file(".wh.x"), directory("d"), file("d/y"), file("d/.wh..wh..opq")];
  assert.deepEqual(await names(members), ["d", "d/y", "x"]);
  assert.deepEqual(await names([file("x")], [directory(".wh..wh.plnk"), file(".wh..wh.plnk/1")]), ["x"]);
});

test("LayerMerger links to a file of a lower layer", async () => {
  const merged = await merge([file("a")], [{ name: "b", type: "1", linkName: "a" }], [file(".wh.a")]);
  assert.deepEqual(Object.keys(merged).includes("a"), false);
  assert.ok(merged["b"]);
});

test("LayerMerger lets a later layer change a name's kind", async () => {
  const lower = [directory("a"), file("a/x"), file("b")];
  assert.deepEqual(await names(lower, [file("a"), directory("b"), file("b/y")]), ["a", "b", "b/y"]);
});

test("LayerMerger ignores a whiteout in a directory that its layer has replaced by a file", async () => {
  assert.deepEqual(await names([directory("d"), file("d/x")], [file("d"), file("d/.wh.x")]), ["d"]);
  assert.deepEqual(await names([directory("d"), file("d/x")], [file("d"), file("d/.wh..wh..opq")]), ["d"]);
});

test("LayerMerger refuses a whiteout without a name", async () => {
  for (const name of [".wh.", "a/.wh..", ".wh..."]) {
    await assert.rejects(
      merge([directory("a")], [file(name)]),
      (error) => MicrosandboxError.is(error) && error.code === "tarInvalid",
      name,
    );
  }
});

test("LayerMerger searches a directory once, however many whiteouts it has", async () => {
  const count = 40_000; // looking each time would take minutes, and this test would fail by its time limit
  const layer = Array.from({ length: count }, (_, index) => [
    file(`d/${index}`, ""),
    file("d/.wh..wh..opq", ""),
  ]);
  assert.equal((await names([directory("d"), file("d/old")], layer.flat())).length, count + 1);
});
