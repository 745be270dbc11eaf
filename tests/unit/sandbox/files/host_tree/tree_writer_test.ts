import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { parseCopyToHost } from "../../../../../src/sandbox/files/copy_options.ts";
import { CopyTally } from "../../../../../src/sandbox/files/copy_result.ts";
import { TreeWriter } from "../../../../../src/sandbox/files/host_tree/tree_writer.ts";
import {
  bytesOf,
  directoryEntry,
  guestEntry,
  symlinkEntry,
} from "../../../../support/files/guest_entries.ts";
import { listTree } from "../../../../support/files/tree_listing.ts";
import { type Sent, UNREAD, WriterRoom } from "../../../../support/files/writer_room.ts";
import { test } from "../../../../support/harness.ts";

const top = directoryEntry("");

test("TreeWriter writes directories, files and links with mode and time", async () => {
  using room = new WriterRoom();
  await room.write([
    directoryEntry("", { mode: 0o750 }),
    guestEntry("a", { mode: 0o640, modifiedNs: 1_600_000_000_123_456_000n }),
    "hel",
    "lo",
    directoryEntry("d", { mode: 0o555, modifiedNs: 1_500_000_000_000_000_000n }),
    guestEntry("d/empty"),
    symlinkEntry("d/link", "../a", { modifiedNs: 1_400_000_000_000_000_000n }),
    guestEntry("z", { mode: 0o755 }),
    "z",
  ]);
  assert.deepEqual(listTree(room.target), [
    ". directory",
    "a file 5 2cf24dba5fb0a30e links 1",
    "d directory",
    "d/empty file 0 e3b0c44298fc1c14 links 1",
    "d/link -> ../a",
    "z file 1 594e519ae499312b links 1",
  ]);
  assert.equal(statSync(room.target).mode & 0o7777, 0o750);
  assert.equal(statSync(room.at("a")).mode & 0o7777, 0o640);
  const microseconds = "Deno" in globalThis ? 0 : 0.456; // Deno tells times to the millisecond
  assert.equal(statSync(room.at("a")).mtimeMs, 1_600_000_000_123 + microseconds);
  assert.equal(statSync(room.at("d")).mode & 0o7777, 0o555);
  assert.equal(statSync(room.at("d")).mtimeMs, 1_500_000_000_000);
  assert.equal(lstatSync(room.at("d/link")).mtimeMs, 1_400_000_000_000);
  chmodSync(room.at("d"), 0o755);
  const { skipped, skippedCount, ...counts } = room.tally.result;
  assert.deepEqual(counts, { files: 3, directories: 2, links: 1, bytes: 6 });
});

test("TreeWriter writes a single file to exactly the target, and makes its parents", async () => {
  using room = new WriterRoom();
  using writer = new TreeWriter(room.at("p/q/file"), parseCopyToHost({}), new CopyTally());
  writer.take(guestEntry(""));
  await writer.write(bytesOf("one"));
  assert.deepEqual(
    readdirSync(room.at("p/q")).filter((name) => !name.startsWith(".msb-")),
    [],
  );
  writer.finish();
  assert.deepEqual(readdirSync(room.at("p/q")), ["file"]);
  assert.equal(readFileSync(room.at("p/q/file"), "utf8"), "one");
});

test("TreeWriter merges into directories that are there, which keep mode and other files", async () => {
  using room = new WriterRoom();
  mkdirSync(room.at("d"), { recursive: true });
  chmodSync(room.target, 0o711);
  chmodSync(room.at("d"), 0o700);
  writeFileSync(room.at("d/old"), "old");
  await room.write([
    directoryEntry("", { mode: 0o777 }),
    directoryEntry("d", { mode: 0o777 }),
    guestEntry("d/new"),
  ]);
  assert.deepEqual(readdirSync(room.at("d")).sort(), ["new", "old"]);
  assert.equal(statSync(room.target).mode & 0o777, 0o711);
  assert.equal(statSync(room.at("d")).mode & 0o777, 0o700);
});

test("TreeWriter refuses a file in place of a directory, and a directory in place of a file", async () => {
  using room = new WriterRoom();
  mkdirSync(room.at("d"), { recursive: true });
  writeFileSync(room.at("f"), "old");
  await room.refuses([top, guestEntry("d"), "x"], /d is in the way: it is not a file/);
  await room.refuses([top, directoryEntry("f")], /f is in the way: it is not a directory/);
  assert.deepEqual(readdirSync(room.target).sort(), ["d", "f"]);
});

test("TreeWriter keeps holes, at the end as well", async () => {
  using room = new WriterRoom();
  await room.write([top, guestEntry("f"), { hole: 1 << 30 }, "middle", { hole: 1 << 30 }]);
  const { size, blocks } = statSync(room.at("f"));
  assert.equal(size, 2 * (1 << 30) + 6);
  assert(blocks * 512 < 1 << 20, `${blocks} blocks`);
  const descriptor = openSync(room.at("f"), "r");
  const found = Buffer.alloc(16);
  readSync(descriptor, found, 0, found.length, (1 << 30) - 4);
  closeSync(descriptor);
  assert.equal(found.toString(), "\0\0\0\0middle\0\0\0\0\0\0");
});

test("TreeWriter shows no file before it is complete", async () => {
  using room = new WriterRoom();
  mkdirSync(room.target);
  writeFileSync(room.at("f"), "old");
  {
    using writer = new TreeWriter(room.target, parseCopyToHost({}), new CopyTally());
    writer.take(top);
    writer.take(guestEntry("f"));
    await writer.write(bytesOf("half of the new"));
    writer.take(guestEntry("g"));
    assert.equal(readFileSync(room.at("f"), "utf8"), "half of the new");
    await writer.write(bytesOf("half"));
  }
  assert.deepEqual(readdirSync(room.target), ["f"]);
});

test("TreeWriter makes hard links of files that are one in the guest", async () => {
  using room = new WriterRoom();
  const one = { links: 3, inode: 7n };
  await room.write([
    top,
    directoryEntry("d"),
    guestEntry("d/a", one),
    "content",
    guestEntry("d/other", { links: 2, inode: 8n }),
    "other",
    guestEntry("e", one),
    "content",
    guestEntry("f", one),
    { hole: 7 },
  ]);
  const inodes = ["d/a", "e", "f"].map((path) => statSync(room.at(path)).ino);
  assert.equal(new Set(inodes).size, 1);
  assert.equal(statSync(room.at("e")).nlink, 3);
  assert.equal(readFileSync(room.at("f"), "utf8"), "content");
  assert.equal(readFileSync(room.at("d/other"), "utf8"), "other");
  assert.equal(room.tally.result.files, 4);
  await room.write([top, guestEntry("e", one), "again", guestEntry("f", one), "again"]);
  assert.equal(readFileSync(room.at("f"), "utf8"), "again");
  assert.deepEqual(readdirSync(room.target).sort(), ["d", "e", "f"]);
});

test("TreeWriter stops at what the guest could not read, or leaves it out", async () => {
  using room = new WriterRoom();
  const sent: Sent[] = [
    top,
    guestEntry("f"),
    "half",
    UNREAD,
    guestEntry("g"),
    UNREAD,
    directoryEntry("d"),
    UNREAD,
  ];
  await room.refuses(sent, /it cannot be read/);
  await room.write(sent, { skipUnreadable: true });
  assert.deepEqual(listTree(room.target), [". directory", "d directory"]);
  assert.deepEqual(
    room.tally.result.skipped.map(({ path, reason }) => [path, reason]),
    [
      ["f", "unreadable"],
      ["g", "unreadable"],
      ["d", "unreadable"],
    ],
  );
});

test("TreeWriter leaves out what the filter does, a directory with all that is in it", async () => {
  using room = new WriterRoom();
  const asked: string[] = [];
  const filter = (path: string) => {
    asked.push(path);
    return path !== "d" && path !== "f";
  };
  await room.write(
    [
      top,
      directoryEntry("d"),
      guestEntry("d/x"),
      "x",
      directoryEntry("d/e"),
      guestEntry("dd"),
      guestEntry("f"),
      "x",
    ],
    { filter },
  );
  assert.deepEqual(readdirSync(room.target), ["dd"]);
  assert.deepEqual(asked, ["d", "dd", "f"]);
  assert.equal(room.tally.result.skippedCount, 0);
});

test("TreeWriter keeps names that are not UTF-8, or tells that this runtime cannot", async () => {
  using room = new WriterRoom();
  const name = Buffer.from([0x66, 0xff]);
  const sent = [top, guestEntry(name), "x", guestEntry("\ufeffbom"), symlinkEntry("l", name)];
  if ("Deno" in globalThis) {
    await room.refuses(sent, /its name is not UTF-8/);
    await room.write(sent, { skipUnreadable: true });
    assert.deepEqual(readdirSync(room.target), ["\ufeffbom"]);
    assert.deepEqual(
      room.tally.result.skipped.map(({ reason }) => reason),
      ["name", "name"],
    );
  } else {
    await room.write(sent);
    const names = readdirSync(room.target, { encoding: "buffer" }).map((found) => found.toString("hex"));
    assert.deepEqual(names.sort(), ["66ff", "6c", "efbbbf626f6d"]);
    assert.equal(readlinkSync(room.at("l"), { encoding: "buffer" }).toString("hex"), "66ff");
  }
});

test("TreeWriter holds no descriptor when it is done or has failed", async () => {
  using room = new WriterRoom();
  const count = () => readdirSync("/proc/self/fd").length;
  await room.write([top, guestEntry("warm")]);
  const before = count();
  await room.write([top, directoryEntry("a"), directoryEntry("a/b"), guestEntry("a/b/f"), "x"]);
  await room.refuses(
    [top, directoryEntry("a"), directoryEntry("a/b"), guestEntry("a/b/f"), guestEntry("..")],
    /name/,
  );
  assert.equal(count(), before);
});
