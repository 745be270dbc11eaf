/** Disks that the agent mounts, on loop devices of this machine. @module */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { MountFlag } from "../../../src/agent/protocol.ts";
import { NativeAgent, nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { findMountProblem, formatOverlayDisk } from "../image/ext4/tools.ts";

const missing = nativeAgentProblem ?? findMountProblem();

/** A loop device on a file, and a directory to mount in. What is mounted there at its end is taken away. */
class LoopDisk implements Disposable {
  readonly #directory = temporaryDirectory();
  readonly path: string = this.#directory.path;
  readonly device: string;

  constructor(make: (file: string) => void, isReadonly = false) {
    const file = join(this.path, "disk");
    make(file);
    const args = ["--find", "--show", ...(isReadonly ? ["--read-only"] : []), file];
    this.device = execFileSync("losetup", args, { encoding: "utf8" }).trim();
  }

  /** The largest discard that the kernel makes on the device, in bytes. */
  get discardLimit(): number {
    return Number(readFileSync(`/sys/block/${basename(this.device)}/queue/discard_max_bytes`, "utf8"));
  }

  /** The lines of /proc/mounts about the device. */
  get mounts(): readonly string[] {
    return readFileSync("/proc/mounts", "utf8")
      .split("\n")
      .filter((line) => line.startsWith(`${this.device} `));
  }

  [Symbol.dispose](): void {
    for (const _mount of this.mounts) spawnSync("umount", [this.device]);
    execFileSync("losetup", ["--detach", this.device]);
    this.#directory[Symbol.dispose]();
  }
}

interface DiskFields {
  readonly target: string;
  readonly fstype?: string;
  readonly flags?: number;
}

/** Mounts on a stream of its own, and says how that ended. */
async function mountDisk(agent: NativeAgent, stream: number, device: string, fields: DiskFields) {
  const { target, fstype = "", flags = 0 } = fields;
  agent.send("mountDisk", stream, { flags, device, fstype, target: new TextEncoder().encode(target) });
  return await agent.collect(stream);
}

async function formatted(): Promise<string> {
  const directory = temporaryDirectory();
  using _removed = directory;
  const disk = join(directory.path, "disk");
  await formatOverlayDisk(disk, 16 * 1024 * 1024);
  return readFileSync(disk, "latin1");
}

test(
  "mountDisk mounts a disk by its type or by trying, makes the target, and ends its stream",
  async () => {
    const content = await formatted();
    using disk = new LoopDisk((file) => writeFileSync(file, content, "latin1"));
    await using agent = await NativeAgent.start();
    const target = join(disk.path, "made/for it");
    const { names, exited } = await mountDisk(agent, 1, disk.device, { target });
    assert.deepEqual([names[0], exited?.code, names.at(-1)], ["execStarted", 0, "closed"]);
    assert.match(disk.mounts.join(), /for\\040it ext4 rw,nosuid,nodev/);
    const again = join(disk.path, "again");
    await mountDisk(agent, 2, disk.device, { target: again, fstype: "ext4", flags: MountFlag.noExec });
    assert.match(disk.mounts[1] ?? "", /again ext4 rw,nosuid,nodev,noexec/);
    // A device keeps a lowered limit when it is detached: an earlier run on this machine may have lowered this one.
    const third = { target: join(disk.path, "third"), flags: MountFlag.noDiscard };
    await mountDisk(agent, 3, disk.device, third);
    assert.deepEqual([disk.mounts.length, disk.discardLimit], [3, 0]);
  },
  { missing },
);

test(
  "mountDisk says what is wrong with a disk, a type and a target, and mounts nothing",
  async () => {
    using blank = new LoopDisk((file) => writeFileSync(file, new Uint8Array(1024 * 1024)));
    await using agent = await NativeAgent.start();
    const target = join(blank.path, "target");
    const failureOf = async (stream: number, device: string, fields: DiskFields) => {
      const { failed } = await mountDisk(agent, stream, device, fields);
      return failed?.message ?? "";
    };
    assert.match(
      await failureOf(1, blank.device, { target }),
      /no file system that the guest's kernel knows/,
    );
    assert.match(await failureOf(2, blank.device, { target, fstype: "ext4" }), /no such file system/);
    assert.match(await failureOf(3, blank.device, { target, fstype: "nonsense" }), /does not know that type/);
    assert.match(await failureOf(4, "", { target }), /Invalid argument/);
    assert.match(await failureOf(5, `/${"d".repeat(64)}`, { target }), /Invalid argument/);
    assert.match(await failureOf(6, blank.device, { target: "/.//" }), /Invalid argument/);
    assert.match(await failureOf(7, blank.device, { target: join(blank.path, "disk") }), /Not a directory/);
    mkdirSync(join(blank.path, "there"));
    const there = { target: join(blank.path, "there"), fstype: "ext4\0" };
    assert.match(await failureOf(8, blank.device, there), /Invalid argument/);
    assert.deepEqual(blank.mounts, []);
  },
  { missing },
);
