import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { TarInvalidError } from "../../../src/image/errors.ts";
import { type ApplyTarOptions, applyTar } from "../../../src/image/tar_source.ts";
import { type ContentStore, createDirectory, type DirectoryNode } from "../../../src/image/tree/tree.ts";
import { findNode, removePath } from "../../../src/image/tree/tree_path.ts";
import { test } from "../../support/harness.ts";
import { buildTar, type TarBuilderMember } from "./tar/builder.ts";
import { contentOf, readAll } from "./trees.ts";

/** Keeps contents in memory. */
const memoryStore: ContentStore = {
  addFile(sizeBytes) {
    const data = Buffer.alloc(sizeBytes);
    let at = 0;
    return {
      write(bytes) {
        data.set(bytes, at);
        at += bytes.length;
      },
      writeZeros(count) {
        at += count;
      },
      end: () => contentOf(data),
    };
  },
};

async function* streamOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks;
}

async function apply(
  members: readonly TarBuilderMember[],
  options: ApplyTarOptions & { onto?: DirectoryNode } = {},
): Promise<DirectoryNode> {
  const root = options.onto ?? createDirectory();
  await applyTar(streamOf(buildTar(...members)), root, memoryStore, options);
  return root;
}

async function textAt(root: DirectoryNode, path: string): Promise<string> {
  const node = findNode(root, path);
  assert.ok(node?.kind === "file", `${path} is a file`);
  return (await readAll(node.content)).toString();
}

test("applyTar() puts members into the tree, with implied parents of root's", async () => {
  const root = await apply([
    { name: "./", type: "5", mode: 0o700, uid: 7 },
    { name: "./usr//bin/./tool", data: "tool", mode: 0o4755 },
    { name: "link", type: "2", linkName: "usr/bin/tool" },
    { name: "pipe", type: "6" },
  ]);
  assert.deepEqual([root.mode, root.uid], [0o700, 7]);
  const usr = findNode(root, "usr")!;
  assert.deepEqual([usr.kind, usr.mode, usr.uid, usr.mtimeSeconds], ["directory", 0o755, 0, 0]);
  assert.equal(await textAt(root, "usr/bin/tool"), "tool");
  assert.equal(findNode(root, "pipe")?.kind, "fifo");
});

test("applyTar() gives a directory its member's metadata, and keeps what is in it", async () => {
  const root = await apply([
    { name: "d/f", data: "f" },
    { name: "d/", type: "5", mode: 0o700 },
  ]);
  assert.equal(findNode(root, "d")?.mode, 0o700);
  assert.equal(await textAt(root, "d/f"), "f");
});

test("applyTar() lets the last of several members of one name win", async () => {
  const root = await apply([
    { name: "x", data: "first" },
    { name: "x", data: "second" },
    { name: "d/f", data: "gone" },
    { name: "d", type: "2", linkName: "x" },
  ]);
  assert.equal(await textAt(root, "x"), "second");
  assert.equal(findNode(root, "d")?.kind, "symlink");
});

test("applyTar() makes hard links names of one node, which keep it when one is replaced", async () => {
  const root = await apply([
    { name: "a", data: "shared" },
    { name: "b", type: "1", linkName: "./a" },
    { name: "c", type: "1", linkName: "b" },
    { name: "a", data: "new" },
  ]);
  assert.equal(findNode(root, "b"), findNode(root, "c"));
  assert.equal(await textAt(root, "b"), "shared");
  assert.equal(await textAt(root, "a"), "new");
});

test("applyTar() links a symbolic link itself, not what it points at", async () => {
  const root = await apply([
    { name: "l", type: "2", linkName: "/nowhere" },
    { name: "m", type: "1", linkName: "l" },
  ]);
  assert.equal(findNode(root, "m")?.kind, "symlink");
});

test("applyTar() follows symbolic links of parents, and never out of the tree", async () => {
  const root = await apply([
    { name: "usr/lib/", type: "5" },
    { name: "lib", type: "2", linkName: "usr/lib" },
    { name: "lib/a", data: "a" },
    { name: "up", type: "2", linkName: "../../../../etc" },
    { name: "up/passwd", data: "inside" },
    { name: "abs", type: "2", linkName: "/usr" },
    { name: "abs/b", data: "b" },
  ]);
  assert.equal(await textAt(root, "usr/lib/a"), "a");
  assert.equal(await textAt(root, "etc/passwd"), "inside");
  assert.equal(await textAt(root, "usr/b"), "b");
});

test("applyTar() asks before each member, so that whiteouts of a layer can be acted on", async () => {
  const root = await apply([
    { name: "etc/keep", data: "1" },
    { name: "etc/gone", data: "2" },
  ]);
  const applied: string[] = [];
  await apply(
    [
      { name: "etc/.wh.gone", data: "is passed over" },
      { name: "etc/new", data: "3" },
    ],
    {
      onto: root,
      beforeMember: (_, path) => {
        const [, directory, name] = /^(.*\/)?\.wh\.(.*)$/.exec(path) ?? [];
        if (name === undefined) return "apply";
        removePath(root, `${directory ?? ""}${name}`);
        return "skip";
      },
      afterMember: (_, path) => void applied.push(path),
    },
  );
  const etc = findNode(root, "etc");
  assert.ok(etc?.kind === "directory");
  assert.deepEqual([...etc.entries.keys()], ["keep", "new"]);
  assert.deepEqual(applied, ["etc/new"]);
});

test("applyTar() accepts device nodes only on request", async () => {
  const members: TarBuilderMember[] = [{ name: "null", type: "3", major: 1, minor: 3 }];
  const root = await apply(members, { allowDevices: true });
  const node = findNode(root, "null");
  assert.ok(node?.kind === "characterDevice");
  assert.deepEqual([node.major, node.minor], [1, 3]);
  await assert.rejects(apply(members), { code: "tarInvalid", member: "null" });
});

test("applyTar() strips the slash of absolute names only on request", async () => {
  const root = await apply([{ name: "/etc/hosts", data: "h" }], { absoluteNames: "strip" });
  assert.equal(await textAt(root, "etc/hosts"), "h");
});

const LONG_PATH = Array.from({ length: 50 }, () => "d".repeat(99)).join("/");
const REFUSED: Record<string, { members: TarBuilderMember[]; member: string; problem: RegExp }> = {
  "an absolute name": { members: [{ name: "/etc/passwd" }], member: "/etc/passwd", problem: /absolute/ },
  "a name with ..": { members: [{ name: "a/../../b" }], member: "a/../../b", problem: /"\.\."/ },
  "a name with a NUL": {
    members: [{ name: "x", pax: [["path", "a\0b"]] }],
    member: "a\\x00b",
    problem: /NUL/,
  },
  "an empty name": { members: [{ name: "" }], member: "", problem: /empty/ },
  "a component of 256 bytes": {
    members: [{ name: "x", pax: [["path", "n".repeat(256)]] }],
    member: `${"n".repeat(100)}…${"n".repeat(100)}`,
    problem: /256 bytes/,
  },
  "a path of 5,000 bytes": {
    members: [{ name: "x", pax: [["path", LONG_PATH]] }],
    member: `${LONG_PATH.slice(0, 100)}…${LONG_PATH.slice(-100)}`,
    problem: /4999 bytes/,
  },
  "a hard link to nothing": {
    members: [{ name: "l", type: "1", linkName: "absent" }],
    member: "l",
    problem: /"absent", which is not there/,
  },
  "a hard link to itself": {
    members: [{ name: "l" }, { name: "l", type: "1", linkName: "l" }],
    member: "l",
    problem: /to itself/,
  },
  "hard links in a circle": {
    members: [
      { name: "a", type: "1", linkName: "b" },
      { name: "b", type: "1", linkName: "a" },
    ],
    member: "a",
    problem: /not there/,
  },
  "a hard link to a directory": {
    members: [
      { name: "d/", type: "5" },
      { name: "l", type: "1", linkName: "d" },
    ],
    member: "l",
    problem: /directory "d"/,
  },
  "a hard link that leaves the tree": {
    members: [{ name: "l", type: "1", linkName: "../x" }],
    member: "l",
    problem: /link target has "\.\."/,
  },
  "a parent that is a file": {
    members: [{ name: "f" }, { name: "f/x" }],
    member: "f/x",
    problem: /not a directory/,
  },
  "parents that are links in a circle": {
    members: [
      { name: "a", type: "2", linkName: "b" },
      { name: "b", type: "2", linkName: "a" },
      { name: "a/x" },
    ],
    member: "a/x",
    problem: /too many levels/,
  },
  "a symbolic link to nowhere at all": { members: [{ name: "l", type: "2" }], member: "l", problem: /empty/ },
  "a root that is a file": {
    members: [{ name: "./", type: "2", linkName: "x" }],
    member: "./",
    problem: /root/,
  },
};

for (const [what, { members, member, problem }] of Object.entries(REFUSED)) {
  test(`applyTar() refuses ${what}, and names the member`, async () => {
    await assert.rejects(apply(members), (error) => {
      assert.ok(error instanceof TarInvalidError, `${error}`);
      assert.equal(error.code, "tarInvalid");
      assert.equal(error.member, member);
      assert.match(error.problem, problem);
      return true;
    });
  });
}

test("applyTar() accepts the longest name and the longest path that Linux has", async () => {
  const name = "n".repeat(255);
  const path = `${`${name}/`.repeat(15)}${"e".repeat(255)}`;
  const root = await apply([{ name: "x", data: "deep", pax: [["path", path]] }]);
  assert.equal(path.length, 4095);
  assert.equal(await textAt(root, path), "deep");
});

test("applyTar() ends when its signal fires, even if the stream hangs", async () => {
  const abort = new AbortController();
  async function* hanging(): AsyncGenerator<Uint8Array, void, undefined> {
    yield buildTar({ name: "f" }).subarray(0, 100);
    abort.abort("enough");
    await new Promise(() => {});
  }
  const options = { signal: abort.signal };
  await assert.rejects(applyTar(hanging(), createDirectory(), memoryStore, options), { code: "aborted" });
});

test("applyTar() closes its source when a member is refused", async () => {
  let isClosed = false;
  async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      while (true) yield buildTar({ name: "/absolute" });
    } finally {
      isClosed = true;
    }
  }
  await assert.rejects(applyTar(source(), createDirectory(), memoryStore), { code: "tarInvalid" });
  assert.ok(isClosed);
});

test("applyTar() passes on the error of its source", async () => {
  // biome-ignore lint/correctness/useYield: it fails before it has anything to give
  async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
    throw new Error("the network is down");
  }
  await assert.rejects(applyTar(source(), createDirectory(), memoryStore), /the network is down/);
});
