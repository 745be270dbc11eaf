/** Disks of formatExt4() in use: mounted by the host's kernel, which needs root and loop devices. @module */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GiB, KiB, MiB } from "../../../../src/base/bytes.ts";
import { readExt4Superblock } from "../../../../src/image/ext4.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { assertCheckedClean, findMountProblem, formatOverlayDisk, mounted } from "./tools.ts";

const needsMount = { skip: findMountProblem(), timeoutMs: 120_000 };

test(
  "formatExt4() makes a disk that the kernel mounts, fills, and leaves clean",
  async () => {
    using directory = temporaryDirectory();
    const disk = join(directory.path, "disk");
    await formatOverlayDisk(disk, 1 * GiB);
    {
      const root = join(directory.path, "mount");
      using _mount = mounted(root, "-o", "loop", disk);
      assert.deepEqual(readdirSync(root).sort(), ["lost+found", "upper", "work"]);
      assert.equal(statSync(join(root, "upper")).mode & 0o7777, 0o755);
      assert.equal(statSync(join(root, "work")).mode & 0o7777, 0o700);
      assert.equal((await readExt4Superblock(disk)).state, "needsRecovery");
      // More names than one directory block holds, so that it becomes indexed; and data that spans groups.
      for (let index = 0; index < 1000; index++)
        writeFileSync(join(root, "upper", `file ${index}`), String(index));
      writeFileSync(join(root, "large"), new Uint8Array(200 * MiB).fill(7));
      rmSync(join(root, "upper", "file 500"));
    }
    assert.equal((await readExt4Superblock(disk)).state, "clean");
    assertCheckedClean(disk);
    const root = join(directory.path, "again");
    using _mount = mounted(root, "-o", "loop,ro", disk);
    assert.equal(readdirSync(join(root, "upper")).length, 999);
    assert.equal(readFileSync(join(root, "upper", "file 999"), "utf8"), "999");
  },
  needsMount,
);

test(
  "formatExt4() makes a disk whose upper and work serve an overlay",
  async () => {
    using directory = temporaryDirectory();
    const disk = join(directory.path, "disk");
    await formatOverlayDisk(disk, 64 * MiB);
    const lower = join(directory.path, "lower");
    mkdirSync(lower);
    writeFileSync(join(lower, "kept"), "lower");
    writeFileSync(join(lower, "removed"), "lower");
    const upper = join(directory.path, "mount");
    using _disk = mounted(upper, "-o", "loop", disk);
    const merged = join(directory.path, "merged");
    const options = `lowerdir=${lower},upperdir=${upper}/upper,workdir=${upper}/work`;
    using _overlay = mounted(merged, "-t", "overlay", "-o", options, "overlay");
    writeFileSync(join(merged, "kept"), "changed");
    rmSync(join(merged, "removed"));
    assert.deepEqual(readdirSync(merged), ["kept"]);
    assert.equal(readFileSync(join(upper, "upper", "kept"), "utf8"), "changed");
    assert.ok(statSync(join(upper, "upper", "removed")).isCharacterDevice(), "a whiteout");
  },
  needsMount,
);

test(
  "formatExt4() makes a disk that can be filled to its last block",
  async () => {
    using directory = temporaryDirectory();
    const disk = join(directory.path, "disk");
    await formatOverlayDisk(disk, 150 * MiB);
    {
      const root = join(directory.path, "mount");
      using _mount = mounted(root, "-o", "loop", disk);
      const chunk = new Uint8Array(512 * KiB).fill(1);
      let count = 0;
      const fill = () => {
        for (; count < 300; count++) writeFileSync(join(root, `chunk ${count}`), chunk);
      };
      assert.throws(fill, { code: "ENOSPC" });
      assert.ok(count > 200, `${count} chunks of 512 KiB on 150 MiB`);
    }
    assertCheckedClean(disk);
  },
  needsMount,
);
