import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { MiB } from "../../../src/base/bytes.ts";
import { AbortedError, IoError } from "../../../src/base/errors.ts";
import { CHUNK_BYTES, ContentDigest } from "../../../src/snapshot/content_digest.ts";
import { digestDisk } from "../../../src/snapshot/disk_content.ts";
import { copyDisk, dataRuns } from "../../../src/snapshot/disk_copy.ts";
import { usedRanges } from "../../../src/snapshot/used_ranges.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";
import { debugfs, ext4ToolsProblem, makeDisk, readDiskFile } from "./disks.ts";

const ext4 = { skip: ext4ToolsProblem };

test("ContentDigest is the digest of its size and of the digest of each MiB", () => {
  const random = seededRandom("content");
  const sizeBytes = 3 * CHUNK_BYTES + 1234;
  const content = new Uint8Array(sizeBytes);
  content.set(random.bytes(CHUNK_BYTES), CHUNK_BYTES);
  content.set(random.bytes(1234), 3 * CHUNK_BYTES);
  const expected = createHash("sha256");
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(sizeBytes));
  expected.update(size);
  for (let at = 0; at < sizeBytes; at += CHUNK_BYTES)
    expected.update(
      createHash("sha256")
        .update(content.subarray(at, at + CHUNK_BYTES))
        .digest(),
    );
  const digest = new ContentDigest(sizeBytes);
  digest.add({ offsetBytes: CHUNK_BYTES, bytes: content.subarray(CHUNK_BYTES, 2 * CHUNK_BYTES) });
  digest.add({ offsetBytes: 3 * CHUNK_BYTES, bytes: content.subarray(3 * CHUNK_BYTES) });
  assert.equal(digest.finish(), `sha256:${expected.digest("hex")}`);
  assert.notEqual(new ContentDigest(5).finish(), new ContentDigest(6).finish());
});

test("dataRuns() gives the blocks that are not zeros, and joins those with small gaps", () => {
  const bytes = new Uint8Array(10 * 4096 + 100);
  for (const at of [4096, 2 * 4096 + 5, 6 * 4096, 10 * 4096 + 99]) bytes[at] = 1;
  const runs = (gap?: number) => [...dataRuns(bytes, gap)].map(({ begin, end }) => [begin, end]);
  assert.deepEqual(runs(), [
    [4096, 3 * 4096],
    [6 * 4096, 7 * 4096],
    [10 * 4096, 10 * 4096 + 100],
  ]);
  assert.deepEqual(runs(3 * 4096), [[4096, 10 * 4096 + 100]]);
  assert.deepEqual([...dataRuns(new Uint8Array(8192))], []);
});

test(
  "usedRanges() are the blocks that dumpe2fs says are not free",
  async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "disk");
    const random = seededRandom("ranges");
    // Several groups, of which most have no bitmap yet.
    await makeDisk(path, 700, { a: random.bytes(3 * MiB + 5), b: random.bytes(1), c: random.bytes(200_000) });
    debugfs(path, ["-w"], "rm upper/a");
    await using file = await open(path, "r");
    const ranges = await Array.fromAsync(usedRanges(file, 700 * MiB));
    const used = new Set<number>();
    for (const { begin, end } of ranges) for (let at = begin; at < end; at += 4096) used.add(at / 4096);
    const free = new Set<number>();
    const report = execFileSync("dumpe2fs", [path], {
      stdio: ["ignore", "pipe", "ignore"],
      encoding: "utf8",
    });
    const blocks = Number(/^Block count: +(\d+)$/m.exec(report)?.[1]);
    for (const [, list = ""] of report.matchAll(/^ {2}Free blocks: (.*)$/gm)) {
      for (const [, first, last] of list.matchAll(/(\d+)(?:-(\d+))?/g))
        for (let block = Number(first); block <= Number(last ?? first); block++) free.add(block);
    }
    assert.equal(free.size, Number(/^Free blocks: +(\d+)$/m.exec(report)?.[1]));
    const wrong = Array.from({ length: blocks }, (_, block) => block).filter(
      (block) => used.has(block) === free.has(block),
    );
    assert.deepEqual(wrong.slice(0, 10), []);
    assert.equal(Math.max(...used) < blocks, true);
  },
  ext4,
);

test("usedRanges() is the whole disk where the maps cannot be trusted", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  await makeDisk(path, 64);
  const whole = [{ begin: 0, end: 64 * MiB }];
  const patched = async (offset: number, patch: (bytes: Buffer) => void) => {
    const bytes = readFileSync(path);
    patch(bytes.subarray(offset));
    const damaged = join(directory.path, "damaged");
    writeFileSync(damaged, bytes);
    await using file = await open(damaged, "r");
    return await Array.fromAsync(usedRanges(file, 64 * MiB));
  };
  assert.notDeepEqual(await patched(0, () => {}), whole);
  assert.deepEqual(await patched(1024 + 0x38, (bytes) => bytes.writeUInt16LE(0)), whole); // no magic
  assert.deepEqual(
    await patched(1024 + 0x60, (bytes) => bytes.writeUInt32LE(bytes.readUInt32LE() | 4)),
    whole,
  ); // journal
  assert.deepEqual(await patched(1024 + 0x60, (bytes) => bytes.writeUInt32LE(0x8000_0000)), whole); // unknown
  assert.deepEqual(await patched(1024 + 0x4, (bytes) => bytes.writeUInt32LE(0xffff_ffff)), whole); // larger than the file
  assert.deepEqual(await patched(1024 + 0x20, (bytes) => bytes.writeUInt32LE(0)), whole); // groups of nothing
  assert.deepEqual(await patched(4096, (bytes) => bytes.writeUInt32LE(0xffff_fff0)), whole); // a bitmap out of the disk
});

test(
  "copyDisk() copies what is in use into a sparse file that e2fsck finds right",
  async () => {
    using directory = temporaryDirectory();
    const [from, to] = [join(directory.path, "from"), join(directory.path, "to")];
    const random = seededRandom("copy");
    const bytes = random.bytes(5 * MiB + 17);
    const secret = Buffer.from("left over of a deleted file ".repeat(1000));
    await makeDisk(from, 256, { kept: bytes, gone: secret });
    debugfs(from, ["-w"], "rm upper/gone");
    let reported = 0;
    const copied = await copyDisk({
      from,
      to,
      onProgress: ({ doneBytes, totalBytes }) => {
        assert.ok(doneBytes >= reported && doneBytes <= totalBytes);
        reported = doneBytes;
      },
    });
    execFileSync("e2fsck", ["-fn", to], { stdio: "pipe" });
    assert.deepEqual(readDiskFile(to, "kept"), Buffer.from(bytes));
    assert.equal(copied.sizeBytes, 256 * MiB);
    assert.equal(statSync(to).size, 256 * MiB);
    assert.equal(statSync(to).mode & 0o777, 0o600);
    const digests = [await digestDisk(from), await digestDisk(to)];
    assert.equal(digests[0], digests[1]);
    if (copied.method === "reflink") return;
    assert.equal(copied.contentDigest, digests[0]);
    assert.ok(statSync(to).blocks * 512 < 16 * MiB, `${statSync(to).blocks} blocks`);
    assert.ok(!readFileSync(to).includes(secret.subarray(0, 4096)));
  },
  ext4,
);

test("copyDisk() copies a disk without a file system whole, holes as holes", async () => {
  using directory = temporaryDirectory();
  const [from, to] = [join(directory.path, "from"), join(directory.path, "to")];
  const random = seededRandom("plain");
  const content = Buffer.alloc(8 * MiB + 100);
  content.set(random.bytes(10_000), 3 * MiB - 500);
  content.set(random.bytes(1), content.length - 1);
  writeFileSync(from, content);
  await copyDisk({ from, to });
  assert.ok(readFileSync(to).equals(content));
  assert.equal(await digestDisk(from), await digestDisk(to));
});

test("copyDisk() leaves nothing when it is aborted, and nothing of others when the name is taken", async () => {
  using directory = temporaryDirectory();
  const [from, to] = [join(directory.path, "from"), join(directory.path, "to")];
  await makeDisk(from, 256);
  const controller = new AbortController();
  const copying = copyDisk({
    from,
    to,
    signal: controller.signal,
    onProgress: () => controller.abort("enough"),
  });
  const copied = await copying.then(
    ({ method }) => method,
    (error: unknown) => error,
  );
  if (copied !== "reflink") {
    assert(copied instanceof AbortedError, String(copied));
    assert.equal(existsSync(to), false);
  }
  writeFileSync(to, "somebody's");
  await assert.rejects(copyDisk({ from, to }), (error: unknown) => {
    assert(error instanceof IoError, String(error));
    assert.equal(error.errno, "EEXIST");
    return true;
  });
  if (copied !== "reflink") assert.equal(readFileSync(to, "utf8"), "somebody's");
  await assert.rejects(copyDisk({ from: join(directory.path, "none"), to: `${to}2` }), IoError);
  assert.deepEqual(readdirSync(directory.path).sort(), ["from", "to"], "nothing temporary is left");
});

test("digestDisk() changes with one byte in use, and not with one that is free", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  await makeDisk(path, 64, ext4ToolsProblem === undefined ? { file: new Uint8Array(5000).fill(7) } : {});
  const before = await digestDisk(path);
  const flip = async (offset: number) => {
    await using file = await open(path, "r+");
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, offset);
    await file.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, offset);
  };
  await flip(1024 + 0x200); // of the super block
  assert.notEqual(await digestDisk(path), before);
  await flip(1024 + 0x200);
  assert.equal(await digestDisk(path), before);
  await flip(64 * MiB - 1); // of a block that nobody uses
  assert.equal(await digestDisk(path), before);
  truncateSync(path, 65 * MiB);
  assert.notEqual(await digestDisk(path), before);
});
