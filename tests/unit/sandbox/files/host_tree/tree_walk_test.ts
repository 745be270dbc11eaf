import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FileCopyRefusedError } from "../../../../../src/sandbox/files/copy_errors.ts";
import {
  type HostEntry,
  type WalkOptions,
  walkHostTree,
} from "../../../../../src/sandbox/files/host_tree/tree_walk.ts";
import { temporaryDirectory, test } from "../../../../support/harness.ts";

function describe(entry: HostEntry): string {
  const path = entry.path.length === 0 ? "." : entry.path.toString();
  if (entry.kind === "symlink") return `symlink ${path} -> ${Buffer.from(entry.target)}`;
  if (entry.kind === "skipped") return `skipped ${path} (${entry.reason})`;
  return `${entry.kind} ${path}`;
}

function walk(path: string, options: Partial<WalkOptions> = {}): string[] {
  return [...walkHostTree(path, { followLinks: false, ...options })].map(describe);
}

test("walkHostTree() tells each directory before what is in it, sorted, and where it ends", () => {
  using directory = temporaryDirectory();
  const top = directory.path;
  mkdirSync(join(top, "b/inner"), { recursive: true });
  for (const name of ["b/z", "a", "é", "b/inner/f"]) writeFileSync(join(top, name), name);
  symlinkSync("/nowhere", join(top, "b/link"));
  assert.deepEqual(walk(top), [
    "directory .",
    "file a",
    "directory b",
    "directory b/inner",
    "file b/inner/f",
    "leave b/inner",
    "symlink b/link -> /nowhere",
    "file b/z",
    "leave b",
    "file é",
    "leave .",
  ]);
});

test("walkHostTree() follows the path that was named, and no other link", () => {
  using directory = temporaryDirectory();
  const top = directory.path;
  mkdirSync(join(top, "real"));
  writeFileSync(join(top, "real/f"), "");
  symlinkSync("real", join(top, "link"));
  symlinkSync("real/f", join(top, "file link"));
  assert.deepEqual(walk(join(top, "link")), ["directory .", "file f", "leave ."]);
  assert.deepEqual(walk(join(top, "file link")), ["file ."]);
});

test("walkHostTree() follows links if it is asked to, but not in circles", () => {
  using directory = temporaryDirectory();
  const top = directory.path;
  mkdirSync(join(top, "d"));
  writeFileSync(join(top, "d/f"), "");
  symlinkSync("..", join(top, "d/up"));
  symlinkSync("d/f", join(top, "file"));
  symlinkSync("absent", join(top, "gone"));
  symlinkSync("self", join(top, "self"));
  assert.deepEqual(walk(top, { followLinks: true }), [
    "directory .",
    "directory d",
    "file d/f",
    "skipped d/up (loop)",
    "leave d",
    "file file",
    "skipped gone (vanished)",
    "skipped self (vanished)",
    "leave .",
  ]);
});

test("walkHostTree() skips special files without opening them", () => {
  using directory = temporaryDirectory();
  execFileSync("mkfifo", [join(directory.path, "fifo")]);
  assert.deepEqual(walk(directory.path), ["directory .", "skipped fifo (fifo)", "leave ."]);
  assert.throws(() => walk(join(directory.path, "fifo")), FileCopyRefusedError);
  assert.throws(() => walk("/dev/null"), /is a device/);
});

test("walkHostTree() leaves out what the filter does", () => {
  using directory = temporaryDirectory();
  mkdirSync(join(directory.path, "node_modules/x"), { recursive: true });
  writeFileSync(join(directory.path, "f"), "");
  const asked: string[] = [];
  const filter = (path: string) => {
    asked.push(path);
    return path !== "node_modules";
  };
  assert.deepEqual(walk(directory.path, { filter }), ["directory .", "file f", "leave ."]);
  assert.deepEqual(asked, ["f", "node_modules"]);
});

test("walkHostTree() tells what vanishes on the way", () => {
  using directory = temporaryDirectory();
  for (const name of ["a", "b", "c"]) writeFileSync(join(directory.path, name), "");
  const seen: string[] = [];
  for (const entry of walkHostTree(directory.path, { followLinks: false })) {
    seen.push(describe(entry));
    if (entry.kind === "file" && entry.path.toString() === "a") rmSync(join(directory.path, "b"));
  }
  assert.deepEqual(seen, ["directory .", "file a", "skipped b (vanished)", "file c", "leave ."]);
});

test("walkHostTree() goes on in a directory that is moved while it is in it", () => {
  using directory = temporaryDirectory();
  const [top, elsewhere] = [join(directory.path, "top"), join(directory.path, "elsewhere")];
  mkdirSync(join(top, "d"), { recursive: true });
  for (const name of ["d/a", "d/b"]) writeFileSync(join(top, name), "");
  const seen: string[] = [];
  for (const entry of walkHostTree(top, { followLinks: false })) {
    seen.push(describe(entry));
    if (entry.path.toString() === "d/a") renameSync(join(top, "d"), elsewhere);
  }
  assert.deepEqual(seen, ["directory .", "directory d", "file d/a", "file d/b", "leave d", "leave ."]);
});

test(
  "walkHostTree() tells what it may not read",
  () => {
    using directory = temporaryDirectory();
    writeFileSync(join(directory.path, "f"), "");
    mkdirSync(join(directory.path, "d"));
    for (const name of ["f", "d"]) chmodSync(join(directory.path, name), 0);
    assert.deepEqual(walk(directory.path), [
      "directory .",
      "skipped d (unreadable)",
      "skipped f (unreadable)",
      "leave .",
    ]);
    chmodSync(join(directory.path, "d"), 0o700);
  },
  { skip: process.getuid?.() === 0 ? "root may read everything" : undefined },
);

test("walkHostTree() tells names that are not UTF-8 as they are, or that this runtime cannot", () => {
  using directory = temporaryDirectory();
  execFileSync("sh", ["-c", `printf x > "$(printf 'f\\377')"`], { cwd: directory.path });
  const [, entry] = walkHostTree(directory.path, { followLinks: false });
  assert.ok(entry !== undefined);
  if ("Deno" in globalThis) assert.equal(describe(entry), "skipped f\ufffd (name)");
  else assert.deepEqual([entry.kind, entry.path.toString("hex")], ["file", "66ff"]);
});

test("walkHostTree() refuses a tree deeper than it can hold open, and closes what it opened", () => {
  using directory = temporaryDirectory();
  const before = readdirSync("/proc/self/fd").length;
  mkdirSync(join(directory.path, "d/".repeat(500)), { recursive: true });
  assert.throws(() => walk(directory.path), /nested deeper than 500 directories/);
  assert.equal(readdirSync("/proc/self/fd").length, before);
});
