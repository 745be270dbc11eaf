/** Snapshots of a sandbox that does not run: no VM is needed for them. @module */
import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  Snapshot,
  SnapshotAlreadyExistsError,
  SnapshotBuilder,
  SnapshotIntegrityError,
  SnapshotNotFoundError,
} from "../../../mod.ts";
import { sandboxDirectory } from "../../../src/backend/local/sandbox_directories.ts";
import { copySourceDisk, openSource } from "../../../src/backend/local/snapshot_source.ts";
import { UPPER_NAME } from "../../../src/snapshot/descriptor.ts";
import type { StoredSnapshot } from "../../../src/snapshot/store.ts";
import { test } from "../../support/harness.ts";
import { StateHome } from "../../support/home/state_home.ts";
import { makeDisk } from "../snapshot/disks.ts";

const DISK_MIB = 64;

/** A home with the stopped sandbox `box`. */
async function homeWithBox(): Promise<StateHome> {
  const home = new StateHome();
  const key = home.create("box", { host: { pid: 1, startTime: "never" } });
  home.state.transition(key, "stopped");
  const disk = join(sandboxDirectory(home.path, "box"), UPPER_NAME);
  mkdirSync(dirname(disk), { recursive: true });
  await makeDisk(disk, DISK_MIB);
  return home;
}

/** Makes the content of a disk another. */
async function changeByte(path: string): Promise<void> {
  await using disk = await open(path, "r+");
  const at = 1024 + 0x78; // the label, see the kernel's documentation of ext4, "Super Block"
  const { buffer } = await disk.read(Buffer.alloc(1), 0, 1, at);
  buffer[0]! ^= 1;
  await disk.write(buffer, 0, 1, at);
}

test("SnapshotBuilder takes a snapshot, however it was constructed", async () => {
  using _ = await homeWithBox();
  const own = await new SnapshotBuilder("own").fromSandbox("box").label("a", "b").create();
  assert.deepEqual(own.labels, { a: "b" });
  const usual = await Snapshot.builder("usual").fromSandbox("box").recordIntegrity().create();
  assert.deepEqual(
    (await Snapshot.list()).map(({ id }) => id),
    [own.id, usual.id],
  );
});

test("SnapshotBuilder.force() takes the place of a snapshot of the same name", async () => {
  using _ = await homeWithBox();
  const first = await Snapshot.create({ name: "ready", from: "box" });
  const builder = new SnapshotBuilder("ready").fromSandbox("box").label("turn", "2");
  await assert.rejects(builder.create(), SnapshotAlreadyExistsError);
  const second = await builder.force().create();
  assert.notEqual(second.id, first.id);
  assert.deepEqual((await Snapshot.get("ready")).labels, { turn: "2" });
  assert.equal((await Snapshot.list()).length, 1);
  await second.verify();
  await assert.rejects(first.verify(), { code: "snapshotIntegrity" });
  await assert.rejects(Snapshot.create({ name: "ready", from: "box", force: 1 as never }), {
    code: "invalidConfig",
    message: /^force: /,
  });
});

test("copySourceDisk() tells a snapshot that another replaced from one that is damaged", async () => {
  using home = await homeWithBox();
  const disk = join(sandboxDirectory(home.path, "box"), UPPER_NAME);
  const target = join(home.path, "copy");
  const copy = async (source: StoredSnapshot) => {
    await copySourceDisk(home.path, source, target, undefined).finally(() => rmSync(target, { force: true }));
  };
  await Snapshot.create({ name: "ready", from: "box" });
  const first = openSource(home.path, "ready");
  await copy(first);

  await changeByte(disk);
  await Snapshot.create({ name: "ready", from: "box", force: true });
  await assert.rejects(copy(first), SnapshotNotFoundError);
  const second = openSource(home.path, "ready");
  await copy(second);

  await changeByte(second.upperPath);
  await assert.rejects(copy(second), SnapshotIntegrityError);
});
