/**
 * Sandboxes with a network of their own through `SandboxManager`, end to end: the part of arcbox-vm's end-to-end tests
 * that needs root, in this library's words.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type SandboxEvent, SandboxManager } from "../../mod.ts";
import { hasNetworkInterface } from "../../src/platform/network_interface.ts";
import { namespaceTest, networkLeft } from "../support/network_namespace.ts";
import { MEMORY_MIB } from "../support/vm.ts";

const EVENT_TIMEOUT_MS = 120_000;

/** A manager whose sandboxes have a TAP device, unless they ask for something else. */
function tapManager(image: string): SandboxManager {
  const network = { mode: "tap", cidr: "172.99.0.0/24", gateway: "172.99.0.1" } as const;
  return new SandboxManager({ defaults: { image, memoryMiB: MEMORY_MIB, network } });
}

/** Reads events until `ready` of the sandbox comes; false if `failed` comes first. */
async function becomesReady(events: ReadableStream<SandboxEvent>, id: string): Promise<boolean> {
  for await (const event of events) {
    if (event.sandboxId !== id) continue;
    if (event.action === "ready") return true;
    if (event.action !== "failed") continue;
    console.error(`sandbox ${id} failed:`, event.attributes);
    return false;
  }
  return false;
}

/** A stream of events that does not outlast its test. */
function subscribe(manager: SandboxManager): ReadableStream<SandboxEvent> {
  return manager.subscribeEvents({ signal: AbortSignal.timeout(EVENT_TIMEOUT_MS) });
}

namespaceTest(
  import.meta.url,
  "two sandboxes get different addresses, and both become ready",
  async (test) => {
    await using manager = tapManager(test.image);
    // One for each, so that waiting for the first takes no event from the second.
    const [firstEvents, secondEvents] = [subscribe(manager), subscribe(manager)];

    const first = await manager.createSandbox();
    const second = await manager.createSandbox();
    assert.match(first.ip, /^172\.99\.0\.\d+$/);
    assert.notEqual(first.ip, second.ip, "sandboxes must receive distinct addresses");

    assert.ok(await becomesReady(firstEvents, first.id), "the first sandbox reaches ready");
    assert.ok(await becomesReady(secondEvents, second.id), "the second sandbox reaches ready");
    const listed = await manager.listSandboxes("ready");
    assert.deepEqual(
      listed.map(({ ipAddress }) => ipAddress),
      [first.ip, second.ip],
    );

    await manager.removeSandbox(first.id, true);
    await manager.removeSandbox(second.id, true);
    assert.deepEqual(networkLeft(), []);
  },
);

namespaceTest(
  import.meta.url,
  "a sandbox's TAP device is there while it runs, and gone when it is removed",
  async (test) => {
    await using manager = tapManager(test.image);
    const events = subscribe(manager);

    const { id, ip } = await manager.createSandbox();
    assert.ok(ip !== "", "mode tap assigns an address");
    assert.ok(await becomesReady(events, id), "the sandbox reaches ready");

    const { network } = await manager.inspectSandbox(id);
    assert.ok(network, "mode tap tells of the network");
    assert.equal(network.ipAddress, ip);
    const { tapName = "" } = network;
    assert.ok(tapName.length > 0 && tapName.length <= 15, tapName);
    assert.ok(hasNetworkInterface(tapName), `${tapName} is there while the sandbox runs`);

    await manager.removeSandbox(id, true);
    assert.ok(!hasNetworkInterface(tapName), `${tapName} is gone once the sandbox is removed`);
    assert.deepEqual(networkLeft(), []);
  },
);
