import assert from "node:assert/strict";
import type { VmConfig } from "../../../../../src/vmm/engine/engine.ts";
import { qemuArguments } from "../../../../../src/vmm/engine/qemu/qemu_command.ts";
import { test } from "../../../../support/harness.ts";

const CONFIG: VmConfig = {
  home: "/home",
  runDirectory: "/run/x",
  cpus: 2,
  memoryMiB: 256,
  disks: [
    { id: "boot", path: "/boot.erofs", readOnly: true },
    { id: "upper", path: "/upper.ext4", readOnly: false },
  ],
  hasRootPort: false,
  kvm: false,
  enginePath: "/bin/qemu",
  libkrunfwPath: "/lib/libkrunfw.so",
  onStarting: () => {},
};

/** The values of an option that may come several times. */
function values(args: readonly string[], option: string): string[] {
  return args.flatMap((arg, index) => (args[index - 1] === option ? [arg] : []));
}

test("qemuArguments() gives processors, memory, and the accelerator that there is", () => {
  const emulated = qemuArguments(CONFIG, "/kernel");
  assert.deepEqual([values(emulated, "-smp"), values(emulated, "-m")], [["2"], ["256"]]);
  assert.match(values(emulated, "-accel")[0]!, /^tcg/);
  const accelerated = qemuArguments({ ...CONFIG, kvm: true }, "/kernel");
  assert.deepEqual([values(accelerated, "-accel"), values(accelerated, "-cpu")], [["kvm"], ["host"]]);
});

test("qemuArguments() forbids QEMU to start programs and to gain privileges", () => {
  assert.deepEqual(values(qemuArguments(CONFIG, "/kernel"), "-sandbox"), [
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
  ]);
});

test("qemuArguments() tells the kernel the counter's speed, if it is known", () => {
  const words = (counterKHz?: number) =>
    values(qemuArguments(CONFIG, "/kernel", counterKHz), "-append")[0] ?? "";
  assert.match(words(2_596_148), / tsc_early_khz=2596148 tsc=reliable$/);
  assert.doesNotMatch(words(), /tsc/);
});

test("qemuArguments() keeps a kernel that is emulated from doubting its timer, and from cmpxchg16b", () => {
  const words = (kvm: boolean) =>
    values(qemuArguments({ ...CONFIG, kvm }, "/kernel"), "-append")[0]?.split(" ");
  for (const word of ["no_timer_check", "clearcpuid=cx16"]) {
    assert.ok(words(false)?.includes(word));
    assert.ok(!words(true)?.includes(word));
  }
});

test("qemuArguments() emulates a processor without what is slow to emulate, and passes the host's on to KVM", () => {
  const processor = (kvm: boolean) => values(qemuArguments({ ...CONFIG, kvm }, "/kernel"), "-cpu");
  assert.deepEqual(processor(true), ["host"]);
  assert.deepEqual(processor(false), ["max,-erms,-fsrm,-la57"]);
});

test("qemuArguments() attaches the disks in order, read-only where they are", () => {
  const args = qemuArguments(CONFIG, "/kernel");
  const [boot, upper] = values(args, "-drive");
  assert.match(boot!, /^id=boot,file=\/boot\.erofs,.*readonly=on/);
  assert.match(upper!, /^id=upper,file=\/upper\.ext4,.*readonly=off/);
  const drives = values(args, "-device").filter((device) => device.startsWith("virtio-blk"));
  assert.deepEqual(drives, ["virtio-blk-device,drive=boot", "virtio-blk-device,drive=upper"]);
});

test("qemuArguments() doubles commas in paths, so that none becomes an option", () => {
  const path = "/a,readonly=off,b";
  const args = qemuArguments(
    { ...CONFIG, runDirectory: "/run,x", disks: [{ id: "d", path, readOnly: true }] },
    "/k",
  );
  assert.match(values(args, "-drive")[0]!, /^id=d,file=\/a,,readonly=off,,b,readonly=on,/);
  const paths = values(args, "-chardev").map(
    (value) => /path=(?<path>(?:[^,]|,,)*)/.exec(value)?.groups?.["path"],
  );
  assert.deepEqual(paths, ["/run,,x/console", "/run,,x/agent.sock"]);
});

test("qemuArguments() says the format of each disk, and gives a qcow2 one no backing file", () => {
  const disks = [
    { id: "boot", path: "/boot.erofs", readOnly: true },
    { id: "mount1", path: "/a,b.img", readOnly: false, format: "raw" },
    { id: "mount2", path: "/a,b.qcow2", readOnly: true, format: "qcow2" },
  ] as const;
  const args = qemuArguments({ ...CONFIG, disks }, "/kernel");
  const drives = values(args, "-drive");
  assert.equal(drives.length, 2);
  for (const drive of drives) assert.match(drive, /,format=raw,/);
  assert.deepEqual(
    values(args, "-blockdev").map((json) => JSON.parse(json)),
    [
      {
        ...{ driver: "qcow2", "node-name": "mount2", "read-only": true, discard: "unmap", backing: null },
        file: { driver: "file", filename: "/a,b.qcow2", discard: "unmap" },
      },
    ],
  );
  assert.deepEqual(
    values(args, "-device").filter((device) => device.startsWith("virtio-blk-device")),
    ["boot", "mount1", "mount2,werror=report,rerror=report"].map((id) => `virtio-blk-device,drive=${id}`),
  );
});

test("qemuArguments() adds a port to the root's directory, if there is one", () => {
  const portsOf = (hasRootPort: boolean) => {
    const devices = values(qemuArguments({ ...CONFIG, hasRootPort }, "/kernel"), "-device");
    return devices.filter((device) => /serial/.test(device));
  };
  const agent = "virtserialport,chardev=agent,name=agent";
  assert.deepEqual(portsOf(false), ["virtio-serial-device,max_ports=2", agent]);
  const root = "virtserialport,chardev=root,name=root";
  assert.deepEqual(portsOf(true), ["virtio-serial-device,max_ports=3", agent, root]);
  assert.ok(
    values(qemuArguments({ ...CONFIG, hasRootPort: true }, "/kernel"), "-chardev").includes(
      "socket,path=/run/x/root.sock,server=off,id=root",
    ),
  );
});

test("qemuArguments() joins the network device to a socket, or to a TAP device that it makes itself", () => {
  const networkOf = (networkDevice: VmConfig["networkDevice"]) => {
    const args = qemuArguments({ ...CONFIG, networkDevice }, "/kernel");
    return [values(args, "-netdev"), values(args, "-device").filter((device) => device.includes("net"))];
  };
  const [mac, device] = ["02:00:00:00:00:01", "virtio-net-device,netdev=network,mac=02:00:00:00:00:01"];
  assert.deepEqual(networkOf(undefined), [[], []]);
  assert.deepEqual(networkOf({ kind: "stream", socketPath: "/a,b", mac }), [
    ["stream,id=network,server=off,addr.type=unix,addr.path=/a,,b"],
    [device],
  ]);
  assert.deepEqual(networkOf({ kind: "tap", tapName: "msb0", mac }), [
    ["tap,id=network,ifname=msb0,script=no,downscript=no"],
    [device],
  ]);
});

test("qemuArguments() boots the agent from the first disk, and restarts nothing", () => {
  const args = qemuArguments(CONFIG, "/kernel");
  assert.deepEqual(values(args, "-kernel"), ["/kernel"]);
  const words = values(args, "-append")[0]!.split(" ");
  for (const word of ["root=/dev/vda", "init=/agent", "rootfstype=erofs", "ro", "panic=-1"])
    assert.ok(words.includes(word), word);
  assert.ok(args.includes("-no-reboot"));
  assert.ok(args.includes("-no-user-config"));
});
