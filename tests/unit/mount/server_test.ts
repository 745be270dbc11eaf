/** A mount's server against a kernel that may send anything. @module */
import assert from "node:assert/strict";
import { Errno, FileSystemError } from "../../../src/mount/errno.ts";
import { Opcode, ROOT_ID } from "../../../src/mount/fuse/constants.ts";
import type { FileSystemProvider, ProviderAttributes } from "../../../src/mount/provider.ts";
import { MemoryFileSystem } from "../../../src/mount/providers/memory_file_system.ts";
import { test } from "../../support/harness.ts";
import { FuseClient, requestOf } from "../../support/mount/fuse_requests.ts";
import { seededRandom } from "../../support/random.ts";

const WRITE_ONLY = 1;
const READ_WRITE = 2;

/** A provider that notes every path that it is asked for. */
function recording(inner: FileSystemProvider): { provider: FileSystemProvider; paths: Set<string> } {
  const paths = new Set<string>();
  const provider = new Proxy(inner, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        for (const arg of args) if (typeof arg === "string" && key !== "makeSymlink") paths.add(arg);
        return (value as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  return { provider, paths };
}

test("MountServer agrees with a kernel on version 7.36, and refuses one that is too old", async () => {
  const client = new FuseClient(new MemoryFileSystem());
  const { errno, body } = await client.ask(Opcode.init, 0n, 7, 45, 131072, 0xffff_ffff, new Uint8Array(48));
  assert.equal(errno, 0);
  assert.deepEqual([body.getUint32(0, true), body.getUint32(4, true)], [7, 36]);
  assert.equal(body.getUint32(20, true), 1024 * 1024, "most bytes of a write");
  assert.equal(await client.errno(Opcode.init, 0n, 7, 12, 0, 0), Errno.EOPNOTSUPP);
});

test("MountServer refuses names that are none, and asks its provider for no such path", async () => {
  const { provider, paths } = recording(new MemoryFileSystem({ "a/b": "x" }));
  const client = new FuseClient(provider);
  const directory = await client.lookup(ROOT_ID, "a");
  for (const name of ["", ".", "..", "a/b", "/", "../etc/passwd"]) {
    assert.equal(await client.errno(Opcode.lookup, directory, name), Errno.EINVAL, name);
    assert.equal(await client.errno(Opcode.unlink, directory, name), Errno.EINVAL, name);
    assert.equal(await client.errno(Opcode.mkdir, directory, 0o755, 0, name), Errno.EINVAL, name);
    assert.equal(await client.errno(Opcode.rename, directory, ROOT_ID, "b", name), Errno.EINVAL, name);
    assert.equal(
      await client.errno(Opcode.create, directory, WRITE_ONLY, 0o644, 0, 0, name),
      Errno.EINVAL,
      name,
    );
  }
  assert.equal(await client.errno(Opcode.lookup, directory, "x".repeat(256)), Errno.ENAMETOOLONG);
  assert.equal(
    await client.errno(Opcode.lookup, directory, new Uint8Array([97, 98])),
    Errno.EINVAL,
    "no zero at the end",
  );
  for (const path of paths) assert.match(path, /^\/(?:[^/]+(?:\/[^/]+)*)?$/);
  assert.ok(![...paths].some((path) => path.split("/").includes("..")));
});

test("MountServer knows only nodes and handles that it gave out", async () => {
  const client = new FuseClient(new MemoryFileSystem({ file: "content" }));
  const file = await client.lookup(ROOT_ID, "file");
  for (const node of [0n, 99n, 2n ** 64n - 1n])
    assert.equal(await client.errno(Opcode.getattr, node, 0, 0, 0n), Errno.ESTALE);
  const handle = await client.open(file, READ_WRITE);
  const read = [0n, 10, 0, 0n, 0, 0] as const;
  assert.equal(await client.errno(Opcode.read, file, handle + 1n, ...read), Errno.EBADF);
  const { body } = await client.ask(Opcode.opendir, ROOT_ID, 0, 0);
  const directory = body.getBigUint64(0, true);
  assert.equal(await client.errno(Opcode.read, file, directory, ...read), Errno.EBADF);
  assert.equal(await client.errno(Opcode.readdir, ROOT_ID, handle, 0n, 4096, 0, 0n, 0, 0), Errno.EBADF);
  assert.equal(await client.errno(Opcode.release, file, handle, 0, 0, 0n), 0);
  assert.equal(await client.errno(Opcode.read, file, handle, ...read), Errno.EBADF);
  client.send(Opcode.forget, file, 1_000_000n); // more often than it was told
  assert.equal(await client.errno(Opcode.getattr, file, 0, 0, 0n), Errno.ESTALE);
  client.send(Opcode.forget, ROOT_ID, 5n);
  assert.equal(await client.errno(Opcode.getattr, ROOT_ID, 0, 0, 0n), 0, "the root is never forgotten");
});

test("MountServer bounds what a kernel can make it hold", async () => {
  const client = new FuseClient(new MemoryFileSystem({ file: "content" }));
  const file = await client.lookup(ROOT_ID, "file");
  let errno = 0;
  for (let opened = 0; errno === 0; opened++) {
    assert.ok(opened < 20_000, "no bound on open files");
    errno = await client.errno(Opcode.open, file, 0, 0);
  }
  assert.equal(errno, Errno.ENFILE);
  assert.throws(
    () => client.server.feed(requestOf(Opcode.write, 1n, file, new Uint8Array(2 * 1024 * 1024))),
    RangeError,
  );
  await client.server.close();
  assert.equal(client.server.usage.handles, 0);
});

test("MountServer bounds requests that wait for a slow provider, and gives up those that are interrupted", async () => {
  const gate = Promise.withResolvers<void>();
  const memory = new MemoryFileSystem();
  const slow: FileSystemProvider = {
    attributes: async (path) => {
      await gate.promise;
      return memory.attributes(path);
    },
    list: (path) => memory.list(path),
    open: (path, options) => memory.open(path, options),
  };
  const client = new FuseClient(slow);
  const first = client.send(Opcode.lookup, ROOT_ID, "a");
  for (let sent = 1; sent < 1024; sent++) client.send(Opcode.lookup, ROOT_ID, "a");
  assert.equal(client.server.usage.pending, 1024);
  assert.equal(await client.errno(Opcode.lookup, ROOT_ID, "a"), Errno.ENOMEM);
  client.send(Opcode.interrupt, 0n, first);
  assert.equal(client.replies.get(first)?.errno, Errno.EINTR);
  const before = client.replyCount;
  gate.resolve();
  while (client.server.usage.pending > 0) await new Promise((resolve) => setTimeout(resolve));
  assert.equal(client.replyCount - before, 1023, "each is answered once");
  assert.equal(client.server.usage.pendingBytes, 0);
});

test("MountServer tells EIO of a provider that throws anything, or says what cannot be", async () => {
  const attributes: ProviderAttributes = {
    type: "file",
    mode: 0o644,
    size: 1,
    uid: 0,
    gid: 0,
    inode: 5n,
    accessedNs: 0n,
    modifiedNs: 0n,
    changedNs: 0n,
  };
  let answer: () => ProviderAttributes = () => attributes;
  const provider: FileSystemProvider = {
    attributes: () => answer(),
    list: () => [],
    open: () => ({ read: () => new Uint8Array(100), attributes: () => attributes, close: () => {} }),
  };
  const client = new FuseClient(provider);
  const node = await client.lookup(ROOT_ID, "a");
  for (const wrong of [{ size: -1 }, { size: Number.NaN }, { size: 2 ** 60 }, { mode: 1.5 }, { uid: -5 }]) {
    answer = () => ({ ...attributes, ...wrong });
    assert.equal(await client.errno(Opcode.getattr, node, 0, 0, 0n), Errno.EIO, JSON.stringify(wrong));
  }
  answer = () => {
    throw new Error("a bug of its own");
  };
  assert.equal(await client.errno(Opcode.getattr, node, 0, 0, 0n), Errno.EIO);
  answer = () => {
    throw Object.assign(new Error("as node:fs"), { code: "EACCES" });
  };
  assert.equal(await client.errno(Opcode.getattr, node, 0, 0, 0n), Errno.EACCES);
  answer = () => {
    throw new FileSystemError("ENOSPC");
  };
  assert.equal(await client.errno(Opcode.getattr, node, 0, 0, 0n), Errno.ENOSPC);
  const handle = await client.open(node, 0);
  assert.equal(
    await client.errno(Opcode.read, node, handle, 0n, 10, 0, 0n, 0, 0),
    Errno.EIO,
    "more than was asked for",
  );
});

test("MountServer with isReadonly lets nothing through that changes anything", async () => {
  const { provider, paths } = recording(new MemoryFileSystem({ file: "content" }));
  const client = new FuseClient(provider, { isReadonly: true });
  const file = await client.lookup(ROOT_ID, "file");
  const handle = await client.open(file, 0);
  paths.clear();
  const requests: readonly (readonly [number, bigint, ...(number | bigint | string)[]])[] = [
    [Opcode.open, file, READ_WRITE, 0],
    [Opcode.open, file, 0o1000, 0],
    [Opcode.create, ROOT_ID, 0, 0o644, 0, 0, "n"],
    [Opcode.mkdir, ROOT_ID, 0o755, 0, "n"],
    [Opcode.mknod, ROOT_ID, 0o100644, 0, 0, 0, "n"],
    [Opcode.symlink, ROOT_ID, "n", "t"],
    [Opcode.link, ROOT_ID, file, "n"],
    [Opcode.unlink, ROOT_ID, "file"],
    [Opcode.rmdir, ROOT_ID, "file"],
    [Opcode.rename, ROOT_ID, ROOT_ID, "file", "n"],
    [Opcode.rename2, ROOT_ID, ROOT_ID, 0n, "file", "n"],
    [Opcode.setattr, file, 1, 0, 0n, 0n, 0n, 0n, 0n, 0n, 0, 0, 0, 0o777, 0, 0, 0, 0],
    [Opcode.write, file, handle, 0n, 1, 0, 0n, 0, 0, "x"],
    [Opcode.fallocate, file, handle, 0n, 1n, 0, 0],
    [Opcode.setxattr, file, 1, 0, "user.a", "b"],
    [Opcode.removexattr, file, "user.a"],
  ];
  for (const [opcode, node, ...fields] of requests)
    assert.equal(await client.errno(opcode, node, ...fields), Errno.EROFS, `opcode ${opcode}`);
  assert.deepEqual([...paths], []);
});

test("MountServer answers any request once, whatever it holds, and keeps its paths", async () => {
  const random = seededRandom("MountServer");
  const { provider, paths } = recording(new MemoryFileSystem({ "a/b": "x", c: "y" }, { bytesMax: 1 << 20 }));
  const client = new FuseClient(provider);
  const opcodes = [...Object.values(Opcode), 0, 9, 31, 39, 40, 48, 52, 4096, 0xffff_ffff];
  const words = ["a", "b", "c", "..", ".", "", "a/b", "\udcff", "x".repeat(300), "user.k"];
  let silent = 0;
  for (let step = 0; step < 20_000; step++) {
    const opcode = opcodes[random.integer(0, opcodes.length - 1)] ?? 0;
    if (opcode === Opcode.forget || opcode === Opcode.batchForget || opcode === Opcode.interrupt) silent++;
    const fields = Array.from({ length: random.integer(0, 8 - 1) }, () => {
      const kind = random.integer(0, 4 - 1);
      if (kind === 0) return random.integer(0, 4 - 1);
      if (kind === 1) return BigInt(random.integer(0, 6 - 1));
      if (kind === 2) return words[random.integer(0, words.length - 1)] ?? "";
      return new Uint8Array(random.integer(0, 64 - 1)).map(() => random.integer(0, 256 - 1));
    });
    client.send(opcode, BigInt(random.integer(0, 8 - 1)), ...fields);
  }
  assert.equal(client.replies.size, 20_000 - silent);
  assert.equal(client.replyCount, 20_000 - silent);
  for (const path of paths)
    assert.ok(!path.split("/").some((name) => name === ".." || name === ".") || !path.startsWith("/"), path);
  assert.ok(client.server.usage.nodes < 1000);
});

test("MountServer closes a file that it opened and cannot tell the kernel of", async () => {
  const memory = new MemoryFileSystem({ file: "content" });
  const slow = Promise.withResolvers<void>();
  let opened = 0;
  let size = -1; // no size that can be encoded
  const provider: FileSystemProvider = {
    attributes: (path) => memory.attributes(path),
    list: (path) => memory.list(path),
    open: async (path, options) => {
      if (opened > 0) await slow.promise;
      const file = await memory.open(path, options);
      opened++;
      const attributes = () => ({ ...(file.attributes() as ProviderAttributes), size });
      return { ...file, attributes, close: () => void opened-- };
    },
  };
  const client = new FuseClient(provider);
  const create = [READ_WRITE, 0o644, 0, 0] as const;
  assert.equal(await client.errno(Opcode.create, ROOT_ID, ...create, "new"), Errno.EIO);
  assert.deepEqual([opened, client.server.usage.handles], [0, 0]);
  size = 0;
  assert.equal(await client.errno(Opcode.create, ROOT_ID, ...create, "new"), 0);
  assert.deepEqual([opened, client.server.usage.handles], [1, 1]);
  const file = await client.lookup(ROOT_ID, "file");
  client.send(Opcode.open, file, READ_WRITE, 0);
  client.send(Opcode.create, ROOT_ID, ...create, "late");
  await client.server.close();
  assert.equal(opened, 0);
  slow.resolve();
  await new Promise((resolve) => setTimeout(resolve)); // after all that follows from it
  assert.equal(opened, 0, "what was opened after the end");
});

test("MountServer bounds calls of its provider by their number, also those that have one name or were given up", async () => {
  let calls = 0;
  const provider: FileSystemProvider = {
    attributes: () => {
      calls++;
      return new Promise(() => {});
    },
    list: () => [],
    open: () => assert.fail(),
  };
  const client = new FuseClient(provider);
  for (let sent = 0; sent < 2000; sent++)
    client.server.feed(requestOf(Opcode.lookup, 7n, ROOT_ID, Uint8Array.of(97, 0)));
  assert.equal(calls, 1024);
  const other = new FuseClient(provider);
  for (let sent = 0; sent < 2000; sent++)
    other.send(Opcode.interrupt, 0n, other.send(Opcode.lookup, ROOT_ID, "a"));
  assert.equal(calls, 2048);
});

test("MountServer counts no lookup that was given up before its provider answered", async () => {
  const memory = new MemoryFileSystem({ file: "content" });
  const slow = Promise.withResolvers<void>();
  const provider: FileSystemProvider = {
    attributes: async (path) => {
      await slow.promise;
      return memory.attributes(path);
    },
    list: (path) => memory.list(path),
    open: (path, options) => memory.open(path, options),
  };
  const client = new FuseClient(provider);
  const before = client.server.usage.nodes;
  const unique = client.send(Opcode.lookup, ROOT_ID, "file");
  client.send(Opcode.interrupt, 0n, unique);
  assert.equal(client.replies.get(unique)?.errno, Errno.EINTR);
  slow.resolve();
  await new Promise((resolve) => setTimeout(resolve)); // after all that follows from it
  assert.equal(client.server.usage.nodes, before);
  assert.equal(client.replyCount, 1);
});
