import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import type { FsChange, FsWatch } from "../../../../mod.ts";
import { FileChange } from "../../../../src/agent/file_messages.ts";
import { encodeUtf8 } from "../../../../src/base/bytes.ts";
import { SandboxFsOps } from "../../../../src/sandbox/files/fs_ops.ts";
import { attributes, FakeFileGuest, type FakeFileSession } from "../../../support/guest/fake_files.ts";
import { fileTest, sessionPids } from "../../../support/guest/native_files.ts";
import { test } from "../../../support/harness.ts";
import { eventually } from "../../../support/processes.ts";

/** Takes changes until one of the kind is about the path; gives all of them in short. */
async function until(watch: FsWatch, kind: FsChange["kind"], path: string): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const change = await watch.recv();
    assert.ok(change !== null, `the watch ended after ${seen.join(", ")}`);
    seen.push(`${change.kind} ${change.path}`);
    if (change.kind === kind && change.path === path) return seen;
  }
}

fileTest("SandboxFsOps.watch() tells of every kind of change in a directory", async ({ fs, at, host }) => {
  mkdirSync(at("in/sub"), { recursive: true });
  mkdirSync(at("out"));
  const watch = fs.watch(at("in"));
  await watch.ready;
  const first = watch.recv();
  writeFileSync(at("in/file"), "");
  const created = await first;
  assert.deepEqual(
    [created?.kind, created?.path, created?.isDirectory, created?.previousPath],
    ["created", at("in/file"), false, undefined],
  );
  appendFileSync(at("in/file"), "more");
  await until(watch, "modified", at("in/file"));
  chmodSync(at("in/file"), 0o600);
  await until(watch, "attributes", at("in/file"));
  renameSync(at("in/file"), at("in/renamed"));
  const renamed = await watch.recv();
  assert.deepEqual(
    [renamed?.kind, renamed?.path, renamed?.previousPath],
    ["renamed", at("in/renamed"), at("in/file")],
  );
  renameSync(at("in/renamed"), at("out/moved"));
  assert.deepEqual(await until(watch, "removed", at("in/renamed")), [`removed ${at("in/renamed")}`]);
  renameSync(at("out/moved"), at("in/back"));
  assert.deepEqual(await until(watch, "created", at("in/back")), [`created ${at("in/back")}`]);
  unlinkSync(at("in/back"));
  await until(watch, "removed", at("in/back"));
  writeFileSync(at("in/sub/deep"), ""); // not told: it is not recursive
  mkdirSync(at("in/new"));
  const made = await watch.recv();
  assert.deepEqual([made?.kind, made?.path, made?.isDirectory], ["created", at("in/new"), true]);
  rmSync(at("in"), { recursive: true });
  await until(watch, "gone", at("in"));
  assert.equal(await watch.recv(), null);
  await eventually(() => assert.deepEqual(sessionPids(host), []));
});

fileTest(
  "SandboxFsOps.watch() with recursive tells of a tree, new directories included",
  async ({ fs, at }) => {
    mkdirSync(at("in/a/b"), { recursive: true });
    await using watch = fs.watch(at("in"), { recursive: true });
    await watch.ready;
    writeFileSync(at("in/a/b/deep"), "");
    await until(watch, "created", at("in/a/b/deep"));
    mkdirSync(at("in/new/newer/newest"), { recursive: true });
    writeFileSync(at("in/new/newer/newest/file"), "");
    await until(watch, "created", at("in/new/newer/newest/file"));
    renameSync(at("in/new"), at("in/a/moved"));
    await until(watch, "renamed", at("in/a/moved"));
    writeFileSync(at("in/a/moved/newer/again"), "");
    await until(watch, "created", at("in/a/moved/newer/again"));
  },
);

fileTest(
  "SandboxFsOps.watch() tells of one file, and of names that are not UTF-8",
  async ({ fs, at, directory }) => {
    writeFileSync(at("file"), "");
    {
      await using watch = fs.watch(at("file"));
      await watch.ready;
      appendFileSync(at("file"), "x");
      await until(watch, "modified", at("file"));
    }
    await using watch = fs.watch(at(""));
    await watch.ready;
    const name = Buffer.concat([encodeUtf8(`${directory}/`), Buffer.from([0x6e, 0xff])]);
    await fs.write(name, "");
    assert.deepEqual(Buffer.from((await watch.recv())?.pathBytes ?? []), name);
  },
);

fileTest(
  "SandboxFsOps.watch() ends by its signal, by leaving a loop, and if there is nothing",
  async (files) => {
    const { fs, at, host } = files;
    const none = fs.watch(at("none"));
    await assert.rejects(none.ready, { code: "fileNotFound", operation: "watch" });
    await assert.rejects(none.recv(), { code: "fileNotFound" });
    const abort = new AbortController();
    const aborted = fs.watch(at(""), { signal: abort.signal });
    await aborted.ready;
    const next = aborted.recv();
    abort.abort("enough");
    await assert.rejects(next, { code: "aborted", cause: "enough" });
    const left = fs.watch(at(""));
    await left.ready;
    symlinkSync("x", at("link"));
    for await (const change of left) {
      assert.equal(change.path, at("link"));
      break;
    }
    await fs.watch(at("")).cancel(); // before it stands
    await eventually(() => assert.deepEqual(sessionPids(host), []));
  },
);

fileTest("SandboxFsOps.watch() misses nothing of what waits for a slow reader", async ({ fs, at }) => {
  const watch = fs.watch(at(""));
  await watch.ready;
  for (let i = 0; i < 1000; i++) mkdirSync(at(`directory-${i}`));
  for (let i = 0; i < 1000; i++) {
    const change = await watch.recv();
    assert.deepEqual([change?.kind, change?.path], ["created", at(`directory-${i}`)]);
  }
  await watch.cancel();
});

/** A watch of a guest that tells what the test likes. */
async function fakeWatch(tell: (peer: FakeFileSession, id: number) => void): Promise<FsWatch> {
  const guest = await FakeFileGuest.start((peer, { id }) => {
    peer.answer("opened", id, attributes());
    tell(peer, id);
  });
  const fs = new SandboxFsOps({ connect: async () => guest.client }, { user: "", cwd: "/" });
  return fs.watch("/w");
}

function change(kind: number, path: string, cookie = 0) {
  return { kind, isDirectory: 0, cookie, path: encodeUtf8(path) };
}

fileTest("FsWatch and streams that end with the sandbox say so", async ({ fs, host, at }) => {
  writeFileSync(at("big"), new Uint8Array(2_000_000));
  const watch = fs.watch(at(""));
  await watch.ready;
  const stream = await fs.readStream(at("big"));
  await stream.recv();
  const rest = assert.rejects(stream.collect(), { code: "sandboxFsOps", kind: "shuttingDown" });
  const next = assert.rejects(watch.recv(), (error) => {
    assert.match(String(error), /: the sandbox is shutting down$/);
    return true;
  });
  await host.link.shutdown(5_000, 10_000);
  await next;
  await rest;
});

fileTest("FsWatch whose program alone is ended says how", async ({ fs, host, at }) => {
  const watch = fs.watch(at(""));
  await watch.ready;
  for (const pid of sessionPids(host)) process.kill(pid, "SIGTERM");
  await assert.rejects(watch.recv(), /was killed by signal 15$/);
});

test("FsWatch joins the halves of a rename, whatever comes between them", async () => {
  const watch = await fakeWatch((peer, id) => {
    peer.answer("change", id, change(FileChange.movedFrom, "a", 1));
    peer.answer("change", id, change(FileChange.movedFrom, "x", 2));
    peer.answer("change", id, change(FileChange.modified, "other"));
    peer.answer("change", id, change(FileChange.movedTo, "y", 2));
    peer.answer("change", id, change(FileChange.movedTo, "b", 1));
    peer.answer("change", id, change(FileChange.movedTo, "c", 3));
    peer.answer("change", id, change(FileChange.movedFrom, "d", 4));
    peer.answer("change", id, change(FileChange.overflow, ""));
    peer.answer("change", id, change(99, "later"));
    peer.answer("done", id, {});
  });
  const seen: unknown[] = [];
  for await (const { kind, path, previousPath } of watch) seen.push([kind, path, previousPath]);
  assert.deepEqual(seen, [
    ["renamed", "/w/b", "/w/a"],
    ["renamed", "/w/y", "/w/x"],
    ["modified", "/w/other", undefined],
    ["created", "/w/c", undefined],
    ["removed", "/w/d", undefined],
    ["overflow", "/w", undefined],
    ["overflow", "/w/later", undefined],
  ]);
});

test("FsWatch holds only so many changes for the second half of a rename, and no window more", async () => {
  const watch = await fakeWatch((peer, id) => {
    peer.answer("change", id, change(FileChange.movedFrom, "a", 1));
    for (let i = 0; i < 20_000; i++) peer.answer("change", id, change(FileChange.modified, `${i}`));
    peer.answer("change", id, change(FileChange.movedTo, "b", 1));
    peer.answer("done", id, {});
  });
  const seen: string[] = [];
  for await (const { kind } of watch) seen.push(kind);
  assert.equal(seen.length, 20_002);
  assert.deepEqual([seen[0], seen.at(-1)], ["removed", "created"]);
});

test("FsWatch tells of a removal though nothing follows it", async () => {
  const watch = await fakeWatch((peer, id) =>
    peer.answer("change", id, change(FileChange.movedFrom, "a", 1)),
  );
  assert.equal((await watch.recv())?.kind, "removed");
  await watch.cancel();
});

test("FsWatch errors if the guest tells what it cannot", async () => {
  const watch = await fakeWatch((peer, id) =>
    peer.answer("entry", id, { path: encodeUtf8("x"), target: encodeUtf8(""), ...attributes() }),
  );
  await assert.rejects(watch.recv(), { code: "protocol" });
});

for (const path of ["..", "../x", "a/../../x", "/etc/passwd", "a//b", "a/", "./a", "a\0b"])
  test(`FsWatch errors if the guest tells of a change at ${JSON.stringify(path)}`, async () => {
    const watch = await fakeWatch((peer, id) => peer.answer("change", id, change(FileChange.modified, path)));
    await assert.rejects(watch.recv(), { code: "protocol" });
  });
