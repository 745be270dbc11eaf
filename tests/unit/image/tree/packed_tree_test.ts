import assert from "node:assert/strict";
import { join } from "node:path";
import { ErofsWriter } from "../../../../src/image/erofs/writer.ts";
import { isSameNode } from "../../../../src/image/tree/packed_files.ts";
import { PackedTree } from "../../../../src/image/tree/packed_tree.ts";
import type { FileNode, TreeNode } from "../../../../src/image/tree/tree.ts";
import { Column, NamePages } from "../../../../src/image/tree/typed_columns.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";
import { METADATA } from "../trees.ts";

test("PackedTree keeps directories as Map does, whatever is put in, replaced and deleted", () => {
  const random = seededRandom("PackedTree");
  const tree = new PackedTree();
  using place = temporaryDirectory();
  using writer = new ErofsWriter(join(place.path, "image"));
  const directories = [tree.root];
  const expected = [new Map<string, TreeNode | FileNode["mtimeSeconds"]>()];
  for (let step = 0; step < 20_000; step++) {
    const at = random.integer(0, directories.length - 1);
    const [{ entries }, model] = [directories[at]!, expected[at]!];
    const name = `name-${random.integer(0, 300)}`;
    const choice = random.integer(0, 9);
    if (choice < 3) {
      assert.equal(entries.delete(name), model.delete(name));
    } else if (choice === 3 && directories.length < 50) {
      const directory = tree.createDirectory();
      directories.push(directory);
      expected.push(new Map());
      entries.set(name, directory);
      model.set(name, directory);
    } else {
      const content = writer.addFile(0).end();
      entries.set(name, { kind: "file", ...METADATA, mtimeSeconds: step, content });
      model.set(name, step);
    }
  }
  for (const [at, { entries }] of directories.entries()) {
    const model = [...expected[at]!].sort();
    const shown = [...entries].map(([name, node]) => [name, node.kind === "file" ? node.mtimeSeconds : node]);
    assert.deepEqual(shown.sort(), model);
    assert.equal(entries.size, model.length);
    assert.deepEqual(
      [...entries.keys()].sort(),
      model.map(([name]) => name),
    );
    assert.equal([...entries.values()].length, model.length);
    for (const [name] of model) assert.notEqual(entries.get(name), undefined);
    assert.equal(entries.get("absent"), undefined);
  }
});

test("PackedTree returns a file as it was put in, under all its names", () => {
  using place = temporaryDirectory();
  using writer = new ErofsWriter(join(place.path, "image"));
  const { root } = new PackedTree();
  const sink = writer.addFile(3);
  sink.write(Buffer.from("abc"));
  const node: FileNode = {
    kind: "file",
    mode: 0o7777,
    uid: 0xffff_ffff,
    gid: 0xffff_fffe,
    mtimeSeconds: -(2 ** 40),
    mtimeNanoseconds: 999_999_999,
    xattrs: new Map([["user.a", Buffer.from("b")]]),
    content: sink.end(),
  };
  root.entries.set("first", node);
  root.entries.set("second", root.entries.get("first")!);
  root.entries.set("other", { ...node, content: writer.addFile(0).end() });
  const [first, second, other] = ["first", "second", "other"].map((name) => root.entries.get(name)!);
  assert.ok(first?.kind === "file" && second !== undefined && other !== undefined);
  const { mode, uid, gid, mtimeSeconds, mtimeNanoseconds, xattrs, content } = first;
  assert.deepEqual(
    { kind: first.kind, mode, uid, gid, mtimeSeconds, mtimeNanoseconds, xattrs, content },
    node,
  );
  assert.ok(isSameNode(first, second));
  assert.ok(!isSameNode(first, other));
});

test("PackedTree allows deletion of entries during iteration", () => {
  const { root, createDirectory } = new PackedTree();
  for (const name of ["a", "b", "c"]) root.entries.set(name, createDirectory());
  for (const [name] of root.entries) root.entries.delete(name);
  assert.deepEqual([...root.entries.keys()], []);
});

test("PackedTree.stampOf() returns the stamp of the last change or mark of an entry", () => {
  const tree = new PackedTree();
  const { root } = tree;
  tree.stamp = 1;
  for (const name of ["kept", "replaced", "marked"]) root.entries.set(name, tree.createDirectory());
  tree.stamp = 2;
  root.entries.set("replaced", tree.createDirectory());
  tree.mark(root, "marked");
  const stamps = ["kept", "replaced", "marked", "absent"].map((name) => tree.stampOf(root, name));
  assert.deepEqual(stamps, [1, 2, 2, undefined]);
});

test("Column keeps numbers past its first size, and refuses one that does not fit", () => {
  const column = new Column(Uint16Array);
  for (let value = 0; value < 5000; value++) assert.equal(column.push(value), value);
  assert.deepEqual([column.at(0), column.at(1023), column.at(1024), column.at(4999)], [0, 1023, 1024, 4999]);
  assert.throws(() => column.push(65_536), { code: "internal" });
  assert.throws(() => column.set(0, -1), { code: "internal" });
});

test("NamePages keeps names of all bytes, and none across the end of a page", () => {
  const random = seededRandom("NamePages");
  const pages = new NamePages();
  const kept = Array.from({ length: 9000 }, () => {
    const name = Buffer.from(random.bytes(random.integer(0, 255))).toString("latin1");
    return { name, position: pages.add(name) };
  });
  for (const { name, position } of kept) {
    assert.equal(pages.get(position, name.length), name);
    assert.ok(pages.equals(position, name));
    if (name !== "") assert.ok(!pages.equals(position, `${name.slice(0, -1)}\u0100`));
  }
});
