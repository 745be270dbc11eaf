/** Named volumes in real guests. @module */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  InvalidConfigError,
  Sandbox,
  Volume,
  VolumeAlreadyExistsError,
  VolumeInUseError,
  VolumeNotFoundError,
} from "../../mod.ts";
import { hostProcesses } from "../support/processes.ts";
import { discard, homeTest } from "../support/vm/vm.ts";

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
    // What is wrong is told before anything is created.
    await assert.rejects(create({ mounts }), VolumeNotFoundError);
    assert.ok(!existsSync(join(home, "sandboxes")));
    const bad = { "/a": { volume: "new", mode: "create" }, "/b": { volume: "none" } } as const;
    await assert.rejects(create({ mounts: bad }), VolumeNotFoundError);
    // A creation that fails later takes its volumes back.
    const broken = {
      "/data": { volume: "new", mode: "create" },
      "/etc/hostname/x": { tmpfs: true },
    } as const;
    await assert.rejects(create({ mounts: broken }), { code: "bootStart" });
    assert.deepEqual(await Volume.list(), []);

    const one = await create({ name: "one", mounts: { "/data": { volume: "cache", mode: "ensure" } } });
    const volume = await Volume.get("cache");
    await output(
      one,
      "mkdir /data/d && echo one > /data/d/file && chmod 600 /data/d/file && ln -s file /data/d/link",
    );
    assert.equal(await volume.fs().readToString("/d/file"), "one\n");
    await volume.fs().write("/d/outside", "from outside");
    assert.equal(await output(one, "cat /data/d/outside"), "from outside");
    const readonly = { "/ro": { volume: "cache", readonly: true, owner: { uid: 7, gid: 8 } } } as const;
    const two = await create({ name: "two", mounts: readonly });
    assert.equal(await output(two, "cat /ro/d/link; stat -c %u:%g /ro/d/file"), "one\n7:8\n");
    assert.notEqual((await two.shell("echo x > /ro/d/file")).code, 0);
    await output(one, "echo changed > /data/d/file");
    assert.equal(await output(two, "sleep 1.1; cat /ro/d/file"), "changed\n");

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
