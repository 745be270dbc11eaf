/** The volumes of a boot: who may have them, and what is left of a boot that fails. @module */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { diskConfig } from "../../../../src/backend/local/attached_disks.ts";
import { LocalVolumes } from "../../../../src/backend/local/local_volumes.ts";
import { SandboxVolumes, type VolumesWanted } from "../../../../src/backend/local/sandbox_volumes.ts";
import { InvalidConfigError } from "../../../../src/base/errors.ts";
import { checkMount, type VolumeMountOptions } from "../../../../src/options/mount_options.ts";
import { parseVolumeOptions } from "../../../../src/options/volume_options.ts";
import { tryLockFile } from "../../../../src/platform/file_lock.ts";
import { ownProcess } from "../../../../src/platform/process_identity.ts";
import type { StateStore } from "../../../../src/state/state_store.ts";
import { holdDisks } from "../../../../src/vmm/host/hold_disks.ts";
import {
  VolumeAlreadyExistsError,
  VolumeInUseError,
  VolumeNotFoundError,
} from "../../../../src/volume/errors.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";

/** What a creation asks for with these mounts. */
function wanted(
  state: StateStore,
  mounts: Readonly<Record<string, VolumeMountOptions>>,
): Required<VolumesWanted> {
  const checked = Object.entries(mounts).map(([target, mount]) => checkMount(target, mount));
  return {
    state,
    mounts: checked.map(({ mount }) => mount),
    requests: checked.flatMap(({ volume }) => volume ?? []),
  };
}

const ensureDisk = { volume: "db", mode: "ensure", kind: "disk", sizeMiB: 16 } as const;

test("SandboxVolumes.check() makes nothing, and says what the mounts will be", async () => {
  using home = new StateHome();
  const request = wanted(home.state, {
    "/a": { volume: "cache", mode: "ensure", owner: { uid: 1, gid: 2 }, watch: true },
    "/b": { ...ensureDisk, readonly: true },
  });
  assert.deepEqual(await SandboxVolumes.check(request), [
    {
      kind: "bind",
      target: "/a",
      source: "",
      readonly: false,
      noExec: false,
      owner: { uid: 1, gid: 2 },
      watch: true,
    },
    { kind: "disk", target: "/b", source: "", format: "raw", fstype: "ext4", readonly: true, noExec: false },
  ]);
  assert.deepEqual(home.state.volumes.list(), []);
  const none = wanted(home.state, { "/a": { volume: "cache" } });
  await assert.rejects(SandboxVolumes.check(none), VolumeNotFoundError);
  await new LocalVolumes(home.state).create(parseVolumeOptions({ name: "cache" }));
  const made = wanted(home.state, { "/a": { volume: "cache", mode: "create" } });
  await assert.rejects(SandboxVolumes.check(made), VolumeAlreadyExistsError);
});

test("SandboxVolumes refuses options of directories for a disk, before it is made", async () => {
  using home = new StateHome();
  for (const mounts of [
    { "/a": { ...ensureDisk, owner: { uid: 1, gid: 1 } } },
    { "/a": { ...ensureDisk, watch: true } },
    { "/a": ensureDisk, "/b": { volume: "db", readonly: true } },
  ]) {
    const request = wanted(home.state, mounts);
    await assert.rejects(SandboxVolumes.check(request), InvalidConfigError);
    await assert.rejects(SandboxVolumes.open(request), InvalidConfigError);
  }
  assert.deepEqual(home.state.volumes.list(), []);
  using twice = await SandboxVolumes.open(
    wanted(home.state, { "/a": { volume: "cache" }, "/b": { volume: "cache", mode: "ensure" } }),
  );
  assert.ok(twice !== undefined);
});

test("SandboxVolumes.undo() removes what was made for a boot, and no more", async () => {
  using home = new StateHome();
  const volumes = new LocalVolumes(home.state);
  const old = await volumes.create(parseVolumeOptions({ name: "old" }));
  const request = wanted(home.state, {
    "/old": { volume: "old", mode: "ensure" },
    "/new": { volume: "new", mode: "create" },
    "/shared": { volume: "shared", mode: "ensure" },
  });
  const opened = await SandboxVolumes.open(request);
  const fresh = await volumes.get("new");
  // Until the sandbox has come up, they go with this process.
  assert.deepEqual(
    home.state.volumes.unsettled().map(({ name, maker }) => [name, maker]),
    [
      ["new", ownProcess()],
      ["shared", ownProcess()],
    ],
  );
  await assert.rejects(volumes.remove("old"), VolumeInUseError); // the boot holds it
  // Another boot has come to use the one that this one has made.
  using other = await SandboxVolumes.open(wanted(home.state, { "/x": { volume: "shared" } }));
  opened.undo();
  assert.deepEqual(
    (await volumes.list()).map(({ name }) => name),
    ["old", "shared"],
  );
  assert.deepEqual([existsSync(old.path), existsSync(fresh.path)], [true, false]);
  other[Symbol.dispose]();
  await volumes.remove("shared");
});

test("SandboxVolumes.open() removes what it has made if a later volume is not available", async () => {
  using home = new StateHome();
  const request = wanted(home.state, { "/a": { volume: "new", mode: "create" }, "/b": { volume: "none" } });
  await assert.rejects(SandboxVolumes.open(request), VolumeNotFoundError);
  assert.deepEqual(home.state.volumes.list(), []);
});

test("SandboxVolumes: of two boots that are to write one disk, the second is refused", async () => {
  using home = new StateHome();
  const writing = wanted(home.state, { "/a": ensureDisk });
  const reading = wanted(home.state, { "/a": { volume: "db", readonly: true } });
  {
    using _first = await SandboxVolumes.open(writing);
    for (const second of [writing, reading]) {
      await assert.rejects(SandboxVolumes.check(second), {
        code: "volumeInUse",
        volume: "db",
        sandboxes: [],
      });
      await assert.rejects(SandboxVolumes.open(second), VolumeInUseError);
    }
  }
  using _one = await SandboxVolumes.open(reading);
  using _two = await SandboxVolumes.open(reading);
  await assert.rejects(SandboxVolumes.open(writing), VolumeInUseError);
});

test("SandboxVolumes sees a disk that a VM has, by the lock of every disk of a user", async () => {
  using home = new StateHome();
  const writing = wanted(home.state, { "/a": ensureDisk });
  using opened = await SandboxVolumes.open(writing);
  const [mount] = opened.resolve(writing.mounts);
  assert.ok(mount?.kind === "disk");
  const { lockPath = "", ...config } = diskConfig(home.path, mount, "mount3");
  assert.deepEqual(config, { id: "mount3", path: mount.source, format: "raw", readOnly: false });
  opened[Symbol.dispose]();
  {
    using held = tryLockFile(lockPath, "exclusive");
    assert.ok(held !== undefined);
    const key = home.create("box", { config: { mounts: writing.mounts } });
    await assert.rejects(SandboxVolumes.check(writing), { code: "volumeInUse", sandboxes: ["box"] });
    await assert.rejects(SandboxVolumes.open(writing), VolumeInUseError);
    await SandboxVolumes.check(writing, "box"); // the one that is replaced lets go of it
    home.state.transition(key, "stopped");
  }
  await SandboxVolumes.check(writing);
  // The VM host process holds the volume, too.
  await holdDisks(home.state, [{ ...config, lockPath }]);
  await assert.rejects(new LocalVolumes(home.state).remove("db"), VolumeInUseError);
});

test("LocalVolumes.discard() removes what was made for a failed mount, and no volume that a sandbox has", async () => {
  using home = new StateHome();
  const volumes = new LocalVolumes(home.state);
  const request = checkMount("/a", { volume: "cache", mode: "ensure" }).volume;
  assert.ok(request !== undefined);
  const failed = await volumes.obtain(request);
  assert.equal(failed.isNew, true);
  await volumes.discard(failed.volume);
  assert.deepEqual(await volumes.list(), []);
  const { volume } = await volumes.obtain(request);
  assert.equal((await volumes.obtain(request)).isNew, false);
  home.state.volumes.settle(volume.id);
  await volumes.discard(volume);
  assert.equal((await volumes.get("cache")).id, volume.id);
});
