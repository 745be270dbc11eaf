/** @module */
import assert from "node:assert/strict";
import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { GiB, MiB } from "../../../../src/base/bytes.ts";
import { EXT4_SIZE_BYTES_MIN, formatExt4, readExt4Superblock } from "../../../../src/image/ext4.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { oraclesMissing, runSuccessfully, UUID } from "./tools.ts";

function patch(path: string, offsetBytes: number, bytes: readonly number[]): void {
  const file = openSync(path, "r+");
  try {
    writeSync(file, Uint8Array.from(bytes), 0, bytes.length, offsetBytes);
  } finally {
    closeSync(file);
  }
}

test("readExt4Superblock() returns what formatExt4() was given", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  const made = await formatExt4({ path, sizeBytes: 1 * GiB, label: "sixteen bytes ok", uuid: UUID });
  const read = await readExt4Superblock(path);
  assert.deepEqual(read, made);
  assert.deepEqual(
    { ...read, freeBytes: undefined },
    {
      label: "sixteen bytes ok",
      uuid: UUID,
      blockSizeBytes: 4096,
      sizeBytes: 1 * GiB,
      freeBytes: undefined,
      inodeCount: 131_072,
      freeInodeCount: 131_072 - 11,
      state: "clean",
    },
  );
});

test(
  "readExt4Superblock() reads a disk of mke2fs with blocks of 1 KiB and without 64-bit numbers",
  async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "disk");
    writeFileSync(path, "");
    truncateSync(path, 20 * MiB);
    const args = ["-b", "1024", "-O", "^64bit,^metadata_csum", "-L", "small", "-U", UUID, path];
    runSuccessfully("mke2fs", "-q", "-t", "ext4", ...args);
    const read = await readExt4Superblock(path);
    assert.deepEqual(
      [read.label, read.uuid, read.blockSizeBytes, read.sizeBytes, read.state],
      ["small", UUID, 1024, 20 * MiB, "clean"],
    );
  },
  { skip: oraclesMissing },
);

test(
  "readExt4Superblock() sees a journal to replay, and errors that the kernel noted",
  async () => {
    for (const [request, state] of [
      ["feature needs_recovery", "needsRecovery"],
      ["ssv state 0", "needsRecovery"],
      ["ssv state 3", "hasErrors"],
    ] as const) {
      using directory = temporaryDirectory();
      const path = join(directory.path, "disk");
      await formatExt4({ path, sizeBytes: EXT4_SIZE_BYTES_MIN });
      runSuccessfully("debugfs", "-w", "-R", request, path);
      assert.equal((await readExt4Superblock(path)).state, state, request);
    }
  },
  { skip: oraclesMissing },
);

test("readExt4Superblock() refuses a superblock with one byte changed", async () => {
  for (const offset of [0, 4, 0x68, 0x78, 0x200, 0x3fc]) {
    using directory = temporaryDirectory();
    const path = join(directory.path, "disk");
    await formatExt4({ path, sizeBytes: EXT4_SIZE_BYTES_MIN, uuid: UUID });
    patch(path, 1024 + offset, [0xee]);
    await assert.rejects(readExt4Superblock(path), {
      name: "Ext4InvalidError",
      code: "diskInvalid",
      path,
      problem: "superblock checksum does not match",
    });
  }
});

test("readExt4Superblock() refuses a file that ends before its file system", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  await formatExt4({ path, sizeBytes: EXT4_SIZE_BYTES_MIN });
  truncateSync(path, EXT4_SIZE_BYTES_MIN - 1);
  await assert.rejects(readExt4Superblock(path), { code: "diskInvalid" });
});

test("readExt4Superblock() refuses files that are not ext4: an empty one, a short one, and zeros", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  for (const [sizeBytes, problem] of [
    [0, "too short to hold a superblock"],
    [2047, "too short to hold a superblock"],
    [4096, "no ext4 magic number"],
  ] as const) {
    writeFileSync(path, new Uint8Array(sizeBytes));
    await assert.rejects(readExt4Superblock(path), { code: "diskInvalid", problem });
  }
});

test("readExt4Superblock() fails with a typed error for a missing file", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "absent");
  await assert.rejects(readExt4Superblock(path), { name: "IoError", code: "io", errno: "ENOENT", path });
});
