/** Changes that are made on the host are seen in a mount at once, and inotify tells of them there. @module */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { MountFlag, MountNotice } from "../../../src/agent/protocol.ts";
import { Inotify } from "../../../src/ffi/inotify.ts";
import { Errno } from "../../../src/mount/errno.ts";
import { Opcode, ROOT_ID } from "../../../src/mount/fuse/constants.ts";
import { NodeTable } from "../../../src/mount/node_table.ts";
import { NoticeQueue } from "../../../src/mount/notices.ts";
import type { ProviderChange, ProviderOpenOptions } from "../../../src/mount/provider.ts";
import { DirectoryProvider } from "../../../src/mount/providers/directory_provider.ts";
import { MemoryFileSystem } from "../../../src/mount/providers/memory_file_system.ts";
import { AbsentNames } from "../../../src/mount/validity.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { FuseClient } from "../../support/mount/fuse_requests.ts";
import { GuestInotify } from "../../support/mount/guest_inotify.ts";
import { KernelMount, kernelMountProblem } from "../../support/mount/kernel_mount.ts";
import { filesBy } from "../../support/mount/shared_directory.ts";

/** Files of a checkout of a larger project. */
const BURST = 500;

const missing =
  kernelMountProblem ??
  (spawnSync("python3", ["-c", ""]).status === 0 ? undefined : "needs python3 to be told by inotify");

/** A directory here, and where it is mounted. */
async function watched(directory: string, isReadonly = false) {
  const here = join(directory, "here");
  const there = join(directory, "there");
  fs.mkdirSync(join(here, "sub"), { recursive: true });
  fs.writeFileSync(join(here, "old"), "old");
  const provider = DirectoryProvider.open(await filesBy(true), here, { inotify: await Inotify.load() });
  const flags = MountFlag.watch | (isReadonly ? MountFlag.readonly : 0);
  // What it was told is good for long: what is seen at once is seen since the kernel was told.
  const mount = await KernelMount.open(
    there,
    provider,
    { watch: true, isReadonly, validityMs: 600_000 },
    flags,
  );
  return { here, there, mount };
}

for (const isReadonly of [false, true])
  test(
    `MountServer has inotify in ${isReadonly ? "a read-only mount" : "a mount"} tell of what is done on the host`,
    async () => {
      using directory = temporaryDirectory();
      const { here, there, mount } = await watched(directory.path, isReadonly);
      await using _ = mount;
      // The kernel knows what is there, and believes it.
      await mount.run('ls -lR "$M"; cat "$M/old"');
      using inotify = await GuestInotify.start(there, join(there, "sub"));
      const told = async (change: () => void, ...events: readonly string[]) => {
        inotify.events.length = 0;
        change();
        for (const event of events) await inotify.until(event);
      };
      const seen = async (script: string) => (await mount.run(`cd "$M" && ${script}`)).output;
      await told(
        () => fs.writeFileSync(join(here, "new"), "hello"),
        `CREATE ${there}/new`,
        `MODIFY ${there}/new`,
        `CLOSE_WRITE ${there}/new`,
      );
      assert.equal(await seen("cat new"), "hello");
      await told(() => fs.writeFileSync(join(here, "old"), "not old"), `MODIFY ${there}/old`);
      assert.equal(await seen("cat old"), "not old");
      await told(() => fs.chmodSync(join(here, "old"), 0o751), `ATTRIB ${there}/old`);
      assert.equal(await seen("stat -c %a old"), "751\n");
      await told(
        () => fs.writeFileSync(join(here, "run"), "#!/bin/sh\n", { mode: 0o755 }),
        `CREATE ${there}/run`,
        `MODIFY ${there}/run`,
      );
      await told(
        () => fs.writeFileSync(join(here, "run"), "#!/bin/sh\necho ran", { mode: 0o755 }),
        `MODIFY ${there}/run`,
      );
      assert.equal(await seen("./run"), "ran\n");
      assert.ok(!inotify.events.includes(`CLOSE_WRITE ${there}/run`), "it can be run at any moment");
      await told(() => fs.rmSync(join(here, "run")), `DELETE ${there}/run`);
      await told(
        () => fs.renameSync(join(here, "old"), join(here, "sub/moved")),
        `MOVED_FROM ${there}/old`,
        `MOVED_TO ${there}/sub/moved`,
      );
      assert.equal(await seen("ls; cat sub/moved"), "new\nsub\nnot old");
      await told(
        () => fs.renameSync(join(here, "new"), join(here, "sub/moved")),
        `MOVED_TO ${there}/sub/moved`,
      );
      assert.equal(await seen("ls; cat sub/moved"), "sub\nhello");
      await told(() => fs.rmSync(join(here, "sub/moved")), `DELETE ${there}/sub/moved`);
      await told(() => fs.mkdirSync(join(here, "sub/dir")), `CREATE ${there}/sub/dir`);
      await told(() => fs.symlinkSync("sub", join(here, "link")), `CREATE ${there}/link`);
      await told(() => fs.linkSync(join(here, "link"), join(here, "link2")), `CREATE ${there}/link2`);
      assert.equal(await seen("ls; readlink link; ls -a sub"), "link\nlink2\nsub\nsub\n.\n..\ndir\n");
      await told(() => fs.rmdirSync(join(here, "sub/dir")), `DELETE ${there}/sub/dir`);
      await told(() => fs.rmdirSync(join(here, "sub")), `DELETE ${there}/sub`, `DELETE_SELF ${there}/sub`);
      assert.deepEqual(fs.readdirSync(here).sort(), ["link", "link2"], "the host is as the host made it");
      assert.equal(mount.server.usage.lostChanges, 0);
    },
    { missing },
  );

test(
  "MountServer repeats nothing that the guest did itself, and unmounts while it watches",
  async () => {
    using directory = temporaryDirectory();
    const { here, there, mount } = await watched(directory.path);
    await using _ = mount;
    using inotify = await GuestInotify.start(there);
    const script =
      "echo a > a; echo b >> a; chmod 600 a; mv a b; mkdir d; rmdir d; ln b c; rm b; truncate -s 1 c";
    const { code, output } = await mount.run(`cd "$M" && ${script}`);
    assert.equal(code, 0, output);
    fs.writeFileSync(join(here, "last"), "");
    await inotify.until(`CLOSE_WRITE ${there}/last`);
    const own = inotify.events.filter((event) => !event.endsWith("/last"));
    using directory2 = temporaryDirectory();
    using plain = await GuestInotify.start(directory2.path);
    await mount.run(`cd "$1" && ${script}; echo > last`, [directory2.path]);
    await plain.until(`CLOSE_WRITE ${directory2.path}/last`);
    const expected = plain.events.filter((event) => !event.endsWith("/last"));
    assert.deepEqual(
      own.map((event) => event.replace(there, "")),
      expected.map((event) => event.replace(directory2.path, "")),
    );
    assert.equal(await mount.unmount(), 0);
  },
  { missing },
);

test(
  "MountServer comes to show what the host has after many changes at once",
  async () => {
    using directory = temporaryDirectory();
    const { here, there, mount } = await watched(directory.path);
    await using _ = mount;
    await mount.run('find "$M" -type f | xargs cat');
    using inotify = await GuestInotify.start(there);
    for (let index = 0; index < BURST; index++) {
      fs.mkdirSync(join(here, `d${index % 50}`), { recursive: true });
      fs.writeFileSync(join(here, `d${index % 50}`, `f${index}`), `${index}`);
    }
    fs.mkdirSync(join(here, "new"));
    for (let index = 10; index < 20; index++)
      fs.renameSync(join(here, `d${index}`), join(here, "new", `e${index}`));
    for (let index = 20; index < 30; index++) fs.rmSync(join(here, `d${index}`), { recursive: true });
    for (let index = 10; index < 20; index++)
      fs.renameSync(join(here, "new", `e${index}`), join(here, `e${index}`));
    fs.writeFileSync(join(here, "last"), "last");
    await inotify.until(`CLOSE_WRITE ${there}/last`);
    const list = (path: string) =>
      mount.run('cd "$1" && find . -printf "%y %m %s %p\\n" | sort && find . -type f | sort | xargs cat', [
        path,
      ]);
    assert.equal((await list(there)).output, (await list(here)).output);
  },
  { missing, timeoutMs: 60_000 },
);

test(
  "MountServer shows what the host has once changes were lost, and says that they were",
  async () => {
    using directory = temporaryDirectory();
    const memory = new MemoryFileSystem({ "d/a": "before", b: "before" });
    let changed: (change: ProviderChange) => void = () => {};
    const provider = {
      attributes: (path: string) => memory.attributes(path),
      list: (path: string) => memory.list(path),
      open: (path: string, options: ProviderOpenOptions) => memory.open(path, options),
      watch: (callback: (change: ProviderChange) => void) => {
        changed = callback;
        return () => {};
      },
    };
    const there = join(directory.path, "there");
    const options = { watch: true, validityMs: 600_000 };
    await using mount = await KernelMount.open(there, provider, options, MountFlag.watch);
    const look = async () => (await mount.run('cd "$M" && cat b; cat d/a; ls d')).output;
    assert.equal(await look(), "beforebeforea\n");
    using inotify = await GuestInotify.start(there);
    memory.writeFile("b", "after!!");
    memory.writeFile("d/a", "after!!");
    memory.writeFile("d/c", "new");
    changed({ kind: "lost", path: "/" });
    await inotify.until(`ATTRIB ${there}`);
    assert.equal(await look(), "after!!after!!a\nc\n");
    assert.equal(mount.server.usage.lostChanges, 1);
    inotify.events.length = 0;
    memory.writeFile("own", "of a provider");
    changed({ kind: "created", path: "/own" });
    await inotify.until(`CREATE ${there}/own`);
  },
  { missing },
);

test("MountServer does nothing on the host for a program that claims to repeat its changes", async () => {
  const memory = new MemoryFileSystem({ file: "content" });
  const calls: string[] = [];
  const provider = new Proxy(memory, {
    get: (of, name) => {
      if (name === "watch") return () => () => {};
      const method = Reflect.get(of, name, of);
      if (typeof method !== "function") return method;
      return (...values: unknown[]) => {
        calls.push(String(name));
        return Reflect.apply(method, of, values);
      };
    },
  });
  const client = new FuseClient(provider, { watch: true });
  client.pid = 77;
  client.send(MountNotice.codeReplay, 0n);
  const file = await client.lookup(ROOT_ID, "file");
  const EPERM = Errno.EPERM;
  const READ_WRITE = 2;
  assert.equal(await client.errno(Opcode.create, ROOT_ID, READ_WRITE, 0o644, 0, 0, "new"), EPERM);
  assert.equal(await client.errno(Opcode.mkdir, ROOT_ID, 0o755, 0, "new"), EPERM);
  assert.equal(await client.errno(Opcode.symlink, ROOT_ID, "new", "target"), EPERM);
  assert.equal(await client.errno(Opcode.mknod, ROOT_ID, 0o100644, 0, 0, 0, "new"), EPERM);
  assert.equal(await client.errno(Opcode.unlink, ROOT_ID, "file"), EPERM);
  assert.equal(await client.errno(Opcode.rename, ROOT_ID, ROOT_ID, "file", "new"), EPERM);
  assert.equal(await client.errno(Opcode.link, ROOT_ID, file, "new"), EPERM);
  const handle = await client.open(file, READ_WRITE | 0o1000);
  assert.equal(await client.errno(Opcode.write, file, handle, 0n, 1, 0, 0n, 0, 0, Uint8Array.of(1)), EPERM);
  const size = 1 << 3;
  assert.equal(await client.errno(Opcode.setattr, file, size, 0, 0n, 0n, ...Array<bigint>(8).fill(0n)), 0);
  assert.equal(memory.readText("file"), "content");
  assert.deepEqual(new Set(calls), new Set(["attributes"]));
});

test("MountServer makes one batch of changes at a time, however often a guest says that it waits", async () => {
  let tell: (change: ProviderChange) => void = () => {};
  const provider = Object.assign(new MemoryFileSystem(), {
    watch: (changed: (change: ProviderChange) => void) => {
      tell = changed;
      return () => {};
    },
  });
  const client = new FuseClient(provider, { watch: true });
  for (let index = 0; index < 20_000; index++) tell({ kind: "removed", path: `/file${index}` });
  for (let index = 0; index < 100; index++) client.send(MountNotice.codeReplay, 0n);
  await nextTimer();
  assert.equal(client.replyCount, 1);
  client.send(MountNotice.codeReplay, 0n);
  await nextTimer();
  assert.equal(client.replyCount, 2, "the rest comes when it is waited for");
  await client.server.close();
});

test("NoticeQueue keeps no file that is not waited for any more", () => {
  const nodes = new NodeTable(10);
  const queue = new NoticeQueue(nodes, new AbsentNames(), new MemoryFileSystem());
  void queue.forget(nodes.root);
  assert.equal(queue.isEmpty, false);
  queue.giveUp(nodes.root);
  assert.equal(queue.isEmpty, true);
});

test("DirectoryProvider watches what is in a directory that is renamed before it was looked through", async () => {
  using directory = temporaryDirectory();
  const names = Array.from({ length: 100 }, (_, index) => `d${index}`);
  for (const name of names) fs.mkdirSync(join(directory.path, name, "sub"), { recursive: true });
  const inotify = await Inotify.load();
  const provider = DirectoryProvider.open(await filesBy(true), directory.path, { inotify });
  const changes: string[] = [];
  const end = provider.watch?.(({ kind, path }) => changes.push(`${kind} ${path}`));
  await nextTimer(); // the root was looked through, and its directories wait for it
  const renamed = names.map((name) => `renamed-${name}`);
  names.forEach((name, index) => {
    fs.renameSync(join(directory.path, name), join(directory.path, renamed[index] ?? ""));
  });
  provider.makeDirectory("/own", 0o755); // takes what the kernel has told so far
  for (let turn = 0; turn < 10; turn++) await nextTimer();
  for (const name of renamed) fs.writeFileSync(join(directory.path, name, "sub/file"), "");
  provider.makeDirectory("/own2", 0o755);
  assert.deepEqual(
    renamed.filter((name) => !changes.includes(`created /${name}/sub/file`)),
    [],
  );
  end?.();
  provider.close();
});

function nextTimer(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
