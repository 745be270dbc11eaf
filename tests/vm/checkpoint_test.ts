/**
 * Checkpoints of `SandboxManager` with real VMs.
 *
 * @module
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  InvalidConfigError,
  SandboxManager,
  SandboxNotFoundError,
  Snapshot,
  SnapshotAlreadyExistsError,
  SnapshotNotFoundError,
} from "../../mod.ts";
import { collectChunks } from "../support/guest/output_chunks.ts";
import { homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

const NO_ID = "00000000-0000-4000-8000-000000000000";

async function run(manager: SandboxManager, id: string, script: string): Promise<string> {
  const { text, exit } = await collectChunks(await manager.runInSandbox(id, { cmd: ["sh", "-c", script] }));
  assert.equal(exit.exitCode, 0, script);
  return text;
}

homeTest(
  "SandboxManager.restore() makes sandboxes of a checkpoint while its source runs on, and when it is gone",
  async ({ image }) => {
    await using manager = new SandboxManager({ defaults: { image, memoryMiB: MEMORY_MIB } });
    const { id } = await manager.createSandbox({ name: "source", memoryMiB: MEMORY_MIB + 16 });
    await run(manager, id, "echo before > /root/state");
    const taken = await manager.checkpoint(id, "first", { labels: { kind: "test" } });
    assert.deepEqual([taken.name, taken.sandboxId, taken.labels], ["first", id, { kind: "test" }]);
    assert.ok(existsSync(taken.snapshotDir));
    await run(manager, id, "echo after > /root/state");

    const one = await manager.restore({ snapshotId: taken.snapshotId, name: "one", labels: { of: "first" } });
    await manager.removeSandbox(id, true);
    const two = await manager.restore({ snapshotId: taken.snapshotId, memoryMiB: MEMORY_MIB });
    assert.equal((await manager.inspectSandbox(two.id)).state, "starting");
    for (const restored of [one, two])
      assert.equal(await run(manager, restored.id, "cat /root/state"), "before\n");
    const { name, labels, memoryMiB } = await manager.inspectSandbox(one.id);
    assert.deepEqual([name, labels, memoryMiB], ["one", { of: "first" }, MEMORY_MIB + 16], "its machine");
    assert.equal((await manager.inspectSandbox(two.id)).memoryMiB, MEMORY_MIB, "what was asked for");

    await manager.stopSandbox(one.id);
    const second = await manager.checkpoint(one.id);
    assert.deepEqual(
      (await manager.listCheckpoints()).map(({ snapshotId }) => snapshotId),
      [taken.snapshotId, second.snapshotId],
    );
    assert.deepEqual(await manager.listCheckpoints(one.id), [second]);
    assert.deepEqual(
      await new SandboxManager().listCheckpoints(id),
      [taken],
      "another manager, its source gone",
    );
    for (const restored of [one, two]) await manager.removeSandbox(restored.id, true);
  },
);

homeTest(
  "SandboxManager.deleteCheckpoint() leaves nothing of it, and no namesake is taken for it",
  async (test) => {
    await using manager = new SandboxManager({ defaults: { image: test.image, memoryMiB: MEMORY_MIB } });
    const { id } = await manager.createSandbox();
    await run(manager, id, "echo kept > /root/state");
    const { snapshotId } = await manager.checkpoint(id, "same");
    await assert.rejects(manager.checkpoint(id, "same"), SnapshotAlreadyExistsError);
    const restored = await manager.restore({ snapshotId });
    await run(manager, restored.id, "true");
    await manager.deleteCheckpoint(snapshotId);
    assert.deepEqual(readdirSync(join(test.home, "snapshots")), []);
    assert.equal(await run(manager, restored.id, "cat /root/state"), "kept\n", "its sandboxes stay");

    await Snapshot.create({ name: "same", from: (await manager.inspectSandbox(id)).name });
    await assert.rejects(manager.deleteCheckpoint(snapshotId), SnapshotNotFoundError);
    await assert.rejects(manager.restore({ snapshotId }), SnapshotNotFoundError);
    for (const sandbox of [id, restored.id]) await manager.removeSandbox(sandbox, true);
  },
);

homeTest(
  "SandboxManager refuses checkpoints that cannot be, and makes nothing",
  async ({ image, create }) => {
    await using manager = new SandboxManager({ defaults: { image, diskMiB: 64, memoryMiB: MEMORY_MIB } });
    await assert.rejects(manager.checkpoint(NO_ID), SandboxNotFoundError);
    await assert.rejects(manager.restore({ snapshotId: NO_ID }), SnapshotNotFoundError);
    await assert.rejects(manager.deleteCheckpoint(NO_ID), SnapshotNotFoundError);
    assert.deepEqual(await manager.listCheckpoints(), []);
    const { id } = await create();
    await assert.rejects(manager.checkpoint(id, "not/a/name"), InvalidConfigError);
    await assert.rejects(manager.checkpoint(id, "x", { labels: { "": "" } }), InvalidConfigError);
    const { snapshotId } = await manager.checkpoint(id);
    await assert.rejects(manager.restore({ snapshotId, cpus: 0 }), InvalidConfigError);
    assert.equal((await manager.listSandboxes()).length, 1);
  },
);
