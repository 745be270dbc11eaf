/** What formatExt4() refuses, and that a failure leaves nothing behind. @module */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GiB } from "../../../../src/base/bytes.ts";
import { AbortedError, InvalidConfigError, IoError } from "../../../../src/base/errors.ts";
import { createSparseFile } from "../../../../src/image/ext4/sparse_file.ts";
import {
  EXT4_SIZE_BYTES_MAX,
  EXT4_SIZE_BYTES_MIN,
  type Ext4Options,
  formatExt4,
} from "../../../../src/image/ext4.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { findMountProblem, formatOverlayDisk, mounted } from "./tools.ts";

const LONGEST_NAME = "n".repeat(255);

const REFUSED: Record<string, { options: Partial<Ext4Options>; field: string }> = {
  "a size below the least": { options: { sizeBytes: EXT4_SIZE_BYTES_MIN - 1 }, field: "sizeBytes" },
  "a size above the largest": { options: { sizeBytes: EXT4_SIZE_BYTES_MAX + 1 }, field: "sizeBytes" },
  "a size that is no integer": { options: { sizeBytes: GiB + 0.5 }, field: "sizeBytes" },
  "a size that is no number": { options: { sizeBytes: Number.NaN }, field: "sizeBytes" },
  "a label of 17 bytes": { options: { label: "x".repeat(17) }, field: "label" },
  "a label of 9 characters and 18 bytes": { options: { label: "é".repeat(9) }, field: "label" },
  "a label with NUL": { options: { label: "a\0b" }, field: "label" },
  "a label with half a surrogate pair": { options: { label: "\ud800" }, field: "label" },
  "a UUID that is none": { options: { uuid: "123" }, field: "uuid" },
  "the nil UUID": { options: { uuid: "00000000-0000-0000-0000-000000000000" }, field: "uuid" },
  "a time before 1970": { options: { timestampSeconds: -1 }, field: "timestampSeconds" },
  "a time after 2446": { options: { timestampSeconds: 15_032_385_536 }, field: "timestampSeconds" },
  "a directory without a name": { options: { directories: [{ path: "" }] }, field: "directories[0].path" },
  "a directory .": { options: { directories: [{ path: "." }] }, field: "directories[0].path" },
  "a directory ..": { options: { directories: [{ path: ".." }] }, field: "directories[0].path" },
  "a nested directory": { options: { directories: [{ path: "a/b" }] }, field: "directories[0].path" },
  "an absolute directory": { options: { directories: [{ path: "/a" }] }, field: "directories[0].path" },
  "a directory with NUL": { options: { directories: [{ path: "a\0" }] }, field: "directories[0].path" },
  "a name of 256 bytes": {
    options: { directories: [{ path: `${LONGEST_NAME}n` }] },
    field: "directories[0].path",
  },
  "a second lost+found": { options: { directories: [{ path: "lost+found" }] }, field: "directories[0].path" },
  "a name twice": { options: { directories: [{ path: "a" }, { path: "a" }] }, field: "directories[1].path" },
  "a mode of 13 bits": {
    options: { directories: [{ path: "a", mode: 0o10000 }] },
    field: "directories[0].mode",
  },
  "a negative mode": { options: { directories: [{ path: "a", mode: -1 }] }, field: "directories[0].mode" },
  "more names than fit into a block": {
    options: {
      directories: Array.from({ length: 16 }, (_, index) => ({ path: String(index).padStart(255, "x") })),
    },
    field: "directories",
  },
};
for (const [name, { options, field }] of Object.entries(REFUSED)) {
  test(`formatExt4() refuses ${name} before it creates anything`, async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "disk");
    await assert.rejects(formatExt4({ path, sizeBytes: EXT4_SIZE_BYTES_MIN, ...options }), (error) => {
      assert.ok(error instanceof InvalidConfigError);
      assert.deepEqual(
        error.issues.map((issue) => issue.field),
        [field],
      );
      return true;
    });
    assert.deepEqual(readdirSync(directory.path), []);
  });
}

test("formatExt4() refuses an empty path and one with NUL", async () => {
  for (const path of ["", "a\0b"]) {
    await assert.rejects(formatExt4({ path }), { name: "InvalidConfigError", code: "invalidConfig" });
  }
});

test("formatExt4() reports all invalid options at once", async () => {
  await assert.rejects(formatExt4({ path: "", sizeBytes: 1, label: "x".repeat(17), uuid: "" }), (error) => {
    assert.ok(error instanceof InvalidConfigError);
    assert.deepEqual(
      error.issues.map(({ field }) => field),
      ["path", "sizeBytes", "label", "uuid"],
    );
    return true;
  });
});

test("formatExt4() accepts a label of 16 bytes", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  const made = await formatExt4({ path, sizeBytes: EXT4_SIZE_BYTES_MIN, label: "é".repeat(8) });
  assert.equal(made.label, "é".repeat(8));
});

test("formatExt4() refuses a path that exists, and leaves the file unchanged", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  writeFileSync(path, "precious");
  await assert.rejects(formatOverlayDisk(path, EXT4_SIZE_BYTES_MIN), (error) => {
    assert.ok(error instanceof IoError);
    assert.deepEqual([error.code, error.errno, error.path], ["io", "EEXIST", path]);
    return true;
  });
  assert.equal(readFileSync(path, "utf8"), "precious");
  assert.deepEqual(readdirSync(directory.path), ["disk"]);
});

test("formatExt4() lets exactly one of several win the same path", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  const attempts = Array.from({ length: 5 }, () => formatOverlayDisk(path, EXT4_SIZE_BYTES_MIN));
  const results = await Promise.allSettled(attempts);
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
  assert.deepEqual(readdirSync(directory.path), ["disk"]);
});

test("formatExt4() fails with a typed error where the directory is missing", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "absent", "disk");
  await assert.rejects(formatOverlayDisk(path, EXT4_SIZE_BYTES_MIN), {
    name: "IoError",
    errno: "ENOENT",
    path,
  });
});

test("formatExt4() makes a file that only its owner can read", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  await formatOverlayDisk(path, EXT4_SIZE_BYTES_MIN);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(directory.path), ["disk"]);
});

test("formatExt4() does nothing once its signal has fired", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  const reason = new Error("changed my mind");
  await assert.rejects(formatExt4({ path, signal: AbortSignal.abort(reason) }), (error) => {
    assert.ok(error instanceof AbortedError);
    assert.equal(error.cause, reason);
    return true;
  });
  assert.deepEqual(readdirSync(directory.path), []);
});

test("createSparseFile() leaves nothing when it is aborted between two writes", async () => {
  using directory = temporaryDirectory();
  const controller = new AbortController();
  const seenWhileWriting: string[][] = [];
  function* writes() {
    yield { offsetBytes: 0, bytes: new Uint8Array(4096).fill(1) };
    seenWhileWriting.push(readdirSync(directory.path));
    controller.abort();
    yield { offsetBytes: 4096, bytes: new Uint8Array(4096).fill(2) };
  }
  const path = join(directory.path, "disk");
  const creation = createSparseFile({ path, sizeBytes: 8192, writes: writes(), signal: controller.signal });
  await assert.rejects(creation, { name: "AbortedError", code: "aborted" });
  assert.equal(seenWhileWriting[0]?.length, 1);
  assert.ok(!seenWhileWriting[0]?.includes("disk"), "the name is not taken before the file is complete");
  assert.deepEqual(readdirSync(directory.path), []);
});

const mountProblem = findMountProblem();

test(
  "formatExt4() fails with diskFull on a full disk, and leaves nothing",
  async () => {
    using directory = temporaryDirectory();
    const full = join(directory.path, "full");
    mkdirSync(full);
    using _mount = mounted(full, "-t", "tmpfs", "-o", "size=32k", "tmpfs");
    await assert.rejects(formatOverlayDisk(join(full, "disk"), GiB), {
      name: "IoError",
      code: "diskFull",
      errno: "ENOSPC",
    });
    assert.deepEqual(readdirSync(full), []);
  },
  { skip: mountProblem },
);
