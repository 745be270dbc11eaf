import assert from "node:assert/strict";
import { BootableSandbox } from "../../../../src/backend/local/local_backend.ts";
import { ownProcess } from "../../../../src/platform/process_identity.ts";
import { type SandboxStopResult, waitUntilStopped } from "../../../../src/sandbox/lifecycle.ts";
import type { BootKey } from "../../../../src/state/state_store.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";

type Ending = Omit<SandboxStopResult, "observedAt" | "name">;

const ENDINGS: readonly Omit<Ending, "source">[] = [
  { status: "stopped", reason: "requested", exitCode: 0, signal: null },
  { status: "stopped", reason: "maxDuration", exitCode: 0, signal: null },
  { status: "stopped", reason: "killed", exitCode: null, signal: 9 },
  { status: "stopped", reason: "networkViolation", exitCode: null, signal: 9 },
  { status: "crashed", reason: "the VM ended", exitCode: null, signal: null },
];

/** A sandbox that has run and ended. */
function end(home: StateHome, name: string, { status, reason }: Omit<Ending, "source">): BootKey {
  const key = home.create(name);
  home.state.transition(key, "ready");
  home.state.transition(key, status === "stopped" ? "stopped" : "crashed", { reason: reason ?? "" });
  return key;
}

test("waitUntilStopped() tells of a sandbox that has ended what its record says", async () => {
  using home = new StateHome();
  for (const [index, ending] of ENDINGS.entries()) {
    const name = `x${index}`;
    const { id } = end(home, name, ending);
    const { observedAt, ...told } = await waitUntilStopped(new BootableSandbox(home.state, { id, name }));
    assert.deepEqual(told, { name, ...ending, source: "registry" });
    assert.ok(observedAt instanceof Date);
  }
});

test("waitUntilStopped() tells of a sandbox that was removed what its events say", async () => {
  using home = new StateHome();
  for (const [index, ending] of ENDINGS.entries()) {
    const name = `x${index}`;
    const { id } = end(home, name, ending);
    home.state.remove(id, { from: `${home.path}/none`, to: `${home.path}/trash` });
    const { observedAt, ...told } = await waitUntilStopped(new BootableSandbox(home.state, { id, name }));
    assert.deepEqual(told, { name, ...ending, source: "events" });
    assert.ok(observedAt instanceof Date);
  }
});

test("waitUntilStopped() tells of an end that is over before it has looked twice", async () => {
  using home = new StateHome();
  const key = home.create("x");
  home.state.transition(key, "ready");
  const core = new BootableSandbox(home.state, { id: key.id, name: "x" });
  const find = core.find.bind(core);
  core.find = async () => {
    const record = await find();
    core.find = find;
    home.state.transition(key, "stopped", { reason: "requested" });
    home.state.claimStart(key, { runDirectory: `${home.path}/none`, host: ownProcess() });
    return record;
  };
  const { status, reason, source } = await waitUntilStopped(core);
  assert.deepEqual([status, reason, source], ["stopped", "requested", "events"]);
});
