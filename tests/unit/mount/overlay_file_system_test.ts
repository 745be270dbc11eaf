/** An `OverlayFileSystem` does what a plain file system with the same files does, and changes the upper layer alone. @module */
import assert from "node:assert/strict";
import { errnoOf } from "../../../src/mount/errno.ts";
import type { FileSystemProvider, ProviderOpenOptions } from "../../../src/mount/provider.ts";
import { openHostDirectory } from "../../../src/mount/providers/host_directory.ts";
import { MemoryFileSystem } from "../../../src/mount/providers/memory_file_system.ts";
import { OverlayFileSystem } from "../../../src/mount/providers/overlay_file_system.ts";
import { ReadonlyFileSystem } from "../../../src/mount/providers/readonly_file_system.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

const READ: ProviderOpenOptions = {
  read: true,
  write: false,
  append: false,
  truncate: false,
  create: false,
  exclusive: false,
  mode: 0o644,
};
const EXDEV = 18;
const ENAMETOOLONG = 36;
const OPERATIONS = 400;

async function readText(files: FileSystemProvider, path: string): Promise<string> {
  const file = await files.open(path, READ);
  try {
    return new TextDecoder().decode(await file.read(0, 1000));
  } finally {
    await file.close();
  }
}

async function write(files: FileSystemProvider, path: string, text: string, create = true): Promise<void> {
  const file = await files.open(path, { ...READ, write: true, create, truncate: true });
  try {
    await file.write?.(0, new TextEncoder().encode(text));
  } finally {
    await file.close();
  }
}

/** All of a file system: paths, and what they hold. */
async function tree(files: FileSystemProvider, path = "/"): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const { name, type } of await files.list(path)) {
    const child = path === "/" ? `/${name}` : `${path}/${name}`;
    const { mode, type: found } = await files.attributes(child);
    assert.equal(found, type, child);
    if (type === "directory") lines.push(`${child}/ ${mode}`, ...(await tree(files, child)));
    else if (type === "symlink") lines.push(`${child} -> ${await files.readLink?.(child)}`);
    else lines.push(`${child} ${mode} ${await readText(files, child)}`);
  }
  return lines.sort();
}

async function errnoFrom(call: () => unknown): Promise<number> {
  try {
    await call();
    return 0;
  } catch (error) {
    return errnoOf(error);
  }
}

const LOWEST = { "a/one": "1", "a/b/two": "2", "c/three": "3", top: "below", x: "file" };
const LOWER = { "a/b/four": "4", top: "above", "d/e/five": "5", "x/six": "6" };
const MERGED = {
  "a/one": "1",
  "a/b/two": "2",
  "c/three": "3",
  "a/b/four": "4",
  top: "above",
  "d/e/five": "5",
  "x/six": "6",
};

test("OverlayFileSystem merges its layers, and keeps every change in the upper one", async () => {
  const layers = [LOWER, LOWEST].map((files) => new MemoryFileSystem(files));
  const before = await Promise.all(layers.map((layer) => tree(layer)));
  const upper = new MemoryFileSystem();
  const files = new OverlayFileSystem({ lower: layers.map((layer) => new ReadonlyFileSystem(layer)), upper });
  assert.deepEqual(await tree(files), await tree(new MemoryFileSystem(MERGED)));
  const seen = await files.attributes("/a/one");
  await write(files, "/a/one", "changed", false);
  const { inode, device } = await files.attributes("/a/one");
  assert.deepEqual(
    { inode, device },
    { inode: seen.inode, device: seen.device },
    "the same file to the guest",
  );
  await files.removeFile("/top");
  await files.removeFile("/a/b/two");
  await files.removeFile("/a/b/four");
  await files.removeDirectory("/a/b");
  await files.makeDirectory("/a/b", 0o700);
  assert.deepEqual(await files.list("/a/b"), [], "a new directory shows nothing of the one that was removed");
  await files.rename("/c/three", "/c/3", { exclusive: false, exchange: false });
  assert.equal(await readText(files, "/c/3"), "3");
  assert.deepEqual(await tree(files), [
    "/a/ 493",
    "/a/b/ 448",
    "/a/one 420 changed",
    "/c/ 493",
    "/c/3 420 3",
    "/d/ 493",
    "/d/e/ 493",
    "/d/e/five 420 5",
    "/x/ 493",
    "/x/six 420 6",
  ]);
  assert.deepEqual(await Promise.all(layers.map((layer) => tree(layer))), before);
  const again = new OverlayFileSystem({ lower: layers, upper });
  assert.deepEqual(await tree(again), await tree(files), "all of it is in the upper layer");
});

test("OverlayFileSystem neither shows its marks nor lets them be made", async () => {
  const upper = new MemoryFileSystem();
  const files = new OverlayFileSystem({ lower: [new MemoryFileSystem({ a: "1", b: "2" })], upper });
  await files.removeFile("/a");
  assert.deepEqual(
    upper.list("/").map(({ name }) => name),
    [".wh.a"],
  );
  assert.deepEqual(
    (await files.list("/")).map(({ name }) => name),
    ["b"],
  );
  const options = { exclusive: false, exchange: false };
  for (const call of [
    () => write(files, "/.wh.b", ""),
    () => files.makeDirectory("/.wh.b", 0o755),
    () => files.rename("/b", "/.wh.b", options),
    () => files.makeLink("/b", "/.wh.b"),
    () => files.makeSymlink("/.wh.b", "x"),
  ])
    await assert.rejects(call, { code: "EPERM" });
  await assert.rejects(files.attributes("/.wh.a"), { code: "ENOENT" });
  await assert.rejects(files.removeFile("/.wh.a"), { code: "ENOENT" });
  assert.equal(await readText(files, "/b"), "2");
});

test("OverlayFileSystem makes open files read the copy once the file is changed", async () => {
  const files = new OverlayFileSystem({ lower: [new MemoryFileSystem({ a: "before" })] });
  const open = await files.open("/a", READ);
  await write(files, "/a", "after!", false);
  assert.equal(new TextDecoder().decode(await open.read(0, 10)), "after!");
  await files.removeFile("/a");
  assert.equal((await open.attributes()).size, 6);
  await open.close();
});

test("OverlayFileSystem refuses to rename a directory that has something below, and renames its own", async () => {
  const files = new OverlayFileSystem({ lower: [new MemoryFileSystem({ "d/a": "1" })] });
  const options = { exclusive: false, exchange: false };
  await assert.rejects(files.rename("/d", "/e", options), { code: "EXDEV" });
  await files.makeDirectory("/own", 0o755);
  await write(files, "/own/x", "own");
  await files.removeFile("/d/a");
  await files.rename("/own", "/d", options);
  assert.deepEqual(await tree(files), ["/d/ 493", "/d/x 420 own"]);
});

test("OverlayFileSystem does what a plain file system does, by any calls", async () => {
  const random = seededRandom("overlay operations");
  const files = new OverlayFileSystem({ lower: [LOWER, LOWEST].map((layer) => new MemoryFileSystem(layer)) });
  const plain = new MemoryFileSystem(MERGED);
  const names = ["a", "b", "c", "d", "e", "x", "one", "two", "top"];
  const path = () => `/${Array.from({ length: random.integer(1, 3) }, () => random.pick(names)).join("/")}`;
  for (let index = 0; index < OPERATIONS; index++) {
    const [from, to, text] = [path(), path(), `text ${index}`];
    const exchange = random.integer(0, 4) === 0;
    const calls: Readonly<Record<string, (on: FileSystemProvider) => unknown>> = {
      write: (on) => write(on, from, text),
      change: (on) => on.setAttributes?.(from, { mode: 0o600 }),
      cut: (on) => on.setAttributes?.(from, { size: 1 }),
      mkdir: (on) => on.makeDirectory?.(from, 0o755),
      link: (on) => on.makeLink?.(from, to),
      symlink: (on) => on.makeSymlink?.(from, to),
      unlink: (on) => on.removeFile?.(from),
      rmdir: (on) => on.removeDirectory?.(from),
      rename: (on) => on.rename?.(from, to, { exclusive: false, exchange }),
    };
    const name = random.pick(Object.keys(calls));
    const call = calls[name] as (on: FileSystemProvider) => unknown;
    const found = await errnoFrom(() => call(files));
    const what = `${index}: ${name} ${from} ${to} ${exchange}`;
    if (name === "rename" && found === EXDEV) continue; // the one thing that it does not do
    // Which of several errors it is depends on what is looked at first: a kernel looks names up before it asks.
    assert.equal(found === 0, (await errnoFrom(() => call(plain))) === 0, `${what}: errno ${found}`);
    assert.deepEqual(await tree(files), await tree(plain), what);
  }
});

test("OverlayFileSystem closes each file once if it is closed while it is copied", async () => {
  const closes = { lower: 0, upper: 0 };
  /** Tells of what is closed, and waits for `gate` before it opens anything for reading. */
  const counted = (files: MemoryFileSystem, of: keyof typeof closes, gate?: () => Promise<void>) =>
    new Proxy(files, {
      get(target, name) {
        const method = Reflect.get(target, name, target);
        if (name !== "open") return typeof method === "function" ? method.bind(target) : method;
        return async (path: string, options: ProviderOpenOptions) => {
          if (!options.write) await gate?.();
          const file = target.open(path, options);
          if (options.write) return file;
          return {
            read: file.read.bind(file),
            attributes: () => file.attributes(),
            close: () => void closes[of]++,
          };
        };
      },
    });
  const [reached, open] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const lower = counted(new MemoryFileSystem({ file: "content" }), "lower");
  const upper = counted(new MemoryFileSystem(), "upper", async () => {
    reached.resolve();
    await open.promise;
  });
  const files = new OverlayFileSystem({ lower: [lower], upper });
  const reader = await files.open("/file", READ);
  const writing = files.open("/file", { ...READ, write: true });
  await reached.promise; // copied, and about to be opened for the reader
  closes.lower = 0; // what was copied from is closed
  await reader.close();
  open.resolve();
  await (await writing).close();
  assert.deepEqual(closes, { lower: 1, upper: 1 });
});

test("OverlayFileSystem shows files whose names leave no room for a mark, and does not remove them", async () => {
  using directory = temporaryDirectory();
  const name = "n".repeat(253);
  for (const upper of [new MemoryFileSystem(), await openHostDirectory(directory.path)]) {
    const files = new OverlayFileSystem({ lower: [new MemoryFileSystem({ [name]: "content" })], upper });
    assert.equal(await readText(files, `/${name}`), "content");
    assert.equal(await errnoFrom(() => files.removeFile(`/${name}`)), ENAMETOOLONG);
    await write(files, `/${name}`, "changed");
    assert.equal(await readText(files, `/${name}`), "changed");
    await write(files, `/new-${name.slice(4)}`, "new");
    await files.close();
  }
});
