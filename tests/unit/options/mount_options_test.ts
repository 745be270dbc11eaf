/** Mounts that a caller asks for, checked before anything is made. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InvalidConfigError } from "../../../src/base/errors.ts";
import {
  checkMount,
  checkMounts,
  checkMountTarget,
  MOUNTS_MAX,
  type MountOptions,
} from "../../../src/options/mount_options.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const tmpfs = { tmpfs: true, sizeMiB: 64, readonly: false, noExec: false } as const;

/** What is wrong with what `check` checks. */
function problemsOf(check: () => unknown): readonly string[] {
  try {
    check();
  } catch (error) {
    assert.ok(error instanceof InvalidConfigError, String(error));
    return error.issues.map(({ field, problem }) => `${field} ${problem}`);
  }
  return [];
}

test("checkMounts() orders mounts from the outer to the inner, and normalizes targets", () => {
  const mounts = { "/a/b/c": tmpfs, "/b": tmpfs, "/a//b/": tmpfs, "/./a": tmpfs, "/a-": tmpfs };
  const order = checkMounts(mounts).map(({ target }) => target);
  assert.deepEqual(order.toSorted(), ["/a", "/a-", "/a/b", "/a/b/c", "/b"]);
  for (const inner of order)
    for (const outer of order)
      if (inner.startsWith(`${outer}/`)) assert.ok(order.indexOf(outer) < order.indexOf(inner), inner);
});

test("checkMountTarget() refuses what is no place for a mount", () => {
  for (const target of [
    "",
    "a",
    "./a",
    "/",
    "//",
    "/.",
    "/proc",
    "/proc/",
    "/sys/fs",
    "/dev",
    "/dev/x",
    "//dev//x",
    "/a/..",
    "/a/../b",
    "/a\0",
    `/${"n/".repeat(2048)}`,
  ])
    assert.equal(problemsOf(() => checkMountTarget(target)).length, 1, JSON.stringify(target));
  for (const target of ["/a", "/process", "/devices", "/system", "/a..b", "/home/.x", "/é"])
    assert.equal(checkMountTarget(target), target);
  assert.equal(checkMountTarget("//a/./b//"), "/a/b");
});

test("checkMounts() names every mount that is wrong, and targets that are the same", () => {
  using directory = temporaryDirectory();
  execFileSync("mkfifo", [join(directory.path, "fifo")]);
  const bind = (path: string) => ({ bind: path, readonly: false, noExec: false });
  const none = join(directory.path, "none");
  const fifo = join(directory.path, "fifo");
  const problems = problemsOf(() =>
    checkMounts({ "/a": bind(none), "/b": bind(fifo), relative: tmpfs, "/c": tmpfs, "/c/": tmpfs }),
  );
  assert.equal(problems.length, 4);
  for (const part of [
    `there is no ${none}`,
    `${fifo} is neither`,
    'mounts["relative"]',
    'mounts["/c"] must not be given twice',
  ])
    assert.ok(
      problems.some((problem) => problem.includes(part)),
      part,
    );
  const many = Object.fromEntries(
    Array.from({ length: MOUNTS_MAX + 1 }, (_, index) => [`/m${index}`, tmpfs]),
  );
  assert.match(problemsOf(() => checkMounts(many)).join(), /at most/);
});

test("checkMount() takes a path alone, and refuses unknown options and wrong values", () => {
  using directory = temporaryDirectory();
  writeFileSync(join(directory.path, "file"), "");
  assert.deepEqual(checkMount("/a", directory.path), {
    mount: {
      kind: "bind",
      target: "/a",
      source: directory.path,
      readonly: false,
      noExec: false,
      owner: undefined,
    },
    volume: undefined,
  });
  assert.equal(checkMount("/a", { tmpfs: true }).mount.kind, "tmpfs");
  const wrong: readonly unknown[] = [
    "",
    "a\0b",
    {},
    { bind: directory.path, readOnly: true },
    { bind: directory.path, owner: { uid: -1, gid: 0 } },
    { bind: directory.path, owner: { uid: 0 } },
    { bind: directory.path, tmpfs: true },
    { tmpfs: false },
    { tmpfs: true, sizeMiB: 0 },
    { tmpfs: true, sizeMiB: 1.5 },
    { tmpfs: true, size: 5 },
    5,
    null,
  ];
  for (const options of wrong)
    assert.ok(problemsOf(() => checkMount("/a", options as string)).length > 0, JSON.stringify(options));
});

test("checkMount() resolves links of this machine once: what they lead to later does not count", () => {
  using directory = temporaryDirectory();
  const link = join(directory.path, "link");
  mkdirSync(join(directory.path, "real"));
  symlinkSync("real", link);
  const { mount } = checkMount("/a", link);
  assert.equal(mount.kind === "bind" && mount.source, join(directory.path, "real"));
});

test("checkMount() takes a disk as raw unless it is told otherwise, and looks at it", () => {
  using directory = temporaryDirectory();
  const path = (name: string) => join(directory.path, name);
  writeFileSync(path("disk"), new Uint8Array(1024));
  writeFileSync(path("odd"), new Uint8Array(1000));
  writeFileSync(path("empty"), "");
  symlinkSync("disk", path("link"));
  // What a guest could write to its raw disk to have a file of this machine.
  writeFileSync(
    path("forged"),
    Buffer.concat([Buffer.from("QFI\xfb\0\0\0\x03", "latin1"), Buffer.alloc(1016)]),
  );
  assert.deepEqual(checkMount("/d", { disk: path("link") }).mount, {
    ...{ kind: "disk", target: "/d", source: path("disk"), format: "raw", fstype: undefined },
    ...{ readonly: false, noExec: false },
  });
  const { mount: forged } = checkMount("/d", { disk: path("forged"), fstype: "xfs", readonly: true });
  assert.deepEqual(forged.kind === "disk" && [forged.format, forged.fstype, forged.readonly], [
    "raw",
    "xfs",
    true,
  ]);
  const wrong: readonly [RegExp, object][] = [
    [/there is no/, { disk: path("none") }],
    [/not a regular file/, { disk: directory.path }],
    [/multiple of 512/, { disk: path("odd") }],
    [/multiple of 512/, { disk: path("empty") }],
    [/not a qcow2/, { disk: path("disk"), format: "qcow2" }],
    [/./, { disk: path("disk"), format: "vmdk" }],
    [/./, { disk: path("disk"), fstype: "ntfs" }],
    [/./, { disk: path("disk"), sizeMiB: 5 }],
    [/./, { disk: "" }],
  ];
  for (const [problem, options] of wrong)
    assert.match(problemsOf(() => checkMount("/d", options as MountOptions)).join(), problem);
});

test("checkMounts() refuses a disk that something else in the sandbox writes to", () => {
  using directory = temporaryDirectory();
  const disk = join(directory.path, "disk");
  writeFileSync(disk, new Uint8Array(512));
  const mount = { disk, format: "raw", readonly: false, noExec: false } as const;
  const around = { bind: directory.path, readonly: false, noExec: false };
  const problems = (mounts: Parameters<typeof checkMounts>[0]) =>
    problemsOf(() => checkMounts(mounts)).join();
  assert.match(problems({ "/a": mount, "/b": mount }), /twice/);
  assert.match(problems({ "/a": mount, "/b": around }), /can write to.*by \/b/);
  assert.match(problems({ "/a": mount, "/b": { ...around, bind: disk } }), /can write to/);
  assert.equal(problems({ "/a": mount, "/b": { ...around, readonly: true } }), "");
  const root = { kind: "disk", source: disk, format: "raw", fstype: "ext4" } as const;
  const withRoot = (mounts: Parameters<typeof checkMounts>[0]) =>
    problemsOf(() => checkMounts(mounts, root)).join();
  assert.match(withRoot({ "/a": { ...mount, readonly: true } }), /rootDisk .*twice/);
  assert.match(withRoot({ "/b": around }), /rootDisk .*can write to/);
  assert.equal(withRoot({ "/b": { ...around, readonly: true } }), "");
});

test("checkMount() refuses an object without a kind, or with several", () => {
  const problem = (options: object) => problemsOf(() => checkMount("/a", options as MountOptions)).join();
  assert.match(problem({}), /^mount must be a path, \{ bind: path/);
  assert.equal(problem({ bind: ".", tmpfs: true }), "mount must have only one of bind, tmpfs");
  assert.match(problem({ bnd: "." }), /did you mean bind\?/);
  assert.match(problemsOf(() => checkMountTarget(5 as never)).join(), /absolute path/);
});
