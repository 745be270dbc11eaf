/** Volumes as users see them, with no sandbox. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, linkSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  FileNotFoundError,
  InvalidConfigError,
  UnsupportedError,
  Volume,
  VolumeAlreadyExistsError,
  VolumeBuilder,
  VolumeInUseError,
  VolumeNotFoundError,
} from "../../../../mod.ts";
import { MiB } from "../../../../src/base/bytes.ts";
import { holdVolume } from "../../../../src/vmm/host/volume_holds.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";

test("Volume.create(), get(), list() and remove() follow one another", async () => {
  using _home = new StateHome();
  const cache = await Volume.create({ name: "cache", labels: { team: "blue" } });
  assert.deepEqual([cache.name, cache.kind, existsSync(cache.path)], ["cache", "directory", true]);
  await assert.rejects(Volume.create({ name: "cache" }), VolumeAlreadyExistsError);
  await new VolumeBuilder("build").directory().label("team", "red").create();
  const handle = await Volume.get("cache");
  const { id, path, isDefault, quotaMib, capacityBytes, diskFormat, diskFstype, labels } = handle;
  assert.deepEqual(
    { id, path, isDefault, quotaMib, capacityBytes, diskFormat, diskFstype, labels },
    {
      ...{ id: cache.id, path: cache.path, isDefault: false, quotaMib: null, capacityBytes: null },
      ...{ diskFormat: null, diskFstype: null, labels: [["team", "blue"]] },
    },
  );
  assert.ok(Math.abs((handle.createdAt?.getTime() ?? 0) - Date.now()) < 60_000);
  const names = async (labels?: Record<string, string>) =>
    (await Volume.list({ labels })).map(({ name }) => name);
  assert.deepEqual(await names(), ["build", "cache"]);
  assert.deepEqual(await names({ team: "red" }), ["build"]);
  await Volume.remove("cache");
  assert.ok(!existsSync(path));
  const again = await Volume.create({ name: "cache" });
  await assert.rejects(handle.remove(), VolumeNotFoundError); // another has the name now
  await assert.rejects(cache.remove(), VolumeNotFoundError);
  await again.remove();
  for (const gone of [Volume.get("cache"), Volume.remove("cache")])
    await assert.rejects(gone, { code: "volumeNotFound", volume: "cache" });
  await assert.rejects(Volume.get("../x"), InvalidConfigError);
  await assert.rejects(Volume.list({ label: {} } as object), /labels/);
  await assert.rejects(Volume.getDefault(), UnsupportedError);
});

test("Volume.builder() makes a disk, which e2fsck finds whole", async () => {
  using _home = new StateHome();
  const disk = await Volume.builder("db").disk().size(64).create();
  const { kind, quotaMib, capacityBytes, diskFormat, diskFstype, usedBytes } = await Volume.get("db");
  assert.deepEqual(
    [kind, quotaMib, capacityBytes, diskFormat, diskFstype],
    ["disk", 64, 64 * MiB, "raw", "ext4"],
  );
  assert.ok(usedBytes > 0 && usedBytes < 4 * MiB, String(usedBytes));
  execFileSync("e2fsck", ["-f", "-n", disk.path], { stdio: "pipe" });
  await assert.rejects(disk.fs().list("/"), UnsupportedError);
  await assert.rejects(Volume.builder("x").directory().size(64).create(), InvalidConfigError);
  assert.throws(() => Volume.builder("x").quota(64), UnsupportedError);
  assert.deepEqual((await Volume.list()).length, 1);
  await disk.remove();
});

test("VolumeHandle.usedBytes counts what files take: holes not, and files with two names once", async () => {
  using _home = new StateHome();
  const volume = await Volume.create({ name: "cache" });
  const used = async () => (await Volume.get("cache")).usedBytes;
  const empty = await used();
  const fs = volume.fs();
  await fs.write("/a/b/c", new Uint8Array(MiB).fill(1));
  linkSync(join(volume.path, "a/b/c"), join(volume.path, "second"));
  writeFileSync(join(volume.path, "hole"), "");
  truncateSync(join(volume.path, "hole"), 512 * MiB);
  const grown = (await used()) - empty;
  assert.ok(grown >= MiB && grown < 1.5 * MiB, String(grown));
});

test("VolumeFs says that its volume is gone, or that its directory was taken away", async () => {
  using _home = new StateHome();
  const volume = await Volume.create({ name: "cache" });
  const stream = await volume.fs().writeStream("/a");
  await assert.rejects(volume.remove(), VolumeInUseError); // while a file of it is open
  await stream.close();
  // What fails, or is left, lets go of it.
  const controller = new AbortController();
  const failing = await volume.fs().writeStream("/b", { atomic: true, signal: controller.signal });
  const left = await volume.fs().readStream("/a");
  await failing.write("half");
  controller.abort();
  await assert.rejects(failing.write("more"), { code: "aborted" });
  await left.cancel();
  await assert.rejects(volume.fs().readStream("/none"), FileNotFoundError);
  assert.deepEqual(readdirSync(volume.path), ["a"]);
  await volume.remove();
  await assert.rejects(volume.fs().list("/"), VolumeNotFoundError);
  const other = await Volume.create({ name: "other" });
  rmSync(other.path, { recursive: true });
  await assert.rejects(other.fs().list("/"), { code: "io", path: other.path });
  assert.deepEqual(
    (await Volume.list()).map(({ usedBytes }) => usedBytes),
    [0],
  );
  await other.remove();
});

test("Volume.remove() names the sandboxes that have it, as long as their process lives", async () => {
  using home = new StateHome();
  const volume = await Volume.create({ name: "cache" });
  const mount = { kind: "volume", target: "/data", volume: "cache", readonly: false, noExec: false };
  const key = home.create("box", { config: { mounts: [mount] } });
  {
    using hold = holdVolume(home.state, join(volume.path, "below"));
    assert.ok(hold !== undefined);
    await assert.rejects(volume.remove(), (error) => {
      assert.ok(error instanceof VolumeInUseError);
      assert.deepEqual(error.sandboxes, ["box"]);
      assert.match(error.message, /in use by box/);
      return true;
    });
  }
  // A record alone uses nothing.
  await volume.remove();
  assert.throws(() => holdVolume(home.state, volume.path), { code: "volumeNotFound" });
  home.state.transition(key, "stopped");
});
