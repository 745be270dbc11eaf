/** What is known of files, against `node:fs` on the same files. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { type BigIntStats, lstatSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import type { FsMetadata } from "../../../../mod.ts";
import { fileTest, rootProblem } from "../../../support/guest/native_files.ts";

/** When a file was changed, read, and changed in any way, in nanoseconds: `node:fs` of Deno knows milliseconds. */
function exactTimes(path: string, follow = false): bigint[] {
  const args = [...(follow ? ["-L"] : []), "-c", "%.9Y %.9X %.9Z", path];
  return execFileSync("stat", args, { encoding: "utf8" })
    .trim()
    .split(" ")
    .map((time) => BigInt(time.replace(".", "")));
}

/** Everything that both tell, in the same form. */
function compared(metadata: FsMetadata, stats: BigIntStats, times: readonly bigint[]): void {
  const { size, mode, uid, gid, links, device, inode, allocated } = metadata;
  assert.deepEqual(
    {
      size: BigInt(size),
      mode: BigInt(mode),
      uid: BigInt(uid),
      gid: BigInt(gid),
      links: BigInt(links),
      inode,
      device,
    },
    {
      size: stats.size,
      mode: stats.mode & 0o7777n,
      uid: stats.uid,
      gid: stats.gid,
      links: stats.nlink,
      inode: stats.ino,
      device: stats.dev,
    },
  );
  assert.equal(BigInt(allocated), stats.blocks * 512n);
  assert.deepEqual([metadata.modifiedNs, metadata.accessedNs, metadata.changedNs], times);
  assert.deepEqual(metadata.modified?.getTime(), Number(metadata.modifiedNs / 1_000_000n));
  if (metadata.created !== null) assert.equal(BigInt(metadata.created.getTime()), stats.birthtimeMs);
}

fileTest(
  "SandboxFsOps.stat() and lstat() tell what node:fs does, of every kind of file",
  async ({ fs, at }) => {
    writeFileSync(at("file"), "content", { mode: 0o640 });
    execFileSync("truncate", ["-s", "10M", at("holes")]);
    mkdirSync(at("directory"));
    symlinkSync("file", at("link"));
    symlinkSync("none", at("dangling"));
    execFileSync("mkfifo", [at("fifo")]);
    for (const name of ["file", "holes", "directory", "link", "fifo"]) {
      compared(await fs.lstat(at(name)), lstatSync(at(name), { bigint: true }), exactTimes(at(name)));
      compared(await fs.stat(at(name)), statSync(at(name), { bigint: true }), exactTimes(at(name), true));
    }
    assert.deepEqual(
      [(await fs.stat(at("link"))).kind, (await fs.lstat(at("link"))).kind],
      ["file", "symlink"],
    );
    await assert.rejects(fs.stat(at("dangling")), { code: "fileNotFound" });
    assert.equal((await fs.lstat(at("dangling"))).type, "symlink");
    const device = await fs.stat("/dev/null");
    assert.deepEqual([device.kind, device.type], ["other", "characterDevice"]);
    assert.equal(device.special, statSync("/dev/null", { bigint: true }).rdev);
    assert.deepEqual(
      [(await fs.stat(at("file"))).readonly, (await fs.stat("/proc/version")).readonly],
      [false, true],
    );
  },
);

fileTest(
  "SandboxFsOps.exists() says whether something is there, and rejects if that is not known",
  async ({ fs, at }) => {
    writeFileSync(at("file"), "");
    symlinkSync("none", at("dangling"));
    assert.deepEqual(
      await Promise.all(
        [at("file"), at(""), at("none"), at("file/below"), at("dangling")].map((path) => fs.exists(path)),
      ),
      [true, true, false, false, false],
    );
    symlinkSync("loop", at("loop"));
    await assert.rejects(fs.exists(at("loop")), { errnoName: "ELOOP" });
  },
);

fileTest(
  "SandboxFsOps.access() says what the user may do",
  async ({ fs, at, directory }) => {
    execFileSync("chmod", ["755", directory]);
    writeFileSync(at("file"), "", { mode: 0o644 });
    const user = "nobody";
    assert.equal(await fs.access(at("file"), { read: true, user }), true);
    assert.equal(await fs.access(at("file"), { read: true, write: true, user }), false);
    assert.equal(await fs.access(at("file"), { execute: true }), false);
    assert.equal(await fs.access(at("file"), { read: true, write: true }), true);
    await assert.rejects(fs.access(at("none"), { read: true }), { code: "fileNotFound" });
    mkdirSync(at("private"), { mode: 0o700 });
    await assert.rejects(fs.exists(at("private/x"), { user }), { code: "permissionDenied" });
  },
  { skip: rootProblem },
);

fileTest("SandboxFsOps.chmod() and utimes() set what node:fs sees", async ({ fs, at }) => {
  writeFileSync(at("file"), "");
  for (const mode of [0, 0o777, 0o4755, 0o7777]) {
    await fs.chmod(at("file"), mode);
    assert.equal(statSync(at("file")).mode & 0o7777, mode);
  }
  const times = () => exactTimes(at("file")).slice(0, 2).reverse();
  await fs.utimes(at("file"), { accessed: 1_000_000_000_123n, modified: new Date(1_500_000_000_250) });
  assert.deepEqual(times(), [1_000_000_000_123n, 1_500_000_000_250_000_000n]);
  await fs.utimes(at("file"), { modified: 1234.5 });
  assert.deepEqual(times(), [1_000_000_000_123n, 1_234_500_000n]);
  await fs.utimes(at("file"), { modified: -1n });
  assert.equal(times()[1], -1n);
  assert.deepEqual((await fs.stat(at("file"))).modified, new Date(-1));
  symlinkSync("file", at("link"));
  await fs.utimes(at("link"), { modified: 5n }, { follow: false });
  assert.deepEqual([exactTimes(at("link"))[0], times()[1]], [5n, -1n]);
  await assert.rejects(fs.chmod(at("none"), 0o600), { code: "fileNotFound" });
});

fileTest(
  "SandboxFsOps.chown() takes numbers and names, and leaves links alone if it is asked to",
  async ({ fs, at }) => {
    writeFileSync(at("file"), "");
    symlinkSync("file", at("link"));
    const owner = (name: string) => {
      const { uid, gid } = lstatSync(at(name));
      return [uid, gid];
    };
    await fs.chown(at("file"), { uid: 1234, gid: 5678 });
    assert.deepEqual(owner("file"), [1234, 5678]);
    await fs.chown(at("file"), { gid: 1 });
    assert.deepEqual(owner("file"), [1234, 1]);
    await fs.chown(at("file"), "root:root");
    assert.deepEqual(owner("file"), [0, 0]);
    await fs.chown(at("file"), "nobody");
    assert.deepEqual(owner("file"), [65534, 0]);
    await fs.chown(at("file"), ":5");
    assert.deepEqual(owner("file"), [65534, 5]);
    await fs.chown(at("link"), { uid: 7 }, { follow: false });
    assert.deepEqual([owner("link")[0], owner("file")[0]], [7, 65534]);
    await assert.rejects(fs.chown(at("file"), "no-such-user"), { errnoName: "EINVAL" });
    await assert.rejects(fs.chown(at("file"), { uid: 0 }, { user: "nobody" }), { code: "permissionDenied" });
  },
  { skip: rootProblem },
);
