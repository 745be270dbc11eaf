/** What makes, finds, moves and removes names, against `node:fs` on the same files. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { FsWalkEntry } from "../../../../mod.ts";
import { fileTest, type NativeFiles, rootProblem } from "../../../support/guest/native_files.ts";

const NOT_UTF8 = Buffer.from([0x6e, 0xff, 0xfe]);
const NAMES = [
  "plain",
  "with space",
  "new\nline",
  "tab\t",
  "ünïcödé",
  "🎉",
  "-dash",
  ".hidden",
  "n".repeat(255),
  "\\",
];

/** The paths below a directory, with a letter for each byte. */
function findBelow(directory: string): string[] {
  const found = execFileSync("find", [".", "-mindepth", "1", "-printf", "%P\\0"], { cwd: directory });
  return found.toString("latin1").split("\0").slice(0, -1);
}

/** Names of all kinds, as bytes, in the order of their bytes. */
function makeNames({ at, directory }: NativeFiles): Buffer[] {
  for (const name of NAMES) writeFileSync(at(name), name);
  // By a shell, since node:fs of Deno knows no such names.
  execFileSync("sh", ["-c", `printf 'not UTF-8' > "$(printf 'n\\377\\376')"`], { cwd: directory });
  execFileSync("mkfifo", [at("fifo")]);
  mkdirSync(at("directory"));
  symlinkSync("nowhere/\nat all", at("dangling"));
  symlinkSync("plain", at("link"));
  return findBelow(directory)
    .map((name) => Buffer.from(name, "latin1"))
    .sort(Buffer.compare);
}

fileTest("SandboxFsOps.list() gives names of all kinds as they are, in order", async (files) => {
  const { fs, at, directory } = files;
  const server = createServer().listen(at("socket"));
  await new Promise((resolve) => server.once("listening", resolve));
  const names = makeNames(files);
  const entries = await fs.list(directory);
  assert.deepEqual(
    entries.map(({ nameBytes }) => Buffer.from(nameBytes)),
    names,
  );
  for (const entry of entries) {
    if (NOT_UTF8.equals(entry.nameBytes)) continue;
    const stats = lstatSync(entry.path, { bigint: true });
    assert.equal(entry.path, `${directory}/${entry.name}`);
    assert.equal(BigInt(entry.size), stats.size);
    assert.equal(entry.inode, stats.ino);
    assert.equal(BigInt(entry.modified?.getTime() ?? -1), stats.mtimeMs);
  }
  server.close(); // which removes it
  const kinds = Object.fromEntries(entries.map(({ name, type, kind }) => [name, `${type} ${kind}`]));
  assert.equal(kinds["fifo"], "fifo other");
  assert.equal(kinds["socket"], "socket other");
  assert.equal(kinds["directory"], "directory directory");
  assert.equal(kinds["link"], "symlink symlink");
  const dangling = entries.find(({ name }) => name === "dangling");
  assert.deepEqual(
    [dangling?.target, entries.find(({ name }) => name === "plain")?.target],
    ["nowhere/\nat all", null],
  );
  const odd = entries.find(({ nameBytes }) => NOT_UTF8.equals(nameBytes));
  assert.equal(odd?.name, "n\ufffd\ufffd");
  assert.equal(await fs.readToString(odd!.pathBytes), "not UTF-8");
});

fileTest(
  "SandboxFsOps.list() takes 100,000 entries, and no more than it may",
  async ({ fs, at }) => {
    // In memory where that is possible: a disk takes much longer to make them than we to list them.
    const many = existsSync("/dev/shm") ? mkdtempSync("/dev/shm/msb-test-") : at("many");
    try {
      mkdirSync(many, { recursive: true });
      for (let i = 0; i < 100_000; i++) writeFileSync(`${many}/${i}`, "");
      const entries = await fs.list(many);
      assert.equal(entries.length, 100_000);
      assert.equal(new Set(entries.map(({ name }) => name)).size, 100_000);
      await assert.rejects(fs.list(many, { entriesMax: 99_999 }), { code: "fileLimit", limit: 99_999 });
    } finally {
      rmSync(many, { recursive: true, force: true });
    }
    assert.deepEqual(await fs.list(await fs.makeTemp({ kind: "directory", directory: at("") })), []);
  },
  { timeoutMs: 170_000 },
);

fileTest("SandboxFsOps.walk() gives a whole tree, each directory before what is in it", async (files) => {
  const { fs, at, directory } = files;
  makeNames(files);
  mkdirSync(at("a/b/c"), { recursive: true });
  writeFileSync(at("a/b/c/deep"), "1");
  symlinkSync("..", at("a/up"));
  const entries: FsWalkEntry[] = [];
  for await (const entry of fs.walk(directory)) entries.push(entry);
  const expected = ["", ...findBelow(directory)].sort();
  const relative = entries.map(({ relativePathBytes }) => Buffer.from(relativePathBytes).toString("latin1"));
  assert.deepEqual([...relative].sort(), expected);
  for (const [index, path] of relative.entries()) {
    const above = path.lastIndexOf("/");
    if (above > 0) assert.ok(relative.indexOf(path.slice(0, above)) < index, path);
  }
  assert.deepEqual(
    [entries[0]?.relativePath, entries[0]?.path, entries[0]?.kind],
    ["", directory, "directory"],
  );
});

fileTest(
  "SandboxFsOps.walk() goes as deep as it is asked to, and follows a root if it may",
  async ({ fs, at }) => {
    mkdirSync(at("a/b/c"), { recursive: true });
    symlinkSync("a", at("link"));
    const walked = async (name: string, options = {}) => {
      const paths: string[] = [];
      for await (const { relativePath } of fs.walk(at(name), options)) paths.push(relativePath);
      return paths;
    };
    assert.deepEqual(await walked("a"), ["", "b", "b/c"]);
    assert.deepEqual(await walked("a", { depthMax: 1 }), ["", "b"]);
    assert.deepEqual(await walked("link"), ["", "b", "b/c"]);
    assert.deepEqual(await walked("link", { followRoot: false }), [""]);
    writeFileSync(at("file"), "");
    assert.deepEqual(await walked("file"), [""]);
    await assert.rejects(walked("none"), { code: "fileNotFound", operation: "walk" });
  },
);

fileTest("SandboxFsOps.mkdir() makes directories with their mode, and those above", async ({ fs, at }) => {
  await fs.mkdir(at("a/b/c"), { mode: 0o1770 });
  assert.equal(statSync(at("a/b/c")).mode & 0o7777, 0o1770);
  await fs.mkdir(at("a/b"));
  await assert.rejects(fs.mkdir(at("a/b"), { createParents: false }), { code: "fileExists" });
  await assert.rejects(fs.mkdir(at("x/y"), { createParents: false }), { code: "fileNotFound" });
  writeFileSync(at("file"), "");
  await assert.rejects(fs.mkdir(at("file")), { code: "fileExists" });
  await assert.rejects(fs.mkdir(at("file/x")), { code: "notADirectory" });
});

fileTest("SandboxFsOps.remove() removes anything but a directory, and of a link the link", async (files) => {
  const { fs, at, directory } = files;
  makeNames(files);
  await assert.rejects(fs.remove(at("directory")), { code: "isADirectory", hint: "use removeDir()" });
  for (const { pathBytes, kind } of await fs.list(directory))
    if (kind !== "directory") await fs.remove(pathBytes);
  assert.deepEqual(readdirSync(directory), ["directory"]);
  await assert.rejects(fs.remove(at("none")), { code: "fileNotFound" });
  await fs.remove(at("none"), { force: true });
});

fileTest(
  "SandboxFsOps.removeDir() removes a tree only if it is asked to, and never what links lead to",
  async (files) => {
    const { fs, at } = files;
    mkdirSync(at("tree/a/b"), { recursive: true });
    mkdirSync(at("outside"));
    writeFileSync(at("outside/kept"), "");
    writeFileSync(at("tree/a/b/file"), "");
    symlinkSync(at("outside"), at("tree/a/link"));
    await assert.rejects(fs.removeDir(at("tree")), { code: "directoryNotEmpty", hint: /recursive: true/ });
    await assert.rejects(fs.removeDir(at("outside/kept")), { code: "notADirectory", hint: "use remove()" });
    await fs.removeDir(at("tree"), { recursive: true });
    assert.deepEqual([existsSync(at("tree")), existsSync(at("outside/kept"))], [false, true]);
    await fs.mkdir(at("empty"));
    await fs.removeDir(at("empty"));
    await assert.rejects(fs.removeDir(at("empty")), { code: "fileNotFound" });
    await fs.removeDir(at("empty"), { force: true, recursive: true });
  },
);

fileTest(
  "SandboxFsOps.copy() copies files and trees with modes, times, links and holes",
  async ({ fs, at }) => {
    mkdirSync(at("tree/sub"), { recursive: true });
    writeFileSync(at("tree/sub/file"), "content", { mode: 0o640 });
    utimesSync(at("tree/sub/file"), 1_000_000_000, 1_100_000_000);
    symlinkSync("sub/file", at("tree/link"));
    execFileSync("truncate", ["-s", "100M", at("tree/holes")]);
    await assert.rejects(fs.copy(at("tree"), at("copy")), { code: "isADirectory", hint: /recursive: true/ });
    await fs.copy(at("tree"), at("copy"), { recursive: true });
    assert.equal(readlinkSync(at("copy/link")), "sub/file");
    assert.equal(readFileSync(at("copy/link"), "utf8"), "content");
    const copied = statSync(at("copy/sub/file"));
    assert.deepEqual([copied.mode & 0o7777, copied.mtimeMs], [0o640, 1_100_000_000_000]);
    const holes = statSync(at("copy/holes"));
    assert.deepEqual([holes.size, holes.blocks < 100], [100 * 1024 * 1024, true]);
    await fs.copy(at("tree/sub/file"), at("one"));
    assert.equal(readFileSync(at("one"), "utf8"), "content");
    await assert.rejects(fs.copy(at("one"), at("tree/sub/file"), { exclusive: true }), {
      code: "fileExists",
    });
    await assert.rejects(fs.copy(at("one"), at("no/such/one")), { code: "fileNotFound" });
    await fs.copy(at("one"), at("no/such/one"), { createParents: true });
    await assert.rejects(fs.copy(at("none"), at("x")), { code: "fileNotFound", destination: at("x") });
  },
);

fileTest("SandboxFsOps.rename() moves, replaces, and refuses to if it must not", async ({ fs, at }) => {
  writeFileSync(at("a"), "1");
  writeFileSync(at("b"), "2");
  await assert.rejects(fs.rename(at("a"), at("b"), { exclusive: true }), { code: "fileExists" });
  await fs.rename(at("a"), at("b"));
  assert.deepEqual([readFileSync(at("b"), "utf8"), existsSync(at("a"))], ["1", false]);
  await assert.rejects(fs.rename(at("b"), at("x/y")), { code: "fileNotFound" });
  await fs.rename(at("b"), at("x/y"), { createParents: true });
  await fs.rename(at("x"), at("z"));
  assert.equal(readFileSync(at("z/y"), "utf8"), "1");
  await assert.rejects(fs.rename(at("z"), at("z/inside")), {
    errnoName: "EINVAL",
    message: /to ".*z\/inside"/,
  });
  await assert.rejects(fs.rename(at("none"), at("n")), { code: "fileNotFound", operation: "rename" });
});

fileTest(
  "SandboxFsOps.symlink(), link(), readLink() and realPath() agree with node:fs",
  async ({ fs, at, directory }) => {
    writeFileSync(at("file"), "1");
    await fs.symlink("file", at("soft"));
    assert.equal(readlinkSync(at("soft")), "file");
    assert.equal(await fs.readLink(at("soft")), "file");
    assert.equal(await fs.realPath(at("soft")), realpathSync(at("soft")));
    await assert.rejects(fs.symlink("other", at("soft")), { code: "fileExists" });
    await fs.symlink("other", at("soft"), { replace: true });
    assert.equal(await fs.readLink(at("soft")), "other");
    await fs.symlink("../x", at("new/deep/soft"), { createParents: true });
    await fs.link(at("file"), at("hard"));
    assert.equal(statSync(at("hard")).ino, statSync(at("file")).ino);
    assert.equal((await fs.stat(at("hard"))).links, 2);
    await assert.rejects(fs.readLink(at("file")), { errnoName: "EINVAL" });
    await assert.rejects(fs.realPath(at("soft")), { code: "fileNotFound" });
    const odd = Buffer.concat([Buffer.from(`${directory}/`), NOT_UTF8]);
    await fs.symlink(NOT_UTF8, at("odd"));
    assert.deepEqual(Buffer.from(await fs.readLink(at("odd"), { asBytes: true })), NOT_UTF8);
    await assert.rejects(fs.readLink(at("odd")), { errnoName: "EILSEQ", hint: "pass { asBytes: true }" });
    await fs.write(odd, "1");
    const real = Buffer.concat([Buffer.from(`${realpathSync(directory)}/`), NOT_UTF8]);
    assert.deepEqual(Buffer.from(await fs.realPath(odd, { asBytes: true })), real);
  },
);

fileTest(
  "SandboxFsOps.makeTemp() makes what was not there, for its user alone",
  async ({ fs, at, directory }) => {
    const file = await fs.makeTemp({ directory, prefix: "pre-", suffix: ".txt" });
    assert.match(file, new RegExp(`^${directory}/pre-\\w{8,}\\.txt$`));
    assert.equal(statSync(file).mode & 0o7777, 0o600);
    const made = await fs.makeTemp({ kind: "directory", directory });
    assert.equal(statSync(made).mode & 0o7777, 0o700);
    const many = await Promise.all(Array.from({ length: 50 }, () => fs.makeTemp({ directory: made })));
    assert.equal(new Set(many).size, 50);
    assert.deepEqual(
      readdirSync(made)
        .map((name) => join(made, name))
        .sort(),
      many.sort(),
    );
    await assert.rejects(fs.makeTemp({ directory: at("none") }), { code: "fileNotFound" });
  },
);

fileTest(
  "SandboxFsOps.walk() goes on past what its user cannot read, and says so",
  async ({ fs, at, directory }) => {
    chmodSync(directory, 0o755);
    mkdirSync(at("tree/locked/hidden"), { recursive: true });
    mkdirSync(at("tree/open"));
    chmodSync(at("tree"), 0o755);
    chmodSync(at("tree/locked"), 0o700);
    const seen = new Map<string, unknown>();
    for await (const { relativePath, unread } of fs.walk(at("tree"), { user: "nobody" }))
      seen.set(relativePath, unread?.code);
    const expected = { "": undefined, locked: "permissionDenied", open: undefined };
    assert.deepEqual(Object.fromEntries(seen), expected);
  },
  { skip: rootProblem },
);
