/** Disks of users that a sandbox mounts: what an engine can give, and who has them. @module */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { linkSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkDiskEngine, checkDisks, diskConfig } from "../../../../src/backend/local/attached_disks.ts";
import type { MountConfig } from "../../../../src/options/mount_options.ts";
import { tryLockFile } from "../../../../src/platform/file_lock.ts";
import { krunChecks } from "../../../../src/vmm/engine/krun/checks.ts";
import { qemuChecks } from "../../../../src/vmm/engine/qemu/checks.ts";
import { checkOpenedDisks, holdDisks } from "../../../../src/vmm/host/hold_disks.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { openHome } from "../../../support/home/open_home.ts";

const files = { enginePath: "", libkrunfwPath: "", kvm: false };
const krun = { engine: "krun", devices: krunChecks.devices, ...files } as const;
const qemu = { engine: "qemu", devices: qemuChecks.devices, ...files } as const;

function mountOf(source: string, readonly = false, format: "raw" | "qcow2" = "raw") {
  return { kind: "disk", target: "/d", source, format, readonly, noExec: false } as const;
}

function mountsOf(count: number): readonly MountConfig[] {
  const tmpfs = { kind: "tmpfs", target: "/t", sizeMiB: 1, readonly: false, noExec: false } as const;
  return [tmpfs, ...Array.from({ length: count }, () => mountOf("/disk"))];
}

test(
  "checkDiskEngine() counts the devices of the VM, and says what to drop",
  () => {
    const network = { mode: "user", dns: [] } as const;
    for (const [engine, most] of [
      [krun, 4],
      [qemu, 3],
    ] as const) {
      checkDiskEngine({ mounts: mountsOf(most), network: { mode: "none" } }, engine);
      checkDiskEngine({ mounts: mountsOf(most - 1), network }, engine);
      assert.throws(() => checkDiskEngine({ mounts: mountsOf(most), network }, engine), {
        code: "invalidConfig",
        message: /drop one disk, or the network/,
      });
      assert.throws(
        () => checkDiskEngine({ mounts: mountsOf(most + 2), network: { mode: "none" } }, engine),
        {
          code: "invalidConfig",
          message: new RegExp(`fewer disks.*${engine.engine} has ${engine.devices.max} .*drop 2 disks$`),
        },
      );
    }
  },
  { skip: process.arch === "x64" ? undefined : "libkrun has other bounds on other processors" },
);

test("checkDiskEngine() counts what is written to: the sandbox's own disk, one of a user, or none", () => {
  const network = { mode: "none" } as const;
  const image = { kind: "disk", source: "/r", format: "raw", fstype: "ext4" } as const;
  const most = qemu.devices.max - qemu.devices.own - 3;
  checkDiskEngine({ mounts: mountsOf(most), network, rootDisk: image }, qemu);
  assert.throws(
    () => checkDiskEngine({ mounts: mountsOf(most + 1), network, rootDisk: image }, qemu),
    /drop one/,
  );
  const tmpfs = { kind: "tmpfs", sizeMiB: 1 } as const;
  checkDiskEngine({ mounts: mountsOf(most + 1), network, rootDisk: tmpfs }, qemu);
  checkDiskEngine({ mounts: mountsOf(most + 2), network, rootDisk: tmpfs, rootDirectory: "/r" }, qemu);
  assert.throws(
    () =>
      checkDiskEngine({ mounts: mountsOf(most + 3), network, rootDisk: tmpfs, rootDirectory: "/r" }, qemu),
    /drop one/,
  );
});

test("checkDiskEngine() refuses qcow2 on krun, with the reason and a way out", () => {
  const mounts = [mountOf("/disk.qcow2", true, "qcow2")];
  checkDiskEngine({ mounts, network: { mode: "none" } }, qemu);
  assert.throws(() => checkDiskEngine({ mounts, network: { mode: "none" } }, krun), {
    code: "unsupported",
    message: /qcow2.*in memory/,
    hint: /qemu-img convert -O raw \/disk\.qcow2/,
  });
});

test("checkDisks() and holdDisks() let a disk have one writer, or many readers", async () => {
  using directory = temporaryDirectory();
  using made = openHome();
  const { state, path: home } = made;
  const [disk, other] = [join(directory.path, "disk"), join(directory.path, "other name")];
  writeFileSync(disk, new Uint8Array(512));
  linkSync(disk, other);
  const check = (mount: MountConfig) => checkDisks(home, { mounts: [mount], network: { mode: "none" } });
  const lockPath = diskConfig(home, mountOf(disk), "d").lockPath ?? "";
  assert.equal(diskConfig(home, mountOf(other), "d").lockPath, lockPath);
  await check(mountOf(disk));
  {
    using reader = tryLockFile(lockPath, "shared");
    assert.ok(reader !== undefined);
    await check(mountOf(disk, true));
    await assert.rejects(check(mountOf(other)), { code: "diskInUse", path: other });
    await assert.rejects(holdDisks(state, [diskConfig(home, mountOf(disk), "d")]), {
      code: "diskInUse",
      path: disk,
    });
  }
  {
    using writer = tryLockFile(lockPath, "exclusive");
    assert.ok(writer !== undefined);
    await assert.rejects(check(mountOf(disk, true)), { code: "diskInUse" });
  }
  await check(mountOf(disk));
  assert.equal(readdirSync(join(home, "locks/disks")).length, 1);
});

test("holdDisks() refuses a path that leads elsewhere since it was resolved", async () => {
  using directory = temporaryDirectory();
  const path = (name: string) => join(directory.path, name);
  writeFileSync(path("disk"), new Uint8Array(512));
  using made = openHome();
  const config = diskConfig(made.path, mountOf(path("disk"), true), "d");
  await holdDisks(made.state, [config, { id: "own", path: path("none"), readOnly: false }]);
  renameSync(path("disk"), path("moved"));
  symlinkSync("moved", path("disk"));
  await assert.rejects(holdDisks(made.state, [config]), /symbolic link/);
});

test("holdDisks() refuses another file in place of the disk", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "disk");
  writeFileSync(path, new Uint8Array(512));
  using made = openHome();
  const config = diskConfig(made.path, mountOf(path), "d");
  renameSync(path, `${path}.moved`);
  writeFileSync(path, new Uint8Array(512));
  await assert.rejects(holdDisks(made.state, [config]), /another file/);
});

/** A process that has these files open, as a VM has its disks. */
async function processWith(...paths: readonly string[]) {
  const opens = paths.map((_, index) => `exec ${index + 3}<"$${index + 1}"`).join("; ");
  const child = spawn("/bin/sh", ["-c", `${opens}; echo ready; read -r line`, "sh", ...paths], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return { pid: child.pid ?? 0, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

test("checkOpenedDisks() refuses a VM that has opened another file than the disk, or one that the disk names", async () => {
  using directory = temporaryDirectory();
  const path = (name: string) => join(directory.path, name);
  mkdirSync(path("run"));
  for (const name of ["disk", "named", "own", "run/console"]) writeFileSync(path(name), name);
  using made = openHome();
  const own = { id: "own", path: path("own"), readOnly: true };
  const raw = diskConfig(made.path, mountOf(path("disk")), "d");
  const qcow2 = diskConfig(made.path, mountOf(path("disk"), false, "qcow2"), "d");
  const check = (pid: number, disk: typeof raw) =>
    checkOpenedDisks({ disks: [own, disk], pid, isVmAlone: true, runDirectory: path("run") });
  {
    using vm = await processWith(path("disk"), path("own"), path("run/console"));
    for (const disk of [raw, qcow2]) check(vm.pid, disk);
  }
  {
    using vm = await processWith(path("disk"), path("own"), path("named"));
    check(vm.pid, raw);
    assert.throws(() => check(vm.pid, qcow2), /opened .*named/);
  }
  {
    using vm = await processWith(path("named"), path("own"));
    for (const disk of [raw, qcow2]) assert.throws(() => check(vm.pid, disk), /opened another file/);
  }
  checkOpenedDisks({ disks: [own], pid: 0, isVmAlone: true, runDirectory: "/" }); // there is nothing to look at
});
