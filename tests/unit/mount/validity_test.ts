/** How long a kernel may believe what it is told: long where changes are told, and not a moment longer. @module */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { MountFlag, MountNotice } from "../../../src/agent/protocol.ts";
import { Inotify } from "../../../src/ffi/inotify.ts";
import { Notify, Opcode, ROOT_ID } from "../../../src/mount/fuse/constants.ts";
import type { MountNode } from "../../../src/mount/node_table.ts";
import type { FileSystemProvider, ProviderChange } from "../../../src/mount/provider.ts";
import { DirectoryProvider } from "../../../src/mount/providers/directory_provider.ts";
import { withHooks } from "../../../src/mount/providers/hooks.ts";
import { MemoryFileSystem } from "../../../src/mount/providers/memory_file_system.ts";
import { ReadonlyFileSystem } from "../../../src/mount/providers/readonly_file_system.ts";
import { AbsentNames } from "../../../src/mount/validity.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { FuseClient } from "../../support/mount/fuse_requests.ts";
import { KernelMount, kernelMountProblem } from "../../support/mount/kernel_mount.ts";
import { filesBy } from "../../support/mount/shared_directory.ts";

const REPLAYER_PID = 77;
const LONG = { entry: 60, attributes: 60 };
const SHORT = { entry: 1, attributes: 1 };

/** Seconds that the kernel may believe an entry, and its attributes. */
async function believed(client: FuseClient, node: bigint, name: string) {
  const { body } = await client.ask(Opcode.lookup, node, name);
  const [entry, attributes] = [16, 24].map((offset) => Number(body.getBigUint64(offset, true)));
  return { entry, attributes };
}

/** Says that the guest's process waits for changes. */
function ready(client: FuseClient, pid = REPLAYER_PID): void {
  const asked = client.pid;
  client.pid = pid;
  client.send(MountNotice.codeReplay, 0n);
  client.pid = asked;
}

/** A provider whose directories are watched or not as `watched` says. */
function telling(files: MemoryFileSystem, watched: (directory: string) => boolean) {
  let changed: (change: ProviderChange) => void = () => {};
  const provider: FileSystemProvider = {
    attributes: (path) => files.attributes(path),
    list: (path) => files.list(path),
    open: (path, options) => files.open(path, options),
    makeLink: (existing, path) => files.makeLink(existing, path),
    watch: (callback) => {
      changed = callback;
      return () => {};
    },
    isWatched: watched,
  };
  return { provider, change: (change: ProviderChange) => changed(change) };
}

test("MountServer lets a kernel believe what a watched directory holds for long, and everything else for a second", async () => {
  const files = new MemoryFileSystem({ "watched/a": "a", "other/b": "b" });
  const { provider } = telling(files, (directory) => directory === "/" || directory === "/watched");
  for (const wrapped of [provider, new ReadonlyFileSystem(provider), withHooks(provider, {})]) {
    const client = new FuseClient(wrapped, { watch: true });
    assert.deepEqual(await believed(client, ROOT_ID, "watched"), SHORT, "nothing takes what is told yet");
    ready(client);
    const [watched, other] = [await client.lookup(ROOT_ID, "watched"), await client.lookup(ROOT_ID, "other")];
    assert.deepEqual(await believed(client, ROOT_ID, "watched"), LONG);
    assert.deepEqual(await believed(client, watched, "a"), LONG);
    assert.deepEqual(await believed(client, watched, "missing"), { entry: 60, attributes: 60 });
    // Its name is told of, but not what is made in it, which changes its time.
    assert.deepEqual(await believed(client, ROOT_ID, "other"), { entry: 60, attributes: 1 });
    assert.deepEqual(await believed(client, other, "b"), SHORT);
    assert.deepEqual(await believed(client, other, "missing"), SHORT);
    const { body } = await client.ask(Opcode.getattr, ROOT_ID, 0, 0, 0n);
    assert.equal(body.getBigUint64(0, true), 1n, "the root's own mode is told by no directory in it");
  }
});

test("MountServer lets a kernel believe a file with a second name for a second, and everything if nothing is watched", async () => {
  const files = new MemoryFileSystem({ a: "a" });
  const { provider } = telling(files, () => true);
  const client = new FuseClient(provider, { watch: true });
  ready(client);
  assert.deepEqual(await believed(client, ROOT_ID, "a"), LONG);
  files.makeLink("/a", "/second");
  assert.deepEqual(await believed(client, ROOT_ID, "a"), { entry: 60, attributes: 1 });
  for (const options of [{}, { locks: true }]) {
    const unwatched = new FuseClient(provider, options);
    ready(unwatched);
    assert.deepEqual(await believed(unwatched, ROOT_ID, "a"), SHORT);
  }
});

test("MountServer makes a kernel drop all that it believes when changes were lost, also which names are absent", async () => {
  const files = new MemoryFileSystem({ a: "a" });
  const { provider, change } = telling(files, () => true);
  const client = new FuseClient(provider, { watch: true });
  ready(client);
  const node = await client.lookup(ROOT_ID, "a");
  await believed(client, ROOT_ID, "missing");
  const dropped = async () => {
    await new Promise((resolve) => setTimeout(resolve));
    const { body } = client.replies.get(0n)!;
    const names: string[] = [];
    const nodes: bigint[] = [];
    for (let offset = 0; offset < body.byteLength; offset += body.getUint32(offset, true)) {
      const code = body.getUint32(offset + 4, true);
      if (code === Notify.invalidateInode) nodes.push(body.getBigUint64(offset + 16, true));
      if (code !== Notify.invalidateEntry) continue;
      const length = body.getUint32(offset + 24, true);
      const name = new Uint8Array(body.buffer, body.byteOffset + offset + 32, length);
      names.push(new TextDecoder().decode(name));
    }
    client.replies.delete(0n);
    return { names, nodes };
  };
  change({ kind: "lost", path: "/" });
  const expected = { names: ["a", "missing"], nodes: [ROOT_ID, node, ROOT_ID] }; // the root once more, because it is reported as changed
  assert.deepEqual(await dropped(), expected);
  // Another process repeats changes now: the one before may not have done all that it was given.
  ready(client, REPLAYER_PID + 1);
  assert.deepEqual(await dropped(), expected);
});

test("AbsentNames holds a bounded number of names, and takes another one once the oldest has expired", () => {
  const absent = new AbsentNames();
  const parent = { id: 5n } as MountNode;
  const added = () => {
    let count = 0;
    while (count < 100_000 && absent.add(parent, `${count}`, 60_000)) count++;
    return count;
  };
  assert.equal(added(), 16_384);
  assert.ok(absent.add(parent, "3", 60_000), "one that is there");
  const brief = new AbsentNames();
  for (let index = 0; index < 50_000; index++) assert.ok(brief.add(parent, `${index}`, 0));
  assert.equal([...brief.all()].length, 16_384);
});

test("DirectoryProvider says which directories are watched: those that it has got to, and not once it is closed", async () => {
  using directory = temporaryDirectory();
  fs.mkdirSync(join(directory.path, "d/e"), { recursive: true });
  const provider = DirectoryProvider.open(await filesBy(true), directory.path, {
    inotify: await Inotify.load(),
  });
  const seen: ProviderChange[] = [];
  assert.ok(!provider.isWatched("/"));
  provider.watch?.((change) => seen.push(change));
  assert.ok(provider.isWatched("/"));
  while (!provider.isWatched("/d/e")) await new Promise((resolve) => setTimeout(resolve, 1));
  fs.renameSync(join(directory.path, "d"), join(directory.path, "moved"));
  while (!provider.isWatched("/moved/e")) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.ok(!provider.isWatched("/d"));
  assert.ok(!provider.isWatched("/moved/none"));
  provider.close();
  assert.ok(!provider.isWatched("/"));
});

const missing =
  kernelMountProblem ??
  (spawnSync("python3", ["-c", ""]).status === 0 ? undefined : "needs python3 to look at files");

const LOOK = "ls d; seq -f d/f%g 0 49 | xargs stat; cat d/f1; cat d/none; true";

/** Looks again and again, and ends once each of its files exists and holds the expected content. */
const LOOKING = `
import os, sys, time
while True:
    try:
        if open(sys.argv[1]).read() == "after" and os.stat(sys.argv[2]).st_mode & 0o777 == 0o751: break
    except FileNotFoundError: pass
    time.sleep(0.001)
print("seen")`;

test(
  "MountServer does not ask the provider again for what is watched, and a program still sees changes",
  async () => {
    using directory = temporaryDirectory();
    const here = join(directory.path, "here");
    fs.mkdirSync(join(here, "d"), { recursive: true });
    for (let index = 0; index < 50; index++) fs.writeFileSync(join(here, "d", `f${index}`), "before");
    const inner = DirectoryProvider.open(await filesBy(true), here, { inotify: await Inotify.load() });
    let asked = 0;
    const before = ({ kind }: { kind: string }) => {
      if (kind === "attributes" || kind === "list") asked++;
    };
    const there = join(directory.path, "there");
    const provider = withHooks(inner, { before });
    await using mount = await KernelMount.open(there, provider, { watch: true }, MountFlag.watch);
    while (!inner.isWatched("/d")) await new Promise((resolve) => setTimeout(resolve, 1));
    const look = async (script: string) => (await mount.run(`cd "$M" && ${script}`)).output;
    await look(LOOK);
    const first = asked;
    await look(`sleep 1.5; ${LOOK}`); // longer than it is believed elsewhere
    assert.ok(asked - first < 10, `${asked - first} of ${first} asked again`);
    const looking = mount.run('exec python3 -c "$1" "$M/d/none" "$M/d/f1"', [LOOKING]);
    fs.writeFileSync(join(here, "d/none"), "after");
    fs.chmodSync(join(here, "d/f1"), 0o751);
    assert.equal((await looking).output, "seen\n");
    assert.match(await look("ls d"), /^none$/m);
    // An editor writes beside a file, and renames.
    fs.writeFileSync(join(here, "d/f2.new"), "after");
    fs.chmodSync(join(here, "d/f2.new"), 0o751);
    fs.renameSync(join(here, "d/f2.new"), join(here, "d/f2"));
    assert.equal((await mount.run('exec python3 -c "$1" "$M/d/f2" "$M/d/f2"', [LOOKING])).output, "seen\n");
  },
  { missing },
);
