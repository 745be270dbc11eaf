/** What a guest that lies, or another process of this machine, may try with a {@linkcode TreeWriter}. @module */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { FileKind } from "../../../../../src/agent/file_messages.ts";
import { type CopyLimitName, FileCopyLimitError } from "../../../../../src/sandbox/files/copy_errors.ts";
import { parseCopyToHost } from "../../../../../src/sandbox/files/copy_options.ts";
import { CopyTally } from "../../../../../src/sandbox/files/copy_result.ts";
import { TreeWriter } from "../../../../../src/sandbox/files/host_tree/tree_writer.ts";
import { directoryEntry, guestEntry, symlinkEntry } from "../../../../support/files/guest_entries.ts";
import { listTree } from "../../../../support/files/tree_listing.ts";
import { type Sent, WriterRoom } from "../../../../support/files/writer_room.ts";
import { test } from "../../../../support/harness.ts";

const top = directoryEntry("");

for (const [name, path] of [
  ["a parent", ".."],
  ["the directory itself", "."],
  ["an absolute path", "/tmp/x"],
  ["a path up", "../x"],
  ["an empty part", "d//x"],
  ["an empty name at the end", "d/"],
  ["a path up in the middle", "d/../x"],
  ["a path up at the end", "d/.."],
  ["a NUL", "a\0b"],
  ["a name of 256 bytes", "n".repeat(256)],
  ["a parent that it has not sent", "absent/x"],
  ["a parent that is a file", "file/x"],
  ["a parent that is a link", "link/x"],
] as const) {
  test(`TreeWriter refuses a guest's path: ${name}`, async () => {
    using room = new WriterRoom();
    const link = symlinkEntry("link", room.outside);
    const sent = [top, directoryEntry("d"), guestEntry("file"), link, guestEntry(path), "evil"];
    await room.refuses(sent, /^the sandbox sends /);
    await room.refuses([top, link, directoryEntry("d"), directoryEntry(path)], /^the sandbox sends /);
    await room.refuses([top, link, directoryEntry("d"), symlinkEntry(path, "x")], /^the sandbox sends /);
  });
}

test("TreeWriter refuses a directory in place of a link that the guest has sent before, and the reverse", async () => {
  using room = new WriterRoom();
  const link = symlinkEntry("d", room.outside);
  await room.refuses(
    [top, link, directoryEntry("d"), guestEntry("d/x"), "evil"],
    /is in the way: it is not a directory/,
  );
  assert.equal(readlinkSync(room.at("d")), room.outside);
  using second = new WriterRoom();
  await second.refuses([top, directoryEntry("d"), symlinkEntry("d", second.outside)], /is in the way/);
  assert(lstatSync(second.at("d")).isDirectory());
});

test("TreeWriter follows no link that was in the target", async () => {
  using room = new WriterRoom();
  mkdirSync(room.target);
  symlinkSync(room.outside, room.at("d"));
  symlinkSync(join(room.outside, "kept"), room.at("f"));
  symlinkSync(join(room.outside, "new"), room.at("g"));
  await room.refuses(
    [top, directoryEntry("d"), guestEntry("d/x"), "evil"],
    /is in the way: it is not a directory/,
  );
  await room.write([top, guestEntry("f"), "replaced", guestEntry("g"), "replaced"]);
  room.checkOutside();
  assert(lstatSync(room.at("f")).isFile());
  assert(lstatSync(room.at("g")).isFile());
});

test("TreeWriter does not write through a hard link that was in the target", async () => {
  using room = new WriterRoom();
  mkdirSync(room.target);
  linkSync(join(room.outside, "kept"), room.at("f"));
  await room.write([top, guestEntry("f", { mode: 0o600 }), "new"]);
  room.checkOutside();
  assert.equal(readFileSync(room.at("f"), "utf8"), "new");
  assert.equal(statSync(join(room.outside, "kept")).mode & 0o777, 0o644);
});

test("TreeWriter replaces a FIFO instead of waiting for its other end", async () => {
  using room = new WriterRoom();
  mkdirSync(room.target);
  execFileSync("mkfifo", [room.at("f")]);
  await room.write([top, guestEntry("f"), "new"]);
  assert.equal(readFileSync(room.at("f"), "utf8"), "new");
});

test("TreeWriter takes over neither set-id bits nor a time before 1970", async () => {
  using room = new WriterRoom();
  await room.write([
    directoryEntry("", { mode: 0o7777 }),
    guestEntry("f", { mode: 0o6755, modifiedNs: -(2n ** 63n) }),
    "#!/bin/sh",
  ]);
  assert.equal(statSync(room.target).mode & 0o7777, 0o777);
  assert.equal(statSync(room.at("f")).mode & 0o7777, 0o755);
  assert.equal(statSync(room.at("f")).mtimeMs, 0);
});

test("TreeWriter leaves special files out, and tells of them", async () => {
  using room = new WriterRoom();
  await room.write([
    top,
    guestEntry("fifo", { kind: FileKind.fifo }),
    guestEntry("socket", { kind: FileKind.socket }),
    guestEntry("tty", { kind: FileKind.characterDevice }),
    guestEntry("sda", { kind: FileKind.blockDevice }),
  ]);
  assert.deepEqual(readdirSync(room.target), []);
  assert.deepEqual(room.tally.result.skipped, [
    { path: "fifo", reason: "fifo" },
    { path: "socket", reason: "socket" },
    { path: "tty", reason: "device" },
    { path: "sda", reason: "device" },
  ]);
  await room.refuses([guestEntry("", { kind: FileKind.characterDevice })], /^it is a device/);
  await room.refuses([top, guestEntry("x", { kind: 99 })], /of kind 99/);
});

test("TreeWriter refuses what is no tree", async () => {
  using room = new WriterRoom();
  await room.refuses([], /sends nothing/);
  await room.refuses([guestEntry("f"), "x"], /does not begin with the top/);
  await room.refuses([top, top], /a name that is empty/);
  await room.refuses([top, "content"], /belongs to no file/);
  await room.refuses([top, guestEntry("f"), ""], /belongs to no file/);
  await room.refuses([top, guestEntry("f"), "a", symlinkEntry("l", "f"), "b"], /belongs to no file/);
  using file = new WriterRoom();
  await file.refuses([guestEntry(""), "a", guestEntry("f"), "b"], /before the directory that it is in/);
  await room.refuses([top, symlinkEntry("l", "")], /leads nowhere/);
  await room.refuses([top, symlinkEntry("l", "a\0b")], /leads nowhere/);
  await room.refuses([top, symlinkEntry("l", "x".repeat(4096))], /leads nowhere/);
});

for (const [limit, max, sent] of [
  ["entriesMax", 3, [top, guestEntry("a"), guestEntry("b"), guestEntry("c")]],
  ["depthMax", 2, [top, directoryEntry("a"), directoryEntry("a/b")]],
  ["bytesMax", 5, [top, guestEntry("a"), "abc", guestEntry("b"), "def"]],
  ["fileBytesMax", 5, [top, guestEntry("a"), "abc", { hole: 3 }]],
  ["fileBytesMax", 2 ** 40, [top, guestEntry("a"), { hole: Number.MAX_SAFE_INTEGER }]],
] as const satisfies readonly (readonly [CopyLimitName, number, readonly Sent[]])[]) {
  test(`TreeWriter takes no more than ${limit} (${max})`, async () => {
    using room = new WriterRoom();
    await assert.rejects(room.write(sent, { [limit]: max }), (error) => {
      assert(error instanceof FileCopyLimitError);
      assert.deepEqual([error.limit, error.max], [limit, max]);
      return true;
    });
    assert.deepEqual(
      listTree(room.target).filter((line) => line.includes(".msb-")),
      [],
    );
    room.checkOutside();
  });
}

test("TreeWriter takes what is exactly at its limits", async () => {
  using room = new WriterRoom();
  const limits = { entriesMax: 3, depthMax: 2, bytesMax: 3, fileBytesMax: 5 };
  await room.write([top, directoryEntry("a"), guestEntry("a/f"), "abc", { hole: 2 }], limits);
  assert.deepEqual(readFileSync(room.at("a/f")), Buffer.from("abc\0\0"));
});

test("TreeWriter does not link to what another process has put in a file's place", async () => {
  using room = new WriterRoom();
  using writer = new TreeWriter(room.target, parseCopyToHost({}), new CopyTally());
  writer.take(top);
  writer.take(guestEntry("a", { links: 2 }));
  writer.take(directoryEntry("d"));
  execFileSync("ln", ["-f", join(room.outside, "kept"), room.at("a")]);
  writer.take(guestEntry("d/b", { links: 2 }));
  assert.throws(() => writer.take(guestEntry("d/c")), /was replaced before it could be linked to/);
  assert.deepEqual(readdirSync(room.at("d")), []);
});

test("TreeWriter refuses a top that is a directory where a file is", async () => {
  using room = new WriterRoom();
  writeFileSync(room.target, "file");
  await room.refuses([top], /is there and is not a directory/);
  assert.equal(readFileSync(room.target, "utf8"), "file");
});
