/** Named volumes in real guests. @module */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  DiskInUseError,
  InvalidConfigError,
  Sandbox,
  Volume,
  VolumeAlreadyExistsError,
  VolumeInUseError,
  VolumeNotFoundError,
} from "../../mod.ts";
import { StateStore } from "../../src/state/state_store.ts";
import { hostProcesses } from "../support/processes.ts";
import { discard, homeTest } from "../support/vm/vm.ts";
import { VolumeProgram } from "../support/volume/start_program.ts";

/** What a script writes; it must succeed. */
async function output(sandbox: Sandbox, script: string): Promise<string> {
  const result = await sandbox.shell(script);
  assert.equal(result.code, 0, `${script}:\n${result.stdout()}${result.stderr()}`);
  return result.stdout();
}

homeTest(
  "a directory volume outlives sandboxes, and several have it at once",
  async ({ create, home, image }) => {
    const mounts = { "/data": { volume: "cache" } } as const;
    // Invalid options fail before anything is created.
    await assert.rejects(create({ mounts }), VolumeNotFoundError);
    assert.ok(!existsSync(join(home, "sandboxes")));
    const bad = { "/a": { volume: "new", mode: "create" }, "/b": { volume: "none" } } as const;
    await assert.rejects(create({ mounts: bad }), VolumeNotFoundError);
    // A creation that fails later removes its volumes.
    const broken = {
      "/data": { volume: "new", mode: "create" },
      "/etc/hostname/x": { tmpfs: true },
    } as const;
    await assert.rejects(create({ mounts: broken }), { code: "bootStart" });
    assert.deepEqual(await Volume.list(), []);

    // So does one whose process is killed on the way.
    const program = await VolumeProgram.startCreating(home, image);
    assert.notDeepEqual(readdirSync(join(home, "volumes")), []);
    await program.kill();
    assert.deepEqual(await Volume.list(), []);
    assert.deepEqual(readdirSync(join(home, "volumes")), []);
    const one = await create({ name: "one", mounts: { "/data": { volume: "cache", mode: "ensure" } } });
    const volume = await Volume.get("cache");
    const state = new StateStore(home);
    assert.deepEqual(state.volumes.unsettled(), []); // it stays, even if this process ends
    state.close();
    await output(
      one,
      "mkdir /data/d && echo one > /data/d/file && chmod 600 /data/d/file && ln -s file /data/d/link",
    );
    assert.equal(await volume.fs().readToString("/d/file"), "one\n");
    await volume.fs().write("/d/outside", "from outside");
    assert.equal(await output(one, "cat /data/d/outside"), "from outside");
    const readonly = {
      "/ro": { volume: "cache", readonly: true, owner: { uid: 7, gid: 8 }, watch: true },
    } as const;
    const two = await create({ name: "two", mounts: readonly });
    assert.equal(await output(two, "cat /ro/d/link; stat -c %u:%g /ro/d/file"), "one\n7:8\n");
    assert.notEqual((await two.shell("echo x > /ro/d/file")).code, 0);
    await output(one, "echo changed > /data/d/file");
    assert.equal(
      await output(two, "until grep -q changed /ro/d/file; do sleep 0.1; done; cat /ro/d/file"),
      "changed\n",
    );

    await assert.rejects(
      create({ name: "three", mounts: { "/x": { volume: "cache", mode: "create" } } }),
      VolumeAlreadyExistsError,
    );
    await assert.rejects(volume.remove(), (error) => {
      assert.ok(error instanceof VolumeInUseError);
      assert.deepEqual([...error.sandboxes].sort(), ["one", "two"]);
      return true;
    });
    await one.stop();
    await discard("one");
    await assert.rejects(volume.remove(), VolumeInUseError);
    // A host process that is killed lets go of it.
    const host = hostProcesses(home)[0];
    assert.ok(host !== undefined);
    process.kill(host.pid, "SIGKILL");
    await two.waitUntilStopped();
    assert.equal(await volume.fs().readToString("/d/file"), "changed\n");

    // A stopped sandbox does not keep it; it needs one of that name to start.
    await volume.remove();
    assert.deepEqual(readdirSync(join(home, "volumes")), []);
    await assert.rejects(Sandbox.start("two"), VolumeNotFoundError);
    await Volume.create({ name: "cache" });
    await using again = await Sandbox.start("two");
    assert.equal(await output(again, "ls /ro"), "");

    // While it runs.
    await again.mounts.add("/late", { volume: "later", mode: "ensure" });
    await output(again, "echo late > /late/x");
    assert.equal(await (await Volume.get("later")).fs().readToString("/x"), "late\n");
    await assert.rejects(Volume.remove("later"), VolumeInUseError);
    await again.mounts.remove("/late");
    await Volume.remove("later");
    await assert.rejects(again.mounts.add("/late", { volume: "later" }), VolumeNotFoundError);
    await assert.rejects(
      again.mounts.add("/late", { volume: "db", mode: "ensure", kind: "disk", sizeMiB: 64 }),
      InvalidConfigError,
    );
    await using replaced = await Sandbox.builder("two")
      .image(image)
      .memory(128)
      .volume("/data", (m) => m.named("cache").readonly())
      .replace()
      .create();
    assert.notEqual((await replaced.shell("touch /data/x")).code, 0);
  },
);

homeTest(
  "a disk volume has a size, and one writer or any number of readers",
  async ({ create, home, image }) => {
    const size = { volume: "db", mode: "ensure", kind: "disk", sizeMiB: 16 } as const;
    const one = await create({ name: "one", mounts: { "/db": size } });
    await output(one, "echo kept > /db/file && mkdir /db/d && chown 7:8 /db/d");
    const full = await one.shell("dd if=/dev/zero of=/db/big bs=64k count=1000 2>&1; rm /db/big; sync");
    assert.match(full.stdout(), /No space left/);
    const other = { name: "two", image, memoryMiB: 128 } as const;
    const refused = [
      { "/x": { volume: "db" } },
      { "/x": { volume: "db", readonly: true } },
      { "/x": { disk: (await Volume.get("db")).path } },
    ] as const;
    for (const [index, mounts] of refused.entries())
      await assert.rejects(Sandbox.create({ ...other, mounts }), (error) => {
        assert.ok(
          index === 2 ? error instanceof DiskInUseError : error instanceof VolumeInUseError,
          String(error),
        );
        if (error instanceof VolumeInUseError) assert.deepEqual(error.sandboxes, ["one"]);
        return true;
      });
    assert.deepEqual(readdirSync(join(home, "sandboxes")), ["one"]);
    for (const mounts of [
      { "/x": { ...size, sizeMiB: 64 } },
      { "/x": { volume: "db", owner: { uid: 1, gid: 1 } } },
      { "/x": { volume: "db", readonly: true }, "/y": { volume: "db", readonly: true } },
    ] as const)
      await assert.rejects(Sandbox.create({ ...other, mounts }), InvalidConfigError, JSON.stringify(mounts));
    await assert.rejects(Volume.remove("db"), VolumeInUseError);
    // A host process that is killed lets go of the disk.
    for (const { pid } of hostProcesses(home)) process.kill(pid, "SIGKILL");
    await one.waitUntilStopped();
    const readonly = { "/ro": { volume: "db", readonly: true } } as const;
    await assert.rejects(Sandbox.create({ ...other, mounts: readonly }), /not unmounted cleanly/);
    await (await Sandbox.start("one")).stop();
    await using two = await Sandbox.create({ ...other, mounts: readonly });
    await using three = await Sandbox.create({ ...other, name: "three", mounts: readonly });
    for (const sandbox of [two, three]) {
      assert.equal(await output(sandbox, "cat /ro/file; stat -c %u:%g /ro/d"), "kept\n7:8\n");
      assert.notEqual((await sandbox.shell("touch /ro/file")).code, 0);
    }
    await assert.rejects(Sandbox.start("one"), VolumeInUseError);
    await two.destroy();
    await three.destroy();
    {
      await using again = await Sandbox.start("one");
      assert.equal(await output(again, "cat /db/file && echo more >> /db/file && sync"), "kept\n");
      await again.stop();
    }
    // A replaced sandbox gives its disk to its replacement.
    await using next = await Sandbox.create({
      name: "one",
      image,
      memoryMiB: 128,
      replace: true,
      mounts: { "/db": size },
    });
    assert.equal(await output(next, "cat /db/file"), "kept\nmore\n");
    await next.destroy();
    await Volume.remove("db");
    assert.deepEqual(readdirSync(join(home, "volumes")), []);
  },
);
