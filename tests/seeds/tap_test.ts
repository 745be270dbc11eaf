/**
 * Port of arcbox-vm's `e2e.rs`: those of its tests that need root, each in a network namespace of its own. Names are kept.
 *
 * @module
 */
import assert from "node:assert/strict";
import { hasNetworkInterface } from "../../src/platform/network_interface.ts";
import { namespaceTest, networkLeft } from "../support/vm/network_namespace.ts";
import { seedManager, waitForEvent } from "../support/vm/seed_manager.ts";

/** Two sandboxes get different addresses, and both become ready. */
namespaceTest(import.meta.url, "e2e_two_sandboxes_distinct_ips", async ({ image }) => {
  await using manager = seedManager(image);
  // One for each, so that waiting for the first takes no event from the second.
  const [firstEvents, secondEvents] = [manager.subscribeEvents(), manager.subscribeEvents()];

  const first = await manager.createSandbox();
  const second = await manager.createSandbox();
  for (const { ip } of [first, second]) assert.match(ip, /^172\.99\.0\.\d+$/);
  assert.notEqual(first.ip, second.ip, "sandboxes must receive distinct addresses");

  await waitForEvent(firstEvents, first.id, "ready");
  await waitForEvent(secondEvents, second.id, "ready");
  const listed = await manager.listSandboxes("ready");
  // Both boot at once: whichever process claims its name first is the older one.
  assert.deepEqual(new Set(listed.map(({ ipAddress }) => ipAddress)), new Set([first.ip, second.ip]));

  await manager.removeSandbox(first.id, true);
  await manager.removeSandbox(second.id, true);
  assert.deepEqual(networkLeft(), []);
  await Promise.all([firstEvents.cancel(), secondEvents.cancel()]);
});

/** A sandbox's TAP device is there while it runs, and gone when it is removed. */
namespaceTest(import.meta.url, "e2e_sandbox_with_tap_network", async ({ image }) => {
  await using manager = seedManager(image);
  const events = manager.subscribeEvents();

  const { id, ip } = await manager.createSandbox();
  assert.ok(ip !== "", "mode tap assigns an address");
  await waitForEvent(events, id, "ready");

  const { network } = await manager.inspectSandbox(id);
  assert.ok(network, "mode tap tells of the network");
  assert.equal(network.ipAddress, ip);
  const { tapName = "" } = network;
  assert.ok(tapName.length > 0 && tapName.length <= 15, tapName);
  assert.ok(hasNetworkInterface(tapName), `${tapName} is there while the sandbox runs`);

  await manager.removeSandbox(id, true);
  assert.ok(!hasNetworkInterface(tapName), `${tapName} is gone once the sandbox is removed`);
  assert.deepEqual(networkLeft(), []);
  await events.cancel();
});
