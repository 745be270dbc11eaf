/** Flags that mount something. @module */
import assert from "node:assert/strict";
import { parseDiskMount, parseRootDisk, parseTmpfs, parseVolume } from "../../../src/cli/parse_mounts.ts";
import { originOptions } from "../../../src/cli/sandbox_flags.ts";
import { test } from "../../support/harness.ts";

function refuses(parse: (text: string) => unknown, texts: readonly string[]): void {
  for (const text of texts)
    assert.throws(
      () => parse(text),
      { name: "InvalidArgumentError", code: "commander.invalidArgument" },
      text,
    );
}

test("parseVolume() takes a path, a target, and how it may be used", () => {
  assert.deepEqual(parseVolume("./project:/app"), ["/app", { bind: "./project", readonly: false }]);
  assert.deepEqual(parseVolume("/docs:/docs:ro"), ["/docs", { bind: "/docs", readonly: true }]);
  assert.deepEqual(parseVolume("./a:/b:ro,noexec,watch"), [
    "/b",
    { bind: "./a", readonly: true, noExec: true, watch: true },
  ]);
  assert.deepEqual(parseVolume(".:/x:rw"), ["/x", { bind: ".", readonly: false }]);
  assert.deepEqual(parseVolume("..:/x"), ["/x", { bind: "..", readonly: false }]);
  refuses(parseVolume, [
    "",
    "./a",
    ":/a",
    "./a:",
    "./a:b",
    "./a:/b:x",
    "./a:/b:ro:rw",
    "./a:/b:",
    "name:data",
  ]);
});

test("parseVolume() reads a source without a slash as a volume, which is made if it does not exist", () => {
  assert.deepEqual(parseVolume("cache:/data"), [
    "/data",
    { volume: "cache", mode: "ensure", readonly: false },
  ]);
  assert.deepEqual(parseVolume("cache:/data:ro"), [
    "/data",
    { volume: "cache", mode: "ensure", readonly: true },
  ]);
});

test("parseVolume() says how to write a directory whose name no volume can have", () => {
  for (const source of [".cache", "my dir", "a@b"])
    assert.throws(() => parseVolume(`${source}:/data`), {
      message: new RegExp(`Begin a path .* \\./${source}$`),
    });
});

test("parseTmpfs() takes a target, and its size", () => {
  assert.deepEqual(parseTmpfs("/scratch"), ["/scratch", { tmpfs: true, sizeMiB: undefined }]);
  assert.deepEqual(parseTmpfs("/scratch:1G"), ["/scratch", { tmpfs: true, sizeMiB: 1024 }]);
  refuses(parseTmpfs, ["", "scratch", "/a:", "/a:x", "/a:-1M", "/a:1M:ro"]);
});

test("parseDiskMount() takes an image, a target, and options with commas between", () => {
  assert.deepEqual(parseDiskMount("./data.img:/data"), ["/data", { disk: "./data.img" }]);
  assert.deepEqual(parseDiskMount("/d.qcow2:/d:ro,format=qcow2,fstype=xfs,noexec"), [
    "/d",
    { disk: "/d.qcow2", readonly: true, format: "qcow2", fstype: "xfs", noExec: true },
  ]);
  assert.deepEqual(parseDiskMount("d:/d:rw"), ["/d", { disk: "d", readonly: false }]);
  refuses(parseDiskMount, ["", "d", ":/d", "d:d", "d:/d:", "d:/d:ro:rw", "d:/d:format=vmdk", "d:/d:fstype"]);
});

test("parseRootDisk() takes a size, memory, or a disk image", () => {
  assert.deepEqual(parseRootDisk("8G"), { diskMiB: 8192 });
  assert.throws(() => parseRootDisk("scratch.img"), /a size \(8G\), memory/);
  assert.deepEqual(parseRootDisk("tmpfs"), { rootDisk: { tmpfs: true, sizeMiB: undefined } });
  assert.deepEqual(parseRootDisk("tmpfs:256M"), { rootDisk: { tmpfs: true, sizeMiB: 256 } });
  assert.deepEqual(parseRootDisk("./s.img"), { rootDisk: { disk: "./s.img" } });
  assert.deepEqual(parseRootDisk("/s:format=qcow2,fstype=btrfs"), {
    rootDisk: { disk: "/s", format: "qcow2", fstype: "btrfs" },
  });
  refuses(parseRootDisk, [
    "",
    "x",
    "tmpfs:",
    "tmpfs:1M:ro",
    "flat:8G",
    "./s:ro",
    "./s:fstype=vfat",
    "./s:x:y",
  ]);
});

test("parseVolume() takes watch for a directory and for a volume", () => {
  assert.deepEqual(parseVolume("./a:/b:ro,watch"), ["/b", { bind: "./a", readonly: true, watch: true }]);
  const cache = { volume: "cache", mode: "ensure", readonly: false, watch: true };
  assert.deepEqual(parseVolume("cache:/b:watch"), ["/b", cache]);
  assert.throws(() => parseVolume("./a:/b:wacht"), {
    message: /wacht: expected one of ro, rw, noexec, watch/,
  });
});

test("originOptions() takes IMAGE as an image, or with --as-is as a directory", () => {
  assert.deepEqual(originOptions("./rootfs", {}), { image: "./rootfs" });
  assert.deepEqual(originOptions("./rootfs", { asIs: true }), { rootDirectory: "./rootfs" });
});
