/** What a `MemoryFileSystem` holds, and its bounds. @module */
import assert from "node:assert/strict";
import type { ProviderFile, ProviderOpenOptions } from "../../../src/mount/provider.ts";
import { MemoryFileSystem } from "../../../src/mount/providers/memory_file_system.ts";
import { test } from "../../support/harness.ts";

const OPEN: ProviderOpenOptions = {
  read: true,
  write: true,
  append: false,
  truncate: false,
  create: true,
  exclusive: false,
  mode: 0o644,
};

function open(
  files: MemoryFileSystem,
  path: string,
  options: Partial<ProviderOpenOptions> = {},
): ProviderFile {
  return files.open(path, { ...OPEN, ...options });
}

function usedBlocks(files: MemoryFileSystem): number {
  const { blocks, freeBlocks } = files.statistics();
  return blocks - freeBlocks;
}

test("MemoryFileSystem begins with files, and reads back what was written", () => {
  const files = new MemoryFileSystem({ "a.txt": "text", "/d/e/b": Uint8Array.of(0, 255) });
  assert.equal(files.readText("/a.txt"), "text");
  assert.deepEqual([...files.readFile("d/e/b")], [0, 255]);
  files.writeFile("/a.txt", "x");
  assert.equal(files.readText("a.txt"), "x");
  for (const path of ["", "/", "..", "/d/..", "/d/../x"])
    assert.throws(() => files.writeFile(path, "x"), { code: "EINVAL" }, path);
  assert.throws(() => files.writeFile("/d", "x"), { code: "EISDIR" });
  assert.throws(() => files.writeFile("/a.txt/x", "x"), { code: "ENOTDIR" });
  assert.throws(() => files.readFile("/d"), { code: "EISDIR" });
  assert.throws(() => files.readText("/none"), { code: "ENOENT" });
});

test("MemoryFileSystem keeps no reference to what it was given, and gives none", () => {
  const given = Uint8Array.of(1, 2);
  const files = new MemoryFileSystem({ a: given });
  given[0] = 9;
  const read = files.readFile("a");
  read[1] = 9;
  assert.deepEqual([...files.readFile("a")], [1, 2]);
});

test("MemoryFileSystem fills what lies between the end and a write with zeros", () => {
  const files = new MemoryFileSystem({ a: "abcdef" });
  const file = open(files, "/a");
  void file.setAttributes?.({ size: 2 });
  void file.write?.(4, Uint8Array.of(1));
  assert.deepEqual([...files.readFile("a")], [97, 98, 0, 0, 1]);
  void file.setAttributes?.({ size: 8 });
  assert.deepEqual([...files.readFile("a")], [97, 98, 0, 0, 1, 0, 0, 0]);
});

test("MemoryFileSystem may be filled to its bound, and no further, and gives room back", () => {
  const files = new MemoryFileSystem({}, { bytesMax: 1000 });
  const file = open(files, "/a");
  for (let size = 0; size < 1000; size += 10) void file.write?.(size, new Uint8Array(10).fill(7));
  assert.throws(() => file.write?.(1000, new Uint8Array(1)), { code: "ENOSPC" });
  assert.throws(() => file.setAttributes?.({ size: 2 ** 52 }), { code: "ENOSPC" });
  assert.equal(files.readFile("a").length, 1000);
  files.removeFile("/a");
  assert.throws(() => files.writeFile("/b", "x"), { code: "ENOSPC" }, "it is open still");
  void file.close();
  files.writeFile("/b", new Uint8Array(1000));
});

test("MemoryFileSystem bounds names, links and attributes as well", () => {
  const files = new MemoryFileSystem({ a: "" }, { filesMax: 10, bytesMax: 10_000 });
  const until = (step: (index: number) => void) => {
    for (let index = 0; index < 1000; index++) {
      try {
        step(index);
      } catch (error) {
        assert.equal((error as { code?: string }).code, "ENOSPC");
        return index;
      }
    }
    throw new Error("no bound");
  };
  assert.equal(
    until((index) => files.makeLink("/a", `/l${index}`)),
    8,
  );
  for (let index = 0; index < 8; index++) files.removeFile(`/l${index}`);
  assert.equal(
    until((index) => files.makeDirectory(`/d${index}`, 0o755)),
    8,
  );
  until((index) => files.setExtended("/a", `user.${index}`, new Uint8Array(), "any"));
  for (const name of files.listExtended("/a")) files.removeExtended("/a", name);
  files.writeFile("/a", new Uint8Array(9000));
  files.setExtended("/d0", "user.a", new Uint8Array(800), "any");
  files.removeDirectory("/d0");
  files.removeFile("/a");
  assert.equal(usedBlocks(files), 0);
});

test("MemoryFileSystem renames as rename(2) does", () => {
  const files = new MemoryFileSystem({ "a/f": "1", "b/g": "2", c: "3" });
  const rename = (from: string, to: string, flags: { exclusive?: boolean; exchange?: boolean } = {}) =>
    files.rename(from, to, { exclusive: false, exchange: false, ...flags });
  assert.throws(() => rename("/a", "/a/x"), { code: "EINVAL" });
  assert.throws(() => rename("/a", "/b"), { code: "ENOTEMPTY" });
  assert.throws(() => rename("/a", "/c"), { code: "ENOTDIR" });
  assert.throws(() => rename("/c", "/a"), { code: "EISDIR" });
  assert.throws(() => rename("/c", "/a", { exclusive: true }), { code: "EEXIST" });
  assert.throws(() => rename("/c", "/none", { exchange: true }), { code: "ENOENT" });
  assert.throws(() => rename("/a/f", "/a", { exchange: true }), { code: "EINVAL" });
  rename("/a", "/c", { exchange: true });
  assert.deepEqual([files.readText("/c/f"), files.readText("/a")], ["1", "3"]);
  files.makeLink("/a", "/second");
  rename("/a", "/second");
  assert.deepEqual(
    files
      .list("/")
      .map(({ name }) => name)
      .toSorted(),
    ["a", "b", "c", "second"],
  );
  assert.equal(files.attributes("/").links, 4);
});

test("MemoryFileSystem stores only user attributes", () => {
  const files = new MemoryFileSystem({ a: "" });
  for (const name of ["security.capability", "system.posix_acl_access", "trusted.x", "x"])
    assert.throws(() => files.setExtended("/a", name, new Uint8Array(1), "any"), { code: "EOPNOTSUPP" });
  files.setExtended("/a", "user.x", Uint8Array.of(5), "new");
  assert.throws(() => files.setExtended("/a", "user.x", new Uint8Array(), "new"), { code: "EEXIST" });
  assert.throws(() => files.setExtended("/a", "user.y", new Uint8Array(), "old"), { code: "ENODATA" });
  assert.deepEqual([...files.getExtended("/a", "user.x")], [5]);
});

test("MemoryFileSystem says which path it does not take", () => {
  for (const path of ["", "/", "../x", "/a/.."])
    assert.throws(
      () => new MemoryFileSystem({ [path]: "content" }),
      (error: Error) => String(error.cause).includes(JSON.stringify(path)),
    );
});
