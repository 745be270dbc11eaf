/**
 * Snapshots of sandboxes that run and of those that do not, and sandboxes made from them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  AbortedError,
  Image,
  Sandbox,
  Snapshot,
  SnapshotAlreadyExistsError,
  SnapshotNotFoundError,
} from "../../mod.ts";
import { discard, homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

/** Appends records to two files in turn: in a disk of one moment they differ by at most one. */
const WRITER =
  "i=0; while :; do i=$((i+1)); echo $i >> /root/a; echo $i >> /root/b; head -c 50000 /dev/urandom > /root/blob$((i%8)); done";

homeTest(
  "Snapshot.create() of a running sandbox under writes gives a disk of one moment, and the sandbox goes on",
  async ({ home, create }) => {
    const sandbox = await create();
    await sandbox.shell("echo before > /root/before"); // nobody has called sync
    await sandbox.shell(`(${WRITER}) > /dev/null 2>&1 &`);
    await sandbox.shell("until [ -s /root/b ]; do sleep 0.02; done");

    const begin = performance.now();
    const snapshot = await sandbox.snapshot("live", { labels: { kind: "test" } });
    console.log(`a live snapshot took ${Math.round(performance.now() - begin)} ms`);
    execFileSync("e2fsck", ["-fn", join(snapshot.path, "upper.ext4")], { stdio: "pipe" });
    await snapshot.verify();
    assert.deepEqual(
      (await Snapshot.list({ labels: { kind: "test" } })).map(({ name }) => name),
      ["live"],
    );
    await assert.rejects(sandbox.snapshot("live"), SnapshotAlreadyExistsError);

    const count = async () => Number((await sandbox.shell("wc -l < /root/a")).stdout());
    const now = await count();
    await sandbox.shell(`until [ $(wc -l < /root/a) -gt ${now} ]; do sleep 0.02; done`);
    await sandbox.kill();
    assert.deepEqual(readdirSync(join(home, "trash")), []);

    const copy = await Sandbox.builder("copy").fromSnapshot("live").memory(MEMORY_MIB).create();
    try {
      assert.equal((await copy.exec("cat", ["/root/before"])).stdout(), "before\n");
      const lines = (await copy.shell("wc -l < /root/a; wc -l < /root/b"))
        .stdout()
        .trim()
        .split("\n")
        .map(Number);
      const [a = 0, b = 0] = lines;
      assert.ok(a >= 1 && (a === b || a === b + 1), `${a} and ${b} records`);
    } finally {
      await discard("copy");
    }
  },
);

homeTest(
  "fromSnapshot makes sandboxes that are independent of each other and of their source",
  async ({ create, image }) => {
    const sandbox = await create({ env: { A: "of the source" } });
    await sandbox.shell("echo shared > /root/file");
    await sandbox.stop();
    const handle = await Sandbox.get(sandbox.name);
    const snapshot = await handle.snapshot("base");
    assert.equal(snapshot.imageRef, image);
    assert.equal(snapshot.sourceSandboxId, sandbox.id);
    assert.equal(snapshot.parent, null);

    const options = { fromSnapshot: "base", memoryMiB: MEMORY_MIB };
    const [one, two] = await Promise.all([
      Sandbox.create({ name: "one", ...options }),
      Sandbox.create({ name: "two", ...options }),
    ]);
    try {
      for (const fork of [one, two]) {
        assert.equal((await fork.exec("cat", ["/root/file"])).stdout(), "shared\n");
        await fork.shell(`echo ${fork.name} > /root/file`);
      }
      assert.equal((await one.exec("cat", ["/root/file"])).stdout(), "one\n");
      assert.equal((await two.exec("cat", ["/root/file"])).stdout(), "two\n");
      await snapshot.verify();
      assert.equal((await one.snapshot("child")).parent, snapshot.digest);
    } finally {
      await discard("one");
      await discard("two");
    }
    await Snapshot.remove("base");
    await assert.rejects(Sandbox.create({ name: "late", ...options }), SnapshotNotFoundError);
  },
);

homeTest(
  "a snapshot that was saved and loaded makes a sandbox, and keeps its image from being pruned",
  async ({ scratch, create }) => {
    const sandbox = await create();
    await sandbox.shell(
      "head -c 300000 /dev/urandom > /root/blob; mkdir -p /data/deep && ln -s /root/blob /data/deep/l",
    );
    const sum = (await sandbox.exec("sha256sum", ["/data/deep/l"])).stdout();
    await sandbox.pause();
    const snapshot = await sandbox.snapshot("saved"); // of a paused one, too
    await sandbox.resume();
    assert.equal((await sandbox.exec("true")).code, 0);
    const archive = join(scratch, "saved.tar.zst");
    await snapshot.save(archive);
    await discard(sandbox.name);
    assert.deepEqual((await Image.prune({ all: true })).removed, []);
    await snapshot.remove();
    rmSync(snapshot.path, { recursive: true, force: true });

    const loaded = await Snapshot.load(archive);
    assert.equal(loaded.digest, snapshot.digest);
    const again = await create({ name: "again", image: "", fromSnapshot: "saved" });
    assert.equal((await again.exec("sha256sum", ["/data/deep/l"])).stdout(), sum);
  },
);

homeTest("an aborted snapshot leaves nothing, and lets writes go on", async ({ home, create }) => {
  const sandbox = await create();
  await sandbox.shell("head -c 20000000 /dev/zero | tr '\\0' x > /root/large");
  const controller = new AbortController();
  const taking = sandbox.snapshot("half", {
    signal: controller.signal,
    onProgress: () => controller.abort("enough"),
  });
  await assert.rejects(taking, AbortedError);
  assert.equal((await sandbox.shell("echo on > /root/on; sync")).code, 0);
  await assert.rejects(Snapshot.get("half"), SnapshotNotFoundError);
  assert.deepEqual(readdirSync(join(home, "trash")), []);
  assert.equal((await sandbox.snapshot("whole")).name, "whole");
});
