/**
 * What the ports of arcbox-vm's end-to-end tests have in common: their manager, their spec, their wait for an event.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type SandboxEvent, SandboxManager, type SandboxSpec } from "../../../mod.ts";
import { within } from "../within.ts";

/** How long a sandbox may take to get as far as a test expects: two boot at once, perhaps by emulation on a busy machine. */
const EVENT_TIMEOUT_MS = 120_000;

/** A manager whose sandboxes have a TAP device, unless they ask for something else. */
export function seedManager(image: string): SandboxManager {
  const network = { mode: "tap", cidr: "172.99.0.0/24", gateway: "172.99.0.1", dns: [] } as const;
  return new SandboxManager({ defaults: { image, cpus: 1, memoryMiB: 256, network } });
}

/** A spec with no network: no TAP device, no root. */
export const NO_TAP: SandboxSpec = { network: { mode: "none" } };

/** Reads events until `action` of the sandbox comes. Fails if `failed` comes first, or nothing in time. */
export async function waitForEvent(
  events: ReadableStream<SandboxEvent>,
  id: string,
  action: SandboxEvent["action"],
): Promise<void> {
  await within(EVENT_TIMEOUT_MS, `the wait for ${action} of ${id}`, async () => {
    for await (const event of events.values({ preventCancel: true })) {
      if (event.sandboxId !== id) continue;
      if (event.action === action) return;
      assert.notEqual(event.action, "failed", JSON.stringify(event.attributes));
    }
    assert.fail(`the events ended before ${action} of ${id}`);
  });
}
