/**
 * The life of sandboxes through `SandboxManager`, end to end, with no network: what arcbox-vm's end-to-end tests demand of
 * a manager, in this library's words.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type SandboxEvent, SandboxManager, SandboxNotFoundError, type SandboxSpec } from "../../mod.ts";
import { homeTest, MEMORY_MIB } from "../support/vm.ts";

const EVENT_TIMEOUT_MS = 120_000;

/** A spec with no network: no TAP device, no root. */
function noTap(image: string): SandboxSpec {
  return { image, memoryMiB: MEMORY_MIB, network: { mode: "none" } };
}

/** Reads events until `action` of the sandbox comes; false if `failed` comes first. */
async function waitForEvent(
  events: ReadableStream<SandboxEvent>,
  id: string,
  action: SandboxEvent["action"],
): Promise<boolean> {
  for await (const event of events.values({ preventCancel: true })) {
    if (event.sandboxId !== id) continue;
    if (event.action === action) return true;
    if (event.action === "failed") {
      console.error(`sandbox ${id} failed:`, event.attributes);
      return false;
    }
  }
  return false;
}

/** A stream of events that does not outlast its test. */
function subscribe(manager: SandboxManager): ReadableStream<SandboxEvent> {
  return manager.subscribeEvents({ signal: AbortSignal.timeout(EVENT_TIMEOUT_MS) });
}

homeTest("a sandbox becomes ready, is stopped, and is gone when it is removed", async ({ image }) => {
  await using manager = new SandboxManager();
  const events = subscribe(manager);

  const { id } = await manager.createSandbox(noTap(image));
  assert.ok(await waitForEvent(events, id, "ready"), "the sandbox reaches ready");
  assert.equal((await manager.inspectSandbox(id)).state, "ready");

  await manager.stopSandbox(id, 5_000);
  assert.equal((await manager.inspectSandbox(id)).state, "stopped");

  await manager.removeSandbox(id, true);
  await assert.rejects(manager.inspectSandbox(id), SandboxNotFoundError);
  await events.cancel();
});

homeTest("a subscriber gets the ready event of a sandbox that is created later", async ({ image }) => {
  await using manager = new SandboxManager();
  const events = subscribe(manager);
  const { id, ip } = await manager.createSandbox(noTap(image));
  assert.equal(ip, "", "no network, no address");
  assert.ok(await waitForEvent(events, id, "ready"));
  await events.cancel();
  await manager.removeSandbox(id, true);
});

homeTest("a program's output comes in chunks, and its exit code last", async ({ image }) => {
  await using manager = new SandboxManager();
  const events = subscribe(manager);
  const { id } = await manager.createSandbox(noTap(image));
  assert.ok(await waitForEvent(events, id, "ready"));

  const chunks = await manager.runInSandbox(id, {
    cmd: ["echo", "hello from vm"],
    cwd: "/",
    user: "root",
    timeoutMs: 10_000,
  });
  const decoder = new TextDecoder();
  let stdout = "";
  let exitCode = -1;
  for await (const chunk of chunks) {
    if (chunk.stream === "stdout") stdout += decoder.decode(chunk.data, { stream: true });
    if (chunk.stream === "exit") exitCode = chunk.exitCode ?? -1;
  }
  assert.match(stdout, /hello from vm/);
  assert.equal(exitCode, 0);

  await events.cancel();
  await manager.removeSandbox(id, true);
});
