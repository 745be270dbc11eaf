/** Nodes and their paths, through renames, removals and forgetting. @module */
import assert from "node:assert/strict";
import { type MountNode, NodeTable } from "../../../src/mount/node_table.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

test("NodeTable gives a file one number, whatever its names", () => {
  const table = new NodeTable(100);
  const a = table.enter(table.root, "a", "1");
  assert.equal(table.enter(table.root, "a", "1"), a);
  assert.equal(table.enter(table.root, "b", "1"), a);
  assert.equal(a.lookups, 3);
  table.removed(table.root, "b");
  assert.equal(table.path(a), "/a");
  table.removed(table.root, "a");
  assert.throws(() => table.path(a), { code: "ENOENT" });
  const other = table.enter(table.root, "a", "1");
  assert.notEqual(other.id, a.id, "another file may have its inode by now");
  table.forget(a.id, 3n);
  assert.throws(() => table.get(a.id), { code: "ESTALE" });
  assert.equal(table.get(other.id), other);
});

test("NodeTable moves what is below a directory with it, and exchanges", () => {
  const table = new NodeTable(100);
  const a = table.enter(table.root, "a", "1");
  const file = table.enter(a, "f", "2");
  const b = table.enter(table.root, "b", "3");
  table.renamed(table.root, "a", b, "moved", false);
  assert.equal(table.path(file), "/b/moved/f");
  const c = table.enter(table.root, "c", "4");
  table.renamed(b, "moved", table.root, "c", true);
  assert.deepEqual([table.path(file), table.path(c)], ["/c/f", "/b/moved"]);
  assert.equal(table.find("/c/f"), file);
  assert.equal(table.find("/b/none"), undefined);
});

test("NodeTable holds what is above a node until that is forgotten, and no longer", () => {
  const table = new NodeTable(100);
  const a = table.enter(table.root, "a", "1");
  const b = table.enter(a, "b", "2");
  table.forget(a.id, 1n);
  assert.equal(table.path(b), "/a/b");
  table.forget(b.id, 1000n);
  assert.equal(table.size, 1);
  table.forget(table.root.id, 1000n);
  assert.equal(table.get(1n), table.root);
});

test("NodeTable refuses more nodes than it may hold, and paths that are too long", () => {
  const table = new NodeTable(3);
  const a = table.enter(table.root, "a".repeat(255), "1");
  table.enter(a, "b", "2");
  assert.throws(() => table.enter(a, "c", "3"), { code: "ENFILE" });
  assert.equal(table.child(a, "c"), undefined);
  const deep = new NodeTable(1000);
  let node: MountNode = deep.root;
  assert.throws(
    () => {
      for (let depth = 0; depth < 20; depth++) {
        deep.entryPath(node, "n".repeat(255));
        node = deep.enter(node, "n".repeat(255), String(depth));
      }
    },
    { code: "ENAMETOOLONG" },
  );
});

test("NodeTable agrees with a file system after any steps, and empties", () => {
  const random = seededRandom("NodeTable");
  const table = new NodeTable(10_000);
  /** Paths by identity, of directories that a plain map keeps. */
  const model = new Map<string, string>([["/", "root"]]);
  const held = new Map<string, MountNode>([["root", table.root]]);
  const nodeAt = (path: string) => held.get(model.get(path) ?? "");
  let next = 0;
  const split = (path: string): [string, string] => {
    const slash = path.lastIndexOf("/");
    return [path.slice(0, slash) || "/", path.slice(slash + 1)];
  };
  const join = (directory: string, name: string) => (directory === "/" ? `/${name}` : `${directory}/${name}`);
  for (let step = 0; step < 5000; step++) {
    const path = random.pick([...model.keys()]);
    const name = random.pick(["a", "b", "c"]);
    const target = join(path, name);
    const kind = random.integer(0, 3);
    if (kind <= 1 && path.length < 12) {
      const identity = model.get(target) ?? `n${next++}`;
      model.set(target, identity);
      held.set(identity, table.enter(nodeAt(path)!, name, identity));
    } else if (
      kind === 2 &&
      path !== "/" &&
      ![...model.keys()].some((other) => other.startsWith(`${path}/`))
    ) {
      const [directory, last] = split(path);
      const node = nodeAt(path)!;
      model.delete(path);
      table.removed(nodeAt(directory)!, last);
      table.forget(node.id, BigInt(node.lookups));
      assert.throws(() => table.get(node.id), { code: "ESTALE" });
    } else if (kind === 3 && path !== "/" && !`${target}/`.startsWith(`${path}/`)) {
      const from = random.pick([...model.keys()]);
      if (from === "/" || `${target}/`.startsWith(`${from}/`) || model.has(target)) continue;
      const [directory, last] = split(from);
      table.renamed(nodeAt(directory)!, last, nodeAt(path)!, name, false);
      for (const [old, identity] of [...model])
        if (old === from || old.startsWith(`${from}/`)) {
          model.delete(old);
          model.set(target + old.slice(from.length), identity);
        }
    }
    for (const [known, identity] of model) assert.equal(table.path(held.get(identity)!), known);
    assert.equal(table.size, model.size);
  }
  for (const identity of model.values()) {
    const node = held.get(identity)!;
    table.forget(node.id, BigInt(node.lookups));
  }
  assert.equal(table.size, 1);
});

test("NodeTable refuses more names than it may hold nodes, also of one file, and counts them right", () => {
  const table = new NodeTable(10);
  const random = seededRandom("names");
  const names = Array.from({ length: 9 }, (_, index) => `n${index}`);
  const held = new Set<string>();
  const file = table.enter(table.root, "always", "1"); // without a name it would be another one from then on
  for (let step = 0; step < 1000; step++) {
    const name = random.pick(names);
    const other = random.pick(names);
    const action = random.integer(0, 2);
    if (action === 0) {
      table.enter(table.root, name, "1");
      held.add(name);
    } else if (action === 1) {
      table.removed(table.root, name);
      held.delete(name);
    } else if (held.has(name) && !held.has(other)) {
      table.renamed(table.root, name, table.root, other, false);
      held.delete(name);
      held.add(other);
    }
  }
  for (const name of names) assert.equal(table.enter(table.root, name, "1"), file);
  assert.throws(() => table.enter(table.root, "eleventh", "1"), { code: "ENFILE" });
  assert.equal(table.enter(table.root, "n3", "1"), file);
  table.forget(file.id, 2000n);
  assert.equal(table.size, 1);
  table.enter(table.root, "tenth", "tenth");
  for (const name of names) table.enter(table.root, name, "1");
  assert.throws(() => table.enter(table.root, "eleventh", "1"), { code: "ENFILE" });
});

test("NodeTable finds a directory by the name that it was seen under last, also if others moved it back", () => {
  const table = new NodeTable(100);
  const a = table.enter(table.root, "a", "1");
  const b = table.enter(table.root, "b", "2");
  table.enter(b, "a", "1"); // somebody else has moved it
  assert.equal(table.path(a), "/b/a");
  table.enter(table.root, "a", "1"); // and back
  assert.equal(table.path(a), "/a");
});
