/**
 * The life of sandboxes as their events tell it, held against the table of transitions: what came after what, and where
 * each sandbox must be by now.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { EventRecord } from "../../../src/state/event_log.ts";
import { isLive, type SandboxAction, type SandboxStatus, TRANSITIONS } from "../../../src/state/status.ts";

export interface ModelSandbox {
  readonly name: string;
  status: SandboxStatus;
  /** Whether the status before the first `starting` is over. */
  boots: number;
}

/** All sandboxes that exist after `events`, by id. Asserts that each event was possible when it came. */
export function replay(events: readonly EventRecord[]): Map<string, ModelSandbox> {
  const sandboxes = new Map<string, ModelSandbox>();
  for (const event of events) {
    const where = `event ${event.sequence}: ${event.action} of ${event.name} (${event.sandboxId})`;
    const sandbox = sandboxes.get(event.sandboxId);
    if (event.action === "created") {
      assert.equal(sandbox, undefined, `${where}: an id comes once`);
      const namesake = [...sandboxes.values()].find(({ name }) => name === event.name);
      assert.equal(namesake, undefined, `${where}: the name is taken`);
      sandboxes.set(event.sandboxId, { name: event.name, status: "creating", boots: 0 });
      continue;
    }
    assert.ok(sandbox !== undefined, `${where}: there is no such sandbox`);
    assert.equal(sandbox.name, event.name, where);
    apply(sandboxes, sandbox, event, where);
  }
  return sandboxes;
}

function apply(
  sandboxes: Map<string, ModelSandbox>,
  sandbox: ModelSandbox,
  { sandboxId, action, attributes }: EventRecord,
  where: string,
): void {
  switch (action) {
    case "starting":
      sandbox.boots++;
      assert.equal(attributes["bootNumber"], sandbox.boots, `${where}: boots are numbered`);
      if (sandbox.boots > 1) move(sandbox, action, where);
      return;
    case "failed":
      // Its creator may not have heard yet that it is ready.
      assert.ok(isLive(sandbox.status) && sandbox.boots === 1, `${where}: only a creation fails`);
      sandboxes.delete(sandboxId);
      return;
    case "removed":
      assert.ok(["stopped", "crashed"].includes(sandbox.status), `${where}: it is ${sandbox.status}`);
      sandboxes.delete(sandboxId);
      return;
    case "running":
    case "idle":
      assert.ok(["running", "draining"].includes(sandbox.status), `${where}: it is ${sandbox.status}`);
      return;
    default:
      move(sandbox, action as SandboxAction, where);
  }
}

function move(sandbox: ModelSandbox, action: SandboxAction, where: string): void {
  const next = TRANSITIONS[sandbox.status][action];
  assert.ok(next !== undefined, `${where}: impossible while ${sandbox.status}`);
  sandbox.status = next;
}
