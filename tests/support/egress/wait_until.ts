/** Waits for what happens in its own time. @module */
import assert from "node:assert/strict";
import { pollUntil } from "../../../src/base/wait.ts";

/** Resolves once `condition` holds. Fails the test if it does not within ten seconds. */
export async function waitUntil(condition: () => boolean): Promise<void> {
  const holds = await pollUntil(condition, { everyMs: 5, timeoutMs: 10_000 });
  assert.ok(holds, `did not come true: ${condition}`);
}
