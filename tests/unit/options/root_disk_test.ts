/** Where a sandbox's writes go, checked before anything is made. @module */
import assert from "node:assert/strict";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InvalidConfigError } from "../../../src/base/errors.ts";
import { parseSandboxOptions, type SandboxOptions } from "../../../src/options/sandbox_options.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

function parse(options: SandboxOptions) {
  return parseSandboxOptions({ name: "x", image: "./rootfs", ...options }).config.rootDisk;
}

function problemOf(options: object): string {
  try {
    parse(options as SandboxOptions);
  } catch (error) {
    assert.ok(error instanceof InvalidConfigError, String(error));
    return error.issues.map(({ field, problem }) => `${field} ${problem}`).join();
  }
  return "";
}

test("parseSandboxOptions() takes memory as a root disk, by default half of what the sandbox has", () => {
  assert.equal(parse({}), undefined);
  assert.deepEqual(parse({ memoryMiB: 255, rootDisk: { tmpfs: true } }), { kind: "tmpfs", sizeMiB: 127 });
  assert.deepEqual(parse({ memoryMiB: 256, rootDisk: { tmpfs: true, sizeMiB: 256 } }), {
    ...{ kind: "tmpfs", sizeMiB: 256 },
  });
  const tooLarge = { memoryMiB: 256, rootDisk: { tmpfs: true, sizeMiB: 257 } };
  assert.match(problemOf(tooLarge), /rootDisk.sizeMiB must be at most memoryMiB, which is 256/);
});

test("parseSandboxOptions() takes a disk image as a root disk, as raw ext4 unless told otherwise", () => {
  using directory = temporaryDirectory();
  const disk = join(directory.path, "disk");
  writeFileSync(disk, new Uint8Array(512));
  symlinkSync("disk", join(directory.path, "link"));
  assert.deepEqual(parse({ rootDisk: { disk: join(directory.path, "link") } }), {
    ...{ kind: "disk", source: disk, format: "raw", fstype: "ext4" },
  });
  assert.match(problemOf({ rootDisk: { disk: join(directory.path, "none") } }), /there is no/);
  assert.match(problemOf({ rootDisk: { disk, format: "qcow2" } }), /not a qcow2/);
  for (const rootDisk of [
    8192,
    { sizeMiB: 5 },
    { disk, fstype: "vfat" },
    { disk, sizeMiB: 1 },
    { tmpfs: false },
  ])
    assert.match(problemOf({ rootDisk }), /^rootDisk/, JSON.stringify(rootDisk));
  assert.match(problemOf({ rootDisk: { disk }, mounts: { "/d": { disk, readonly: true } } }), /twice/);
});

test("parseSandboxOptions() combines a root disk with no size and no snapshot", () => {
  const rootDisk = { tmpfs: true };
  assert.match(problemOf({ rootDisk, diskMiB: 64 }), /rootDisk cannot be combined with diskMiB/);
  assert.match(
    problemOf({ rootDisk, image: "", fromSnapshot: "s" }),
    /rootDisk cannot be combined with fromSnapshot/,
  );
});

test("parseSandboxOptions() takes a directory instead of an image, and shows it as one", () => {
  using directory = temporaryDirectory();
  symlinkSync(".", join(directory.path, "link"));
  const parsed = (options: SandboxOptions) => parseSandboxOptions({ name: "x", ...options }).config;
  const config = parsed({ rootDirectory: join(directory.path, "link") });
  assert.deepEqual([config.rootDirectory, config.image], [directory.path, directory.path]);
  assert.deepEqual(
    parsed({ rootDirectory: directory.path, rootDisk: { tmpfs: true } }).rootDisk?.kind,
    "tmpfs",
  );
  assert.ok(!("rootDirectory" in parsed({ image: "x" })));
  const none = { image: "" };
  assert.match(problemOf({ ...none, rootDirectory: join(directory.path, "none") }), /there is no/);
  assert.match(problemOf({ ...none, rootDirectory: "/etc/passwd" }), /not a directory/);
  assert.match(problemOf({ rootDirectory: directory.path }), /rootDirectory cannot be combined with image/);
  const both = { ...none, rootDirectory: directory.path, fromSnapshot: "s" };
  assert.match(problemOf(both), /cannot be combined with fromSnapshot/);
});
