/**
 * Port of arcbox-vm's `e2e.rs`: the life of sandboxes through `SandboxManager`, with no network. Names are kept; those of
 * its tests that need root are in `tap_test.ts`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { SandboxNotFoundError } from "../../mod.ts";
import { collectChunks } from "../support/guest/output_chunks.ts";
import { NO_TAP, seedManager, waitForEvent } from "../support/vm/seed_manager.ts";
import { homeTest } from "../support/vm/vm.ts";

/** A sandbox becomes ready, is stopped, and is gone when it is removed. */
homeTest("e2e_sandbox_basic_lifecycle", async ({ image }) => {
  await using manager = seedManager(image);
  const events = manager.subscribeEvents();

  const { id } = await manager.createSandbox(NO_TAP);
  await waitForEvent(events, id, "ready");
  assert.equal((await manager.inspectSandbox(id)).state, "ready");

  await manager.stopSandbox(id, 5_000);
  assert.equal((await manager.inspectSandbox(id)).state, "stopped");

  await manager.removeSandbox(id, true);
  await assert.rejects(manager.inspectSandbox(id), SandboxNotFoundError);
  await events.cancel();
});

/** A subscriber gets the ready event of a sandbox that is created later. */
homeTest("e2e_event_broadcast_ready", async ({ image }) => {
  await using manager = seedManager(image);
  const events = manager.subscribeEvents();

  const { id, ip } = await manager.createSandbox(NO_TAP);
  assert.equal(ip, "", "no network, no address");
  await waitForEvent(events, id, "ready");

  await manager.removeSandbox(id, true);
  await events.cancel();
});

/** A program's output comes in chunks, and its exit code last. */
homeTest("e2e_run_command", async ({ image }) => {
  await using manager = seedManager(image);
  const events = manager.subscribeEvents();

  const { id } = await manager.createSandbox(NO_TAP);
  await waitForEvent(events, id, "ready");

  const chunks = await manager.runInSandbox(id, {
    cmd: ["echo", "hello from vm"],
    env: {},
    cwd: "/",
    user: "root",
    tty: false,
    timeoutMs: 10_000,
  });
  const { text, exit } = await collectChunks(chunks);
  assert.equal(text, "hello from vm\n");
  assert.equal(exit.exitCode, 0);

  await manager.removeSandbox(id, true);
  await events.cancel();
});
