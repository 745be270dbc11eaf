import assert from "node:assert/strict";
import { basename } from "node:path";
import { NoDirectoryError, parseCopyPlace, sourceName, targetOf } from "../../../src/cli/copy_place.ts";
import { runCli } from "../../support/cli/cli.ts";
import { test } from "../../support/harness.ts";

test("parseCopyPlace() tells sandboxes, paths of this machine and streams apart", () => {
  const inBox = (path: string) => ({ kind: "sandbox", sandbox: "box", path });
  assert.deepEqual(parseCopyPlace("box:/srv"), inBox("/srv"));
  assert.deepEqual(parseCopyPlace("box:a:b"), inBox("a:b"));
  assert.deepEqual(parseCopyPlace("box:new\nline"), inBox("new\nline"));
  assert.deepEqual(parseCopyPlace("-"), { kind: "stream" });
  for (const path of ["./box:/srv", "/box:/srv", "../a:b", "a/b:c", "box", "box:", ":x", "-x:y"])
    assert.deepEqual(parseCopyPlace(path), { kind: "host", path });
});

test("targetOf() puts a copy into a directory that is there, and otherwise calls it as it is told", () => {
  const file = { name: "f", isDirectory: false, isContent: false };
  const directory = { name: "d", isDirectory: true, isContent: false };
  const content = { ...directory, isContent: true };
  assert.equal(targetOf(file, { path: "/t", found: "directory" }), "/t/f");
  assert.equal(targetOf(file, { path: "/t/", found: "directory" }), "/t/f");
  assert.equal(targetOf(file, { path: "/t", found: "other" }), "/t");
  assert.equal(targetOf(file, { path: "/t", found: "nothing" }), "/t");
  assert.throws(() => targetOf(file, { path: "/t/", found: "nothing" }), NoDirectoryError);
  assert.equal(targetOf(directory, { path: "/t", found: "directory" }), "/t/d");
  assert.equal(targetOf(directory, { path: "/t/", found: "nothing" }), "/t/");
  assert.equal(targetOf(content, { path: "/t", found: "directory" }), "/t");
  assert.equal(targetOf({ ...directory, name: "" }, { path: "/t", found: "directory" }), "/t");
});

test("sourceName() gives the name of a copy, and whether the content alone is meant", () => {
  const host = (path: string) => sourceName({ kind: "host", path });
  const guest = (path: string) => sourceName({ kind: "sandbox", sandbox: "box", path });
  assert.deepEqual(host("a/b"), { name: "b", isContent: false });
  assert.deepEqual(host("a/b/"), { name: "b", isContent: false });
  assert.deepEqual(host("a/b/."), { name: "b", isContent: true });
  assert.deepEqual(host("."), { name: basename(process.cwd()), isContent: false });
  assert.deepEqual(guest("/out/"), { name: "out", isContent: false });
  assert.deepEqual(guest("/out/."), { name: "out", isContent: true });
  for (const path of ["/", ".", "..", "a/.."]) assert.equal(guest(path).name, "", path);
});

test("msb cp refuses operands that it cannot use", async () => {
  for (const [words, problem] of [
    [["a", "b"], /one of the two must be in a sandbox/],
    [["-", "-"], /one of the two must be in a sandbox/],
    [["-", "a"], /one of the two must be in a sandbox/],
    [["-L", "box:/a", "b"], /--follow-links is for links of this machine/],
    [["--max-files", "x", "box:/a", "b"], /must be a whole number/],
    [["a"], /missing required argument 'target'/],
  ] as const) {
    const { status, stdout, stderr } = await runCli(["cp", ...words]);
    assert.deepEqual([status, stdout], [2, ""]);
    assert.match(stderr, problem);
  }
});

test("msb cp reads and writes no tar on a terminal", async () => {
  for (const words of [
    ["box:/a", "-"],
    ["-", "box:/a"],
  ]) {
    const { status, stderr } = await runCli(["cp", ...words], { isTTY: true });
    assert.equal(status, 2);
    assert.match(stderr, /error:.* a tar is /);
  }
});

test("msb cp --help says how operands are written", async () => {
  const { status, stdout } = await runCli(["cp", "--help"]);
  assert.equal(status, 0);
  assert.match(stdout, /SANDBOX:PATH/);
  assert.match(stdout, /msb cp \.\/project box:\/srv\/project/);
});
