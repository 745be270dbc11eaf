/**
 * `SandboxManager` with real VMs: what it shows, what it refuses, and what it leaves.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  ExecFailedError,
  InvalidConfigError,
  Sandbox,
  SandboxAlreadyExistsError,
  type SandboxEvent,
  SandboxManager,
  SandboxNotFoundError,
  SandboxNotRunningError,
  SandboxStillRunningError,
} from "../../mod.ts";
import { collectChunks } from "../support/guest/output_chunks.ts";
import { eventually, hostProcesses } from "../support/processes.ts";
import { homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

const NO_ID = "00000000-0000-4000-8000-000000000000";

/** Reads until an event of the sandbox is one of `actions`; returns all actions until then. */
async function actionsUntil(
  events: ReadableStream<SandboxEvent>,
  id: string,
  ...actions: SandboxEvent["action"][]
): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of events.values({ preventCancel: true })) {
    if (event.sandboxId !== id) continue;
    seen.push(event.action);
    if (actions.includes(event.action)) return seen;
  }
  throw new Error(`the events ended after ${seen.join(" ") || "none"}, without ${actions.join(" or ")}`);
}

homeTest("SandboxManager shows a sandbox's states, labels and last exit", async ({ image }) => {
  await using manager = new SandboxManager({ defaults: { image, memoryMiB: MEMORY_MIB } });
  const events = manager.subscribeEvents();
  const { id } = await manager.createSandbox({ name: "shown", labels: { job: "42", team: "blue" } });
  assert.equal((await manager.inspectSandbox(id)).state, "starting");
  assert.deepEqual(
    (await manager.listSandboxes("starting")).map(({ name }) => name),
    ["shown"],
  );
  await assert.rejects(manager.createSandbox({ name: "shown" }), SandboxAlreadyExistsError);

  // A program waits for the boot.
  const { text, exit } = await collectChunks(
    await manager.runInSandbox(id, { cmd: ["sh", "-c", "echo out; exit 3"] }),
  );
  assert.deepEqual([text, exit.exitCode, exit.signal, exit.data.length], ["out\n", 3, undefined, 0]);
  assert.deepEqual(await actionsUntil(events, id, "idle"), [
    "created",
    "starting",
    "ready",
    "running",
    "idle",
  ]);

  const info = await manager.inspectSandbox(id);
  assert.deepEqual(
    [info.state, info.lastExitCode, info.ipAddress, info.network, info.memoryMiB, info.image],
    ["ready", 3, "", undefined, MEMORY_MIB, image],
  );
  assert.ok(
    info.readyAt !== undefined && info.lastExitedAt !== undefined && info.readyAt <= info.lastExitedAt,
  );
  assert.equal((await manager.listSandboxes(undefined, { team: "blue" })).length, 1);
  assert.equal((await manager.listSandboxes(undefined, { team: "red" })).length, 0);
  assert.equal((await manager.listSandboxes("stopped")).length, 0);

  const running = await manager.runInSandbox(id, { cmd: ["sleep", "1000"] });
  await actionsUntil(events, id, "running");
  assert.equal((await manager.inspectSandbox(id)).state, "running");
  await running.cancel(); // a caller that leaves does not leave its program behind
  assert.equal((await actionsUntil(events, id, "idle")).at(-1), "idle");
  assert.equal((await manager.inspectSandbox(id)).state, "ready");

  await assert.rejects(manager.removeSandbox(id), SandboxStillRunningError);
  await manager.removeSandbox(id, true);
  assert.equal((await actionsUntil(events, id, "removed")).at(-1), "removed");
  await events.cancel();
  assert.deepEqual(await manager.listSandboxes(), []);
});

homeTest("SandboxManager.execInSandbox() writes, resizes and signals", async ({ image }) => {
  await using manager = new SandboxManager({ defaults: { image, memoryMiB: MEMORY_MIB } });
  const { id } = await manager.createSandbox();
  const cat = await manager.execInSandbox(id, { cmd: ["cat"] });
  const writer = cat.stdin.getWriter();
  await writer.write(new TextEncoder().encode("typed"));
  await writer.close();
  assert.deepEqual((await collectChunks(cat.output)).text, "typed");

  const tty = await manager.execInSandbox(id, { cmd: ["sh", "-c", "read x; stty size"], tty: true });
  await tty.resize(40, 100);
  await tty.stdin.getWriter().write(new TextEncoder().encode("\n"));
  assert.match((await collectChunks(tty.output)).text, /40 100/);

  const sleep = await manager.execInSandbox(id, { cmd: ["sleep", "1000"] });
  await sleep.signal(15);
  assert.deepEqual((await collectChunks(sleep.output)).exit.signal, 15);

  await assert.rejects(manager.runInSandbox(id, { cmd: ["no-such-program"] }), ExecFailedError);
  await assert.rejects(manager.runInSandbox(id, { cmd: [] }), InvalidConfigError);
  await manager.removeSandbox(id, true);
});

homeTest("SandboxManager takes a creation back that is removed while it boots", async ({ home, image }) => {
  await using manager = new SandboxManager({ defaults: { image, memoryMiB: MEMORY_MIB } });
  const events = manager.subscribeEvents();
  const { id } = await manager.createSandbox({ name: "unborn" });
  await actionsUntil(events, id, "starting");
  await assert.rejects(manager.removeSandbox(id), SandboxStillRunningError);
  await manager.removeSandbox(id, true);
  await assert.rejects(manager.inspectSandbox(id), SandboxNotFoundError);
  assert.deepEqual(hostProcesses(home), []);
  const after = await actionsUntil(events, id, "removed");
  assert.ok(!after.includes("ready"), "nothing becomes ready after it was removed");
  await events.cancel();
  const again = await manager.createSandbox({ name: "unborn" });
  await manager.stopSandbox(again.id);
  assert.equal((await manager.inspectSandbox(again.id)).state, "stopped");
  await manager.removeSandbox(again.id);
});

homeTest(
  "SandboxManager keeps a failed creation until it is removed, and refuses at once what it can",
  async (test) => {
    await using manager = new SandboxManager({ defaults: { memoryMiB: MEMORY_MIB } });
    const events = manager.subscribeEvents();
    const { id } = await manager.createSandbox({
      name: "broken",
      image: `${test.scratch}/no/such/directory`,
    });
    assert.deepEqual(await actionsUntil(events, id, "failed", "ready"), ["failed"]);
    const info = await manager.inspectSandbox(id);
    assert.equal(info.state, "failed");
    assert.match(info.error ?? "", /no\/such\/directory/);
    await assert.rejects(manager.stopSandbox(id), SandboxNotRunningError);
    await assert.rejects(manager.runInSandbox(id, { cmd: ["true"] }), SandboxNotRunningError);
    await manager.removeSandbox(id);
    await assert.rejects(manager.removeSandbox(id), SandboxNotFoundError);
    assert.deepEqual(await actionsUntil(events, id, "removed"), ["removed"]);
    await events.cancel();

    const { image } = test;
    await assert.rejects(manager.createSandbox({ image, cpus: 0 }), InvalidConfigError);
    await assert.rejects(manager.createSandbox({ image, ttlMs: 1, maxDurationMs: 1 }), InvalidConfigError);
    await assert.rejects(manager.createSandbox({ image, name: "not/a/name" }), InvalidConfigError);
    assert.throws(() => new SandboxManager({ bootsMax: 0 }), InvalidConfigError);
    for (const action of [
      () => manager.inspectSandbox(NO_ID),
      () => manager.stopSandbox(NO_ID),
      () => manager.removeSandbox(NO_ID, true),
      () => manager.runInSandbox(NO_ID, { cmd: ["true"] }),
    ]) {
      await assert.rejects(action, SandboxNotFoundError);
    }
  },
);

homeTest("a new SandboxManager finds what another one left running", async ({ image }) => {
  let id: string;
  {
    await using first = new SandboxManager({ defaults: { image, memoryMiB: MEMORY_MIB } });
    ({ id } = await first.createSandbox({ name: "left", labels: { kept: "yes" } }));
    await collectChunks(await first.runInSandbox(id, { cmd: ["true"] }));
  }
  await using second = new SandboxManager();
  // That the last program has ended may be told a moment later.
  await eventually(async () => {
    const [found, ...others] = await second.listSandboxes();
    assert.deepEqual([found?.name, found?.state, found?.labels], ["left", "ready", { kept: "yes" }]);
    assert.deepEqual(others, []);
  });
  assert.equal(
    (await collectChunks(await second.runInSandbox(id, { cmd: ["echo", "here"] }))).text,
    "here\n",
  );
  assert.equal((await Sandbox.get("left")).id, id);
  await second.removeSandbox(id, true);
});

homeTest("a sandbox with a TTL ends and is removed, later if that is extended", async ({ image }) => {
  await using manager = new SandboxManager({ defaults: { image, memoryMiB: MEMORY_MIB } });
  const events = manager.subscribeEvents();
  const { id } = await manager.createSandbox({ name: "mortal", ttlMs: 600_000 });
  await actionsUntil(events, id, "ready");
  await manager.setTtl(id, 1);
  assert.deepEqual(await actionsUntil(events, id, "removed"), ["stopping", "stopped", "removed"]);
  await assert.rejects(manager.inspectSandbox(id), SandboxNotFoundError);
  // The name is free, and no timer of the one that had it does anything to the next.
  const next = await manager.createSandbox({ name: "mortal" });
  await actionsUntil(events, next.id, "ready");
  await events.cancel();
  await manager.removeSandbox(next.id, true);
});
