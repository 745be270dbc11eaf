/** Disk images in real guests. The oracles are programs of e2fsprogs and QEMU on this machine. @module */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DiskInUseError, InvalidConfigError, Sandbox, Snapshot, UnsupportedError } from "../../mod.ts";
import { findProgram } from "../../src/platform/find_program.ts";
import { eventually, killProcessesOf } from "../support/processes.ts";
import { homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

const missing = ["mkfs.ext4", "e2fsck", "debugfs"].find((program) => findProgram(program) === undefined);
const needs = { missing: missing === undefined ? undefined : `needs ${missing} (e2fsprogs)` };
const isKrun = process.env["MSB_ENGINE"] === "krun";

/** What a script writes; it must succeed. */
async function output(sandbox: Sandbox, script: string): Promise<string> {
  const result = await sandbox.shell(script);
  assert.equal(result.code, 0, `${script}:\n${result.stdout()}${result.stderr()}`);
  return result.stdout();
}

function makeDisk(path: string, sizeMiB = 32): string {
  execFileSync("truncate", ["-s", `${sizeMiB}M`, path]);
  execFileSync("mkfs.ext4", ["-q", "-F", path]);
  return path;
}

/** Content of a file on a disk that no VM has. */
function fileOn(disk: string, path: string): string {
  return execFileSync("debugfs", ["-R", `cat ${path}`, disk], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
}

/** The status of `e2fsck` that changes nothing: 0 is a clean file system. */
function fsck(disk: string): string {
  const { status, stdout } = spawnSync("e2fsck", ["-f", "-n", disk], { encoding: "utf8" });
  return status === 0 ? "clean" : stdout;
}

homeTest(
  "disks: what a guest writes is on the disk after a stop, and after its host was killed",
  async ({ create, scratch, home }) => {
    const data = makeDisk(join(scratch, "data,1.img"));
    const shared = makeDisk(join(scratch, "shared.img"));
    const sandbox = await create({
      mounts: {
        "/data/in/memory": { tmpfs: true, sizeMiB: 1 },
        "/data": { disk: data },
        "/data/in": scratch,
        "/shared": { disk: shared, readonly: true, fstype: "ext4", noExec: true },
      },
    }).catch((error: unknown) => error);
    // The directory holds the disks: the guest could write to them.
    assert.ok(sandbox instanceof InvalidConfigError, String(sandbox));
    assert.match(sandbox.message, /can write to/);

    const mounts = {
      "/data/in": { tmpfs: true, sizeMiB: 1 },
      "/data": { disk: data },
      "/shared": { disk: shared, readonly: true, fstype: "ext4", noExec: true },
    } as const;
    const first = await create({ mounts });
    assert.match(
      await output(first, "grep ' /data\\| /shared' /proc/mounts"),
      /\/dev\/vdd \/data ext4 rw,nosuid,nodev.*\ntmpfs \/data\/in.*\n\/dev\/vde \/shared ext4 ro,nosuid,nodev,noexec/,
    );
    await output(first, "echo kept > /data/file; mkdir /data/sub; (cd /data/sub; exec sleep 1000 > held) & ");
    assert.match((await first.shell("echo x > /shared/x")).stderr(), /Read-only/);
    assert.notEqual((await first.shell("echo x > /dev/vde")).code, 0); // the device itself is read-only

    // No other VM may have the disk that is written to; VMs that only read may share the other one.
    const other = (mounts: NonNullable<Parameters<typeof create>[0]>["mounts"]) =>
      Sandbox.create({ name: "other", image: join(scratch, "rootfs"), memoryMiB: MEMORY_MIB, mounts });
    for (const disk of [{ disk: data }, { disk: data, readonly: true }, { disk: shared }])
      await assert.rejects(other({ "/d": disk }), DiskInUseError);
    assert.deepEqual(readdirSync(join(home, "sandboxes")), ["subject"]);
    await assert.rejects(first.mounts.add("/late", { disk: shared }), InvalidConfigError);
    await assert.rejects(first.mounts.remove("/data"), { code: "mountFailed" });
    {
      await using reader = await other({ "/d": { disk: shared, readonly: true } });
      assert.match(await output(reader, "ls /d"), /lost\+found/);
    }
    await Sandbox.remove("other");

    await first.stop();
    assert.equal(fsck(data), "clean");
    assert.equal(fileOn(data, "/file"), "kept\n");

    const second = await Sandbox.start("subject");
    await output(second, "cat /data/file; cp /bin/busybox /data/copy; echo synced > /data/synced; sync");
    killProcessesOf(home); // without a word: neither the host process nor the engine flushes anything
    await eventually(async () => assert.equal((await Sandbox.get("subject")).status, "crashed"));
    const third = await Sandbox.start("subject"); // the journal is replayed
    assert.equal(
      await output(third, "cat /data/file /data/synced; cmp /data/copy /bin/busybox"),
      "kept\nsynced\n",
    );
    await third.stop();
    assert.equal(fsck(data), "clean");

    // A guest that could write there might have put a link in the disk's place.
    renameSync(data, join(scratch, "moved"));
    symlinkSync("/etc/passwd", data);
    await assert.rejects(Sandbox.start("subject"), { code: "invalidConfig" });
  },
  needs,
);

homeTest(
  "disks: a read-only disk that was not unmounted, other file systems, and a disk without one",
  async ({ create, scratch }) => {
    const outside = join(scratch, "outside");
    const dirty = makeDisk(join(scratch, "dirty.img"));
    mkdirSync(outside);
    writeFileSync(join(scratch, "blank.img"), new Uint8Array(1024 * 1024));
    const first = await create({ mounts: { "/out": outside, "/dirty": { disk: dirty } } });
    await output(
      first,
      "truncate -s 4M /out/fat.img; mkdosfs /out/fat.img > /dev/null; touch /dirty/x; sync",
    );
    await first.kill();
    await Sandbox.remove("subject");
    const fat = join(outside, "fat.img");

    const refused = async (mounts: NonNullable<Parameters<typeof create>[0]>["mounts"], problem: RegExp) => {
      await assert.rejects(create({ mounts }), { code: "bootStart", message: problem });
      assert.deepEqual((await Sandbox.list()).sandboxes, []);
    };
    await refused({ "/d": { disk: dirty, readonly: true } }, /not unmounted cleanly.*mount it writable/);
    await refused({ "/d": { disk: join(scratch, "blank.img") } }, /no file system/);
    await refused({ "/d": { disk: fat, fstype: "ext4" } }, /no such file system/);

    const second = await create({ mounts: { "/fat": { disk: fat }, "/dirty": { disk: dirty } } });
    await output(second, "grep '/fat vfat' /proc/mounts; echo fat > /fat/file.txt; ls /dirty/x");
    await second.stop();
    assert.equal(fsck(dirty), "clean");
    assert.ok(readFileSync(fat).includes("fat\n"));
  },
  needs,
);

homeTest(
  "rootDisk: memory of a bound size keeps nothing, and a disk image keeps all",
  async ({ create, scratch, home }) => {
    const memory = await create({ rootDisk: { tmpfs: true, sizeMiB: 16 } });
    assert.deepEqual(readdirSync(join(home, "sandboxes/subject")), ["logs"]);
    const full = await memory.shell(
      "echo x > /etc/made; dd if=/dev/zero of=/fill bs=1M count=20 2>&1; stat -c %s /fill",
    );
    assert.match(full.stdout(), /No space left/);
    assert.ok(Number(full.stdout().trim().split("\n").at(-1)) < 16 * 1024 * 1024);
    await assert.rejects(Snapshot.builder("s").fromSandbox("subject").create(), {
      code: "unsupported",
      message: /memory/,
    });
    await memory.stop();
    {
      await using again = await Sandbox.start("subject");
      assert.notEqual((await again.shell("cat /etc/made || ls /fill")).code, 0);
    }
    await Sandbox.remove("subject");

    const disk = makeDisk(join(scratch, "root.img"));
    const first = await create({ rootDisk: { disk } });
    await output(first, "echo kept > /etc/made; rm /etc/group");
    await assert.rejects(
      Sandbox.create({ name: "other", image: join(scratch, "rootfs"), rootDisk: { disk } }),
      DiskInUseError,
    );
    await first.stop();
    await Sandbox.remove("subject");
    assert.equal(fsck(disk), "clean");
    assert.equal(fileOn(disk, "/upper/etc/made"), "kept\n");
    const second = await create({ rootDisk: { disk }, mounts: { "/t": { tmpfs: true } } });
    assert.equal(await output(second, "cat /etc/made; test ! -e /etc/group"), "kept\n");
  },
  needs,
);

homeTest(
  "rootDirectory: a directory is the root as it is, and what is written stays out of it",
  async ({ create, scratch, home, image }) => {
    chmodSync(join(image, "bin/busybox"), 0o4755);
    writeFileSync(join(image, "etc/live"), "first");
    writeFileSync(join(image, "etc/issue"), "of this machine\n");
    writeFileSync(join(image, "big"), new Uint8Array(3 * 1024 * 1024).fill(7));
    await assert.rejects(create({ rootDirectory: image }), { code: "invalidConfig", message: /with image/ });
    const first = await create({ image: "", rootDirectory: image });
    assert.ok(!existsSync(join(home, "images"))); // none was made
    assert.deepEqual(
      (
        await output(first, "cat /etc/issue /etc/live; echo; stat -c '%a %u' /bin/busybox; ls /dev/vd*")
      ).split("\n"),
      ["of this machine", "first", "4755 0", "/dev/vda", "/dev/vdb", ""],
    );
    await output(
      first,
      "echo changed > /etc/issue; rm /etc/group; mkdir /made; cp /big /made/copy; cmp /big /made/copy",
    );
    assert.equal(readFileSync(join(image, "etc/issue"), "utf8"), "of this machine\n");
    assert.ok(existsSync(join(image, "etc/group")) && !existsSync(join(image, "made")));
    // What is not in the guest's caches is asked for again; and containers find a root that they can leave.
    await output(first, "echo 3 > /proc/sys/vm/drop_caches; cmp /big /made/copy; unshare -U true");
    writeFileSync(join(image, "etc/live"), "second, and longer");
    await output(first, "until grep -q second /etc/live; do sleep 0.1; done");
    await first.pause();
    await first.resume();
    await output(first, "ls /bin > /dev/null");
    await assert.rejects(Snapshot.builder("s").fromSandbox("subject").create(), { code: "unsupported" });
    await first.stop();
    assert.equal(fsck(join(home, "sandboxes/subject/upper.ext4")), "clean");
    {
      await using again = await Sandbox.start("subject");
      assert.equal(await output(again, "cat /etc/issue; test ! -e /etc/group"), "changed\n");
    }
    renameSync(image, join(scratch, "elsewhere"));
    await assert.rejects(Sandbox.start("subject"), { code: "invalidConfig", message: /no directory/ });
    symlinkSync("elsewhere", image);
    await assert.rejects(Sandbox.start("subject"), { code: "bootStart", message: /symbolic link/ });
    await Sandbox.remove("subject");

    const data = makeDisk(join(scratch, "data.img"));
    const rootDirectory = join(scratch, "elsewhere");
    const mounts = { "/data": { disk: data } };
    const second = await create({ image: "", rootDirectory, rootDisk: { tmpfs: true }, mounts });
    assert.match(
      await output(second, "ls /dev/vd*; grep /data /proc/mounts"),
      /^\/dev\/vda\n\/dev\/vdb\n\/dev\/vdb/,
    );
    await output(second, "echo x > /etc/issue; echo kept > /data/file");
    await second.stop();
    assert.equal(fileOn(data, "/file"), "kept\n");
  },
  needs,
);

homeTest(
  "disks: qcow2 is for qemu, and a disk too many is refused before anything is made",
  async ({ create, scratch, home }) => {
    const raw = makeDisk(join(scratch, "raw.img"));
    const disk = join(scratch, "disk.qcow2");
    execFileSync("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, disk]);
    const names = ["a", "b", "c", "d", "e"].map((name) => makeDisk(join(scratch, `${name}.img`), 4));
    const many = Object.fromEntries(names.map((name, index) => [`/m${index}`, { disk: name }]));
    await assert.rejects(create({ mounts: many }), {
      code: "invalidConfig",
      message: /virtio devices.*drop/,
    });
    if (isKrun)
      await assert.rejects(create({ mounts: { "/q": { disk, format: "qcow2" } } }), UnsupportedError);
    assert.ok(!existsSync(join(home, "sandboxes")));

    const most = names.slice(0, isKrun ? 4 : 2);
    const sandbox = await create({
      mounts: {
        ...Object.fromEntries(most.map((name, index) => [`/m${index}`, { disk: name }])),
        ...(isKrun ? {} : { "/q": { disk, format: "qcow2" } }),
      },
    });
    await output(sandbox, `for m in /m*; do echo $m > $m/name; done; test ! -d /q || echo written > /q/file`);
    await sandbox.stop();
    for (const [index, name] of most.entries()) {
      assert.equal(fsck(name), "clean");
      assert.equal(fileOn(name, "/name"), `/m${index}\n`);
    }
    if (isKrun) return;
    execFileSync("qemu-img", ["check", "-q", disk]);
    execFileSync("qemu-img", ["convert", "-O", "raw", disk, raw]);
    assert.equal(fsck(raw), "clean");
    assert.equal(fileOn(raw, "/file"), "written\n");
  },
  findProgram("qemu-img") === undefined ? { missing: "needs qemu-img (qemu-utils)" } : needs,
);
