import assert from "node:assert/strict";
import { BootableSandbox } from "../../../src/backend/local/local_backend.ts";
import { destroy } from "../../../src/sandbox/lifecycle.ts";
import { test } from "../../support/harness.ts";
import { StateHome } from "../../support/home/state_home.ts";

/** A sandbox that does not run, and what somebody else does once its destruction has begun. */
function stopped(home: StateHome, meanwhile: (core: BootableSandbox) => Promise<void>): BootableSandbox {
  const key = home.create("x", { host: { pid: 1, startTime: "1.gone" } });
  home.state.transition(key, "stopped", { reason: "requested" });
  const core = new BootableSandbox(home.state, { id: key.id, name: "x" });
  const stop = core.stop.bind(core);
  core.stop = async (graceMs) => {
    await meanwhile(new BootableSandbox(home.state, core));
    await stop(graceMs);
  };
  return core;
}

test("destroy() is content if somebody else destroys the sandbox first", async () => {
  using home = new StateHome();
  const core = stopped(home, (other) => other.remove());
  await destroy(core);
  assert.equal(home.state.findById(core.id), undefined);
  await assert.rejects(destroy(core), { code: "sandboxNotFound" }, "it was gone from the start");
});

test("destroy() leaves alone another sandbox that has taken the name", async () => {
  using home = new StateHome();
  let next = "";
  const core = stopped(home, async (other) => {
    await other.remove();
    next = home.create("x").id;
  });
  await destroy(core);
  assert.equal(home.state.get("x").id, next);
});
