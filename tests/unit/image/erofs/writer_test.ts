import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TAIL_BYTES_BUDGET } from "../../../../src/image/erofs/tail_arena.ts";
import { ErofsWriter, writeErofs } from "../../../../src/image/erofs/writer.ts";
import { TreeInvalidError } from "../../../../src/image/errors.ts";
import { displayName } from "../../../../src/image/tree/byte_string.ts";
import { createDirectory, type DirectoryNode, type TreeNode } from "../../../../src/image/tree/tree.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";
import { directoryOf, fileOf, METADATA, randomTree, showImage, showTree, sparseContentOf } from "../trees.ts";
import { ErofsReader } from "./reader.ts";

const hasFsck = spawnSync("fsck.erofs", ["--help"]).error === undefined;
const withoutFsck = hasFsck ? undefined : "erofs-utils is not installed";

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

async function assertStored(root: DirectoryNode, path: string): Promise<void> {
  await writeErofs(root, path);
  assert.deepEqual(showImage(path), await showTree(root));
  if (hasFsck) execFileSync("fsck.erofs", [path], { stdio: "pipe" });
}

for (const nodeCount of [3, 60, 400]) {
  test(`writeErofs() stores a random tree of ${nodeCount} nodes as it is`, async () => {
    using directory = temporaryDirectory();
    const random = seededRandom(`random tree of ${nodeCount}`);
    await assertStored(randomTree(random, nodeCount), join(directory.path, "image"));
  });
}

test("writeErofs() stores an empty tree", async () => {
  using directory = temporaryDirectory();
  await assertStored(createDirectory(), join(directory.path, "image"));
});

test("writeErofs() stores every kind, mode bit, owner, time and link", async () => {
  using directory = temporaryDirectory();
  const linked = fileOf("one file, two names", { mode: 0o6755, uid: 0xffff_ffff, gid: 65_536 });
  const root = directoryOf({
    linked,
    sub: directoryOf({ "also linked": linked, deep: directoryOf({}) }, { mode: 0o1777 }),
    before: fileOf("", { mtimeSeconds: -(2 ** 40), mtimeNanoseconds: 999_999_999 }),
    long: { kind: "symlink", ...METADATA, target: "t".repeat(4095) },
    short: { kind: "symlink", ...METADATA, target: "\xff\x01" },
    pipe: { kind: "fifo", ...METADATA },
    socket: { kind: "socket", ...METADATA },
    disk: { kind: "blockDevice", ...METADATA, major: 0xfff, minor: 0xfffff },
    null: { kind: "characterDevice", ...METADATA, major: 1, minor: 3 },
    ["n".repeat(255)]: fileOf("the longest name"),
    "\xff\xfe not UTF-8": fileOf("bytes"),
  });
  await assertStored(root, join(directory.path, "image"));
});

test("writeErofs() gives the same bytes for the same tree", async () => {
  using directory = temporaryDirectory();
  const random = seededRandom("determinism");
  const root = randomTree(random, 200);
  await writeErofs(root, join(directory.path, "a"));
  await writeErofs(root, join(directory.path, "b"));
  assert.equal(digest(join(directory.path, "a")), digest(join(directory.path, "b")));
});

test("writeErofs() gives the same bytes whatever the order in which entries were added", async () => {
  using directory = temporaryDirectory();
  const first = directoryOf({ a: fileOf("a"), b: fileOf("b") });
  const second = directoryOf({ b: fileOf("b"), a: fileOf("a") });
  await writeErofs(first, join(directory.path, "a"));
  await writeErofs(second, join(directory.path, "b"));
  assert.equal(digest(join(directory.path, "a")), digest(join(directory.path, "b")));
});

test("writeErofs() stores a directory of 100,000 entries", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "image");
  const many = createDirectory();
  for (let index = 0; index < 100_000; index++) many.entries.set(`entry-${index}`, fileOf(""));
  const info = await writeErofs(directoryOf({ many }), path);
  assert.equal(info.inodeCount, 100_002);
  using reader = new ErofsReader(path);
  const slot = reader.entries(reader.root).find(({ name }) => name === "many")!.slot;
  const names = reader.entries(reader.inode(slot)).map(({ name }) => name);
  assert.deepEqual(names, [".", "..", ...many.entries.keys()].sort());
  if (hasFsck) execFileSync("fsck.erofs", [path], { stdio: "pipe" });
});

test("writeErofs() stores the holes of a file over 4 GiB as holes", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "image");
  const sizeBytes = 5 * 2 ** 30 + 77;
  const parts = { 0: "start", [3 * 2 ** 30 - 2]: "over an edge", [sizeBytes - 3]: "end" };
  const file: TreeNode = { kind: "file", ...METADATA, content: sparseContentOf(sizeBytes, parts) };
  const info = await writeErofs(directoryOf({ file }), path);
  assert.ok(info.sizeBytes < 4 * 2 ** 20, `the image has ${info.sizeBytes} bytes`);
  using reader = new ErofsReader(path);
  const inode = reader.inode(reader.entries(reader.root).find(({ name }) => name === "file")!.slot);
  assert.equal(inode.sizeBytes, sizeBytes);
  for (const [offset, text] of Object.entries(parts)) {
    assert.equal(reader.content(inode, Number(offset), text.length).toString(), text);
  }
  assert.deepEqual(reader.content(inode, 2 ** 30, 100_000), Buffer.alloc(100_000));
  if (hasFsck) execFileSync("fsck.erofs", [path], { stdio: "pipe" });
});

test("writeErofs() stores attributes that inodes have in common once", async () => {
  using directory = temporaryDirectory();
  const value = Buffer.alloc(60_000, "x");
  const entries: Record<string, TreeNode> = {};
  for (let index = 0; index < 100; index++) {
    entries[`f${index}`] = fileOf("", {
      xattrs: new Map([
        ["user.big", value],
        ["user.own", Buffer.from(`${index}`)],
      ]),
    });
  }
  const root = directoryOf(entries);
  await assertStored(root, join(directory.path, "image"));
  assert.ok(statSync(join(directory.path, "image")).size < 200_000);
});

test("writeErofs() stores attributes up to the format's limit, and refuses one byte more", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "image");
  const withValue = (size: number): DirectoryNode =>
    directoryOf({
      f: fileOf("x", { xattrs: new Map([[`user.${"n".repeat(255)}`, Buffer.alloc(size, 1)]]) }),
    });
  await assertStored(withValue(65_535), path);
  await assert.rejects(writeErofs(withValue(65_536), path), { code: "treeInvalid", path: "/f" });
});

test("writeErofs() refuses attributes that take more than an inode can have", async () => {
  using directory = temporaryDirectory();
  const xattrs = new Map([1, 2, 3, 4, 5].map((number) => [`user.${number}`, Buffer.alloc(60_000, number)]));
  const root = directoryOf({ f: fileOf("x", { xattrs }) });
  await assert.rejects(writeErofs(root, join(directory.path, "image")), { code: "treeInvalid", path: "/f" });
});

test("writeErofs() stores 300 attributes that two inodes share, of which an inode can refer to 255", async () => {
  using directory = temporaryDirectory();
  const xattrs = new Map(
    Array.from({ length: 300 }, (_, index) => [`user.${index}`, Buffer.from([index & 0xff])]),
  );
  const root = directoryOf({ a: fileOf("a", { xattrs }), b: fileOf("b", { xattrs }) });
  await assertStored(root, join(directory.path, "image"));
});

test("writeErofs() stores ends of files in blocks of their own when their budget is spent", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "image");
  const tailBytes = 2048;
  const count = TAIL_BYTES_BUDGET / tailBytes + 2;
  const root = createDirectory();
  for (let index = 0; index < count; index++)
    root.entries.set(`${index}`, fileOf(Buffer.alloc(tailBytes, index & 0xff)));
  await writeErofs(root, path);
  using reader = new ErofsReader(path);
  const layouts = new Map<number, number>();
  for (const { name, slot } of reader.entries(reader.root)) {
    if (name === "." || name === "..") continue;
    const inode = reader.inode(slot);
    layouts.set(inode.layout, (layouts.get(inode.layout) ?? 0) + 1);
    assert.equal(reader.content(inode, tailBytes - 1)[0], Number(name) & 0xff);
  }
  assert.deepEqual([...layouts].sort(), [
    [0, 2],
    [2, count - 2],
  ]);
});

const REFUSED: readonly (readonly [what: string, path: string, root: () => DirectoryNode])[] = [
  ["a name with a slash", "/a/b", () => directoryOf({ "a/b": fileOf("") })],
  ["an empty name", "/", () => directoryOf({ "": fileOf("") })],
  ["a name of 256 bytes", `/${"n".repeat(256)}`, () => directoryOf({ ["n".repeat(256)]: fileOf("") })],
  ["an entry called ..", "/..", () => directoryOf({ "..": fileOf("") })],
  ["a uid of 33 bits", "/f", () => directoryOf({ f: fileOf("", { uid: 2 ** 32 }) })],
  ["a negative gid", "/f", () => directoryOf({ f: fileOf("", { gid: -1 }) })],
  ["a time with too many nanoseconds", "/f", () => directoryOf({ f: fileOf("", { mtimeNanoseconds: 1e9 }) })],
  ["an empty link", "/l", () => directoryOf({ l: { kind: "symlink", ...METADATA, target: "" } })],
  [
    "a link of 4,096 bytes",
    "/l",
    () => directoryOf({ l: { kind: "symlink", ...METADATA, target: "t".repeat(4096) } }),
  ],
  [
    "a major number of 13 bits",
    "/d",
    () => directoryOf({ d: { kind: "blockDevice", ...METADATA, major: 4096, minor: 0 } }),
  ],
  [
    "an attribute of no namespace",
    "/f",
    () => directoryOf({ f: fileOf("", { xattrs: new Map([["odd", Buffer.alloc(1)]]) }) }),
  ],
  [
    "a directory that is in itself",
    "/d/self",
    () => {
      const d = createDirectory();
      d.entries.set("self", d);
      return directoryOf({ d });
    },
  ],
];

for (const [what, path, makeRoot] of REFUSED) {
  test(`writeErofs() refuses ${what}, and leaves nothing behind`, async () => {
    using directory = temporaryDirectory();
    await assert.rejects(writeErofs(makeRoot(), join(directory.path, "image")), (error) => {
      assert.ok(error instanceof TreeInvalidError);
      assert.equal(error.path, displayName(path));
      return true;
    });
    assert.deepEqual(readdirSync(directory.path), []);
  });
}

test("writeErofs() keeps the old image when it fails, and leaves nothing else", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "image");
  writeFileSync(path, "the old image");
  const failing = fileOf("");
  failing.content = {
    sizeBytes: 10,
    // biome-ignore lint/correctness/useYield: it fails before it has anything to give
    async *read() {
      throw new Error("cannot be read");
    },
  };
  await assert.rejects(writeErofs(directoryOf({ failing }), path), /cannot be read/);
  assert.deepEqual(readdirSync(directory.path), ["image"]);
  assert.equal(readFileSync(path, "utf8"), "the old image");
});

test("writeErofs() ends when its signal fires while a file is read, and leaves nothing behind", async () => {
  using directory = temporaryDirectory();
  const abort = new AbortController();
  const endless = fileOf("");
  endless.content = {
    sizeBytes: 2 ** 40,
    async *read() {
      const bytes = Buffer.alloc(65_536, 1);
      for (let offsetBytes = 0; offsetBytes < 2 ** 40; offsetBytes += bytes.length) {
        if (offsetBytes === 10 * bytes.length) abort.abort("enough");
        yield { offsetBytes, bytes };
      }
    },
  };
  const writing = writeErofs(directoryOf({ endless }), join(directory.path, "image"), {
    signal: abort.signal,
  });
  await assert.rejects(writing, { code: "aborted" });
  assert.deepEqual(readdirSync(directory.path), []);
});

test("writeErofs() refuses a content that delivers more than its size", async () => {
  using directory = temporaryDirectory();
  const lying = fileOf("");
  lying.content = {
    sizeBytes: 3,
    async *read() {
      yield { offsetBytes: 0, bytes: Buffer.from("four") };
    },
  };
  await assert.rejects(writeErofs(directoryOf({ lying }), join(directory.path, "image")), {
    code: "treeInvalid",
  });
});

test("writeErofs() names a missing directory", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "absent", "image");
  await assert.rejects(writeErofs(createDirectory(), path), { code: "io", path, errno: "ENOENT" });
});

test("ErofsWriter takes data before there is a tree, and reads it back", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "image");
  const random = seededRandom("data first");
  using writer = new ErofsWriter(path);
  const root = createDirectory();
  for (const sizeBytes of [0, 5, 4096, 70_000, 65_536 * 3 + 5]) {
    const data = random.bytes(sizeBytes);
    if (sizeBytes > 65_536 * 2) data.fill(0, 65_536, 65_536 * 2);
    const sink = writer.addFile(sizeBytes);
    for (let at = 0; at < sizeBytes; ) {
      const count = Math.min(random.integer(1, 30_000), sizeBytes - at);
      sink.write(data.subarray(at, at + count));
      at += count;
    }
    const content = sink.end();
    const read = Buffer.alloc(sizeBytes);
    for await (const { offsetBytes, bytes } of content.read()) read.set(bytes, offsetBytes);
    assert.deepEqual(read, Buffer.from(data));
    root.entries.set(`${sizeBytes}`, { kind: "file", ...METADATA, content });
  }
  const expected = await showTree(root);
  await writer.finish(root);
  assert.deepEqual(showImage(path), expected);
});

test("ErofsWriter tells of its progress, at the end with all files", async () => {
  using directory = temporaryDirectory();
  const fileCounts: number[] = [];
  const onProgress = ({ fileCount }: { fileCount: number }): void => void fileCounts.push(fileCount);
  await writeErofs(directoryOf({ a: fileOf("a"), b: fileOf("b") }), join(directory.path, "image"), {
    onProgress,
  });
  assert.equal(fileCounts.at(-1), 2);
});

test(
  "writeErofs() makes images of which fsck.erofs extracts the same files",
  async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "image");
    const random = seededRandom("extraction");
    const root = createDirectory();
    const sizes = [0, 1, 2048, 2049, 4095, 4096, 4097, 65_535, 65_536, 200_001];
    for (const size of sizes) root.entries.set(`${size}`, fileOf(random.bytes(size)));
    root.entries.set("link", { kind: "symlink", ...METADATA, target: "65536" });
    await writeErofs(root, path);
    const extracted = join(directory.path, "extracted");
    mkdirSync(extracted);
    execFileSync("fsck.erofs", [`--extract=${join(extracted, "root")}`, path], { stdio: "pipe" });
    for (const size of sizes) {
      const node = root.entries.get(`${size}`);
      assert.ok(node?.kind === "file");
      const chunks: Uint8Array[] = [];
      for await (const { bytes } of node.content.read()) chunks.push(Buffer.from(bytes));
      assert.deepEqual(readFileSync(join(extracted, "root", `${size}`)), Buffer.concat(chunks));
    }
  },
  { skip: withoutFsck },
);

test(
  "writeErofs() writes a superblock that dump.erofs shows as asked",
  async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "image");
    const info = await writeErofs(directoryOf({ f: fileOf("f") }), path, { volumeName: "image" });
    const text = execFileSync("dump.erofs", ["-s", path]).toString();
    assert.match(text, new RegExp(`Filesystem blocks: +${info.sizeBytes / 4096}\n`));
    assert.match(text, /Filesystem inode count: +2\n/);
    assert.match(text, /sb_csum mtime/);
  },
  { skip: withoutFsck },
);
