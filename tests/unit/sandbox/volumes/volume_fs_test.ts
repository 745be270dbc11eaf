/** Files of a volume, worked on from outside. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  DirectoryNotEmptyError,
  FileExistsError,
  FileLimitError,
  FileNotFoundError,
  InvalidConfigError,
  IsADirectoryError,
  NotADirectoryError,
  SandboxFsOpsError,
  Volume,
  type VolumeFs,
} from "../../../../mod.ts";
import { MiB } from "../../../../src/base/bytes.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";

/** Runs `body` with an empty volume; `root` is where its files are. */
async function withVolume(body: (fs: VolumeFs, root: string) => Promise<void>): Promise<void> {
  using _home = new StateHome();
  const volume = await Volume.create({ name: "cache" });
  await body(volume.fs(), volume.path);
}

test("VolumeFs writes, reads and lists", () =>
  withVolume(async (fs, root) => {
    await fs.write("/a/b.txt", "hello", { mode: 0o640 });
    assert.equal(readFileSync(join(root, "a/b.txt"), "utf8"), "hello");
    assert.equal(statSync(join(root, "a/b.txt")).mode & 0o777, 0o640);
    assert.equal(await fs.readToString("a/./b.txt"), "hello");
    assert.deepEqual(await fs.read("/a/b.txt", { offset: 1, length: 3 }), new TextEncoder().encode("ell"));
    await fs.write("/a/b.txt", new Uint8Array([33]), { append: true });
    await fs.write("/a/b.txt", "J", { offset: 0 });
    assert.equal(await fs.readToString("/a/b.txt"), "Jello!");
    await fs.write("/a/b.txt", new Blob(["new"]), { atomic: true, mode: 0o600, sync: true });
    assert.equal(await fs.readToString("/a/b.txt"), "new");
    await fs.mkdir("/a/c/d");
    symlinkSync("/etc/passwd", join(root, "a/link"));
    const entries = await fs.list("/a");
    assert.deepEqual(
      entries.map(({ path, name, kind, target }) => [path, name, kind, target]),
      [
        ["/a/b.txt", "b.txt", "file", null],
        ["/a/c", "c", "directory", null],
        ["/a/link", "link", "symlink", "/etc/passwd"],
      ],
    );
    const { kind, size, mode, modified, readonly } = await fs.stat("/a/b.txt");
    assert.deepEqual([kind, size, mode, readonly], ["file", 3, 0o600, false]);
    assert.equal(modified?.getTime(), Math.floor(statSync(join(root, "a/b.txt")).mtimeMs));
    assert.deepEqual(
      [await fs.exists("/a"), await fs.exists("/a/b.txt/x"), await fs.exists("/z")],
      [true, false, false],
    );
  }));

test("VolumeFs works on names that are not UTF-8, and on any bytes", () =>
  withVolume(async (fs, root) => {
    const name = new Uint8Array([0x61, 0xff, 0x62]);
    await fs.write(name, new Uint8Array([0, 255]));
    const [entry] = await fs.list("/");
    assert.deepEqual(entry?.nameBytes, name);
    assert.deepEqual(await fs.read(entry?.pathBytes ?? ""), new Uint8Array([0, 255]));
    const found = execFileSync("find", [root, "-mindepth", "1", "-printf", "%f"]);
    assert.deepEqual([...found], [...name]);
    await assert.rejects(fs.readToString(name), { errnoName: "EILSEQ" });
  }));

test("VolumeFs fails as sandbox.fs() does, and says where", () =>
  withVolume(async (fs) => {
    await fs.write("/dir/file", "x");
    const cases = [
      [fs.read("/none"), FileNotFoundError],
      [fs.read("/dir"), IsADirectoryError],
      [fs.list("/dir/file"), NotADirectoryError],
      [fs.list("/none"), FileNotFoundError],
      [fs.write("/dir", "x"), IsADirectoryError],
      [fs.write("/dir/file", "y", { exclusive: true }), FileExistsError],
      [fs.write("/dir/file", "y", { exclusive: true, atomic: true }), FileExistsError],
      [fs.write("/new", "y", { create: false }), FileNotFoundError],
      [fs.write("/no/new", "y", { createParents: false }), FileNotFoundError],
      [fs.mkdir("/dir", { createParents: false }), FileExistsError],
      [fs.mkdir("/dir/file"), FileExistsError],
      [fs.remove("/none"), FileNotFoundError],
      [fs.remove("/dir"), IsADirectoryError],
      [fs.removeDir("/dir"), DirectoryNotEmptyError],
      [fs.removeDir("/dir/file", { recursive: true }), NotADirectoryError],
      [fs.removeDir("/none"), FileNotFoundError],
      [fs.rename("/none", "/x"), FileNotFoundError],
      [fs.copy("/none", "/x"), FileNotFoundError],
      [fs.copy("/dir", "/x"), IsADirectoryError],
      [fs.stat("/none"), FileNotFoundError],
      [fs.read("/dir/file", { bytesMax: 0 }), FileLimitError],
    ] as const;
    for (const [index, [failing, Class]] of cases.entries())
      await assert.rejects(failing, (error) => {
        assert.ok(error instanceof Class, `${index}: ${String(error)}`);
        return true;
      });
    await fs.write("/second", "");
    await assert.rejects(fs.list("/", { entriesMax: 1 }), FileLimitError);
    await assert.rejects(fs.read("/none"), {
      message: 'Cannot read "/none" in the volume "cache": no such file or directory (ENOENT)',
    });
    await fs.remove("/none", { force: true });
    await fs.removeDir("/none", { force: true });
    assert.deepEqual(
      (await fs.list("/")).map(({ name }) => name),
      ["dir", "second"],
    );
  }));

test("VolumeFs refuses wrong arguments before anything happens", () =>
  withVolume(async (fs, root) => {
    const wrong = [
      fs.read("../x"),
      fs.read("/a/../../x"),
      fs.read(""),
      fs.read("a\0"),
      fs.write("/a", "x", { user: "root" } as object),
      fs.write("/a", 5 as never),
      fs.write("/a", "x", { append: true, offset: 1 }),
      fs.write("/a", "x", { atomic: true, append: true }),
      fs.write("/a", "x", { exclusive: true, create: false }),
      fs.read("/a", { bytes: 5 } as object),
      fs.copy("/a", "../b"),
    ];
    for (const [index, failing] of wrong.entries())
      await assert.rejects(failing, InvalidConfigError, String(index));
    assert.deepEqual(readdirSync(root), []);
  }));

test("VolumeFs follows no link, wherever it leads, and opens nothing but files", () =>
  withVolume(async (fs, root) => {
    const outside = join(root, "../outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "secret"), "secret");
    symlinkSync(outside, join(root, "out"));
    symlinkSync("../outside/secret", join(root, "file"));
    execFileSync("mkfifo", [join(root, "fifo")]);
    const leaving = [
      fs.read("/file"),
      fs.read("/out/secret"),
      fs.write("/file", "x"),
      fs.write("/out/new", "x"),
      fs.write("/out/secret", "x", { atomic: true }),
      fs.mkdir("/out/new"),
      fs.list("/out"),
      fs.remove("/out/secret"),
      fs.removeDir("/out", { recursive: true }),
      fs.rename("/file", "/out/x"),
      fs.copy("/out/secret", "/x"),
      fs.read("/fifo"),
    ];
    for (const [index, failing] of leaving.entries())
      await assert.rejects(failing, SandboxFsOpsError, String(index));
    assert.deepEqual(readdirSync(outside), ["secret"]);
    assert.equal(readFileSync(join(outside, "secret"), "utf8"), "secret");
    assert.equal((await fs.stat("/file")).kind, "symlink");
    await fs.copy("/file", "/copy");
    assert.equal(readlinkSync(join(root, "copy")), "../outside/secret");
    await fs.mkdir("/tree");
    symlinkSync(outside, join(root, "tree/out"));
    await fs.removeDir("/tree", { recursive: true });
    assert.ok(existsSync(join(outside, "secret")));
    await assert.rejects(fs.read("/file"), /links are followed in a sandbox only/);
  }));

test("VolumeFs.copy() keeps modes, times, holes and links of a tree", () =>
  withVolume(async (fs, root) => {
    await fs.write("/from/deep/er/file", new Uint8Array(3 * MiB).fill(7));
    writeFileSync(join(root, "from/hole"), "begin");
    truncateSync(join(root, "from/hole"), 256 * MiB);
    symlinkSync("deep", join(root, "from/link"));
    execFileSync("mkfifo", [join(root, "from/fifo")]);
    chmodSync(join(root, "from/deep/er/file"), 0o751);
    chmodSync(join(root, "from/deep"), 0o550);
    utimesSync(join(root, "from/deep/er/file"), 1, 2);
    utimesSync(join(root, "from/deep"), 3, 4);
    await fs.copy("/from", "/some/to", { recursive: true, createParents: true });
    execFileSync("diff", [
      "-r",
      "--no-dereference",
      "--exclude=fifo",
      join(root, "from"),
      join(root, "some/to"),
    ]);
    const at = (path: string) => lstatSync(join(root, "some/to", path));
    assert.deepEqual([at("deep/er/file").mode & 0o777, at("deep/er/file").mtimeMs], [0o751, 2000]);
    assert.deepEqual([at("deep").mode & 0o777, at("deep").mtimeMs], [0o550, 4000]);
    assert.ok(at("fifo").isFIFO());
    assert.ok(at("hole").blocks < 1000, String(at("hole").blocks));
    await fs.copy("/from", "/some/to", { recursive: true }); // over what is there
    await fs.write("/some/to/hole", "other");
    await fs.copy("/from/deep/er/file", "/some/to/hole");
    assert.equal((await fs.stat("/some/to/hole")).size, 3 * MiB);
    await assert.rejects(fs.copy("/from", "/from/deep/x", { recursive: true }), { errnoName: "EINVAL" });
    await assert.rejects(fs.copy("/from/hole", "/some/to/hole", { exclusive: true }), FileExistsError);
    await assert.rejects(fs.copy("/from/hole", "/some"), IsADirectoryError);
    await fs.rename("/some/to", "/moved/here", { createParents: true });
    await assert.rejects(fs.rename("/moved/here", "/from", { exclusive: true }), FileExistsError);
    await fs.removeDir("/moved", { recursive: true });
    await fs.removeDir("/some");
    assert.deepEqual(readdirSync(root), ["from"]);
  }));

test("VolumeFs streams read nothing ahead, and write as they are given", () =>
  withVolume(async (fs, root) => {
    const bytes = crypto.getRandomValues(new Uint8Array(64 * 1024));
    {
      await using sink = await fs.writeStream("/s/big");
      for (let part = 0; part < 16; part++) await sink.write(bytes);
      await sink.write("end");
    }
    assert.equal(statSync(join(root, "s/big")).size, 16 * bytes.length + 3);
    await using stream = await fs.readStream("/s/big", { offset: 16 * bytes.length });
    assert.equal(stream.metadata.size, 16 * bytes.length + 3);
    assert.deepEqual(new TextDecoder().decode((await stream.recv()) ?? undefined), "end");
    assert.equal(await stream.recv(), null);
    const whole = await (await fs.readStream("/s/big", { length: bytes.length })).collect();
    assert.deepEqual(whole, bytes);
    await assert.rejects((await fs.readStream("/s/big")).collect(10), FileLimitError);
    const dropped = await fs.writeStream("/s/dropped", { atomic: true });
    await dropped.write("half");
    await dropped[Symbol.asyncDispose]();
    const kept = await fs.writeStream("/s/kept", { atomic: true });
    await kept.write("whole");
    await kept.close();
    assert.deepEqual(readdirSync(join(root, "s")).sort(), ["big", "kept"]);
    await assert.rejects(fs.readStream("/none"), FileNotFoundError);
  }));

test("VolumeFs calls end when their signal fires, and an atomic write leaves nothing", () =>
  withVolume(async (fs, root) => {
    const controller = new AbortController();
    async function* endless() {
      for (let piece = 0; ; piece++) {
        if (piece === 100) controller.abort(new Error("enough"));
        yield new Uint8Array(128 * 1024);
      }
    }
    await assert.rejects(fs.write("/big", endless(), { atomic: true, signal: controller.signal }), {
      code: "aborted",
    });
    assert.deepEqual(readdirSync(root), []);
    await assert.rejects(fs.list("/", { signal: controller.signal }), { code: "aborted" });
  }));

test("VolumeFs calls share a lock and a root, however many there are at once", () =>
  withVolume(async (fs, root) => {
    const before = readdirSync("/proc/self/fd").length;
    await Promise.all(Array.from({ length: 2_000 }, (_, index) => fs.exists(`/${index}`)));
    await Promise.all(Array.from({ length: 200 }, (_, index) => fs.write(`/${index}`, String(index))));
    assert.equal(readdirSync(root).length, 200);
    assert.ok(readdirSync("/proc/self/fd").length <= before + 8);
  }));
