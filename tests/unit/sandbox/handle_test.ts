import assert from "node:assert/strict";
import { Sandbox, type SandboxStatus } from "../../../mod.ts";
import { ownProcess } from "../../../src/platform/process_identity.ts";
import { test } from "../../support/harness.ts";
import { StateHome } from "../../support/home/state_home.ts";

test("SandboxHandle.connectWithTimeout() refuses times that no timer can wait", async () => {
  using home = new StateHome();
  home.state.transition(home.create("x"), "stopped", { reason: "requested" });
  const handle = await Sandbox.get("x");
  for (const timeoutMs of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, "x"]) {
    const refused = { code: "invalidConfig", message: /^timeoutMs: / };
    await assert.rejects(handle.connectWithTimeout(timeoutMs as number), refused, String(timeoutMs));
  }
  await assert.rejects(handle.connectWithTimeout(2 ** 31 - 1), { code: "sandboxNotRunning" });
});

test("SandboxHandle.waitForStatus() takes the official SDK's statuses that are over at once here", async () => {
  using home = new StateHome();
  const key = home.create("x", { host: { pid: 2 ** 30, startTime: "1.none" } });
  home.state.transition(key, "stopped");
  const handle = await Sandbox.get("x");
  assert.equal((await handle.waitForStatus("created")).status, "stopped");
  const starting = handle.waitForStatus("starting");
  const next = home.state.claimStart(key, { runDirectory: `${home.path}/none`, host: ownProcess() });
  assert.ok(next !== undefined && home.state.transition(next, "ready"));
  assert.equal((await starting).status, "running");
  await assert.rejects(
    (await Sandbox.get("x")).waitForStatus("stopped", { timeoutMs: 1 }),
    { code: "timeout" },
    "the others wait as ever",
  );
});

test("SandboxHandle.waitForStatus() refuses what is no status of a sandbox", async () => {
  using home = new StateHome();
  home.state.transition(home.create("x"), "stopped", { reason: "requested" });
  const handle = await Sandbox.get("x");
  for (const status of ["ended", "toString", "", undefined]) {
    const refused = { code: "invalidConfig", message: /^status: must be one of creating, running, / };
    await assert.rejects(handle.waitForStatus(status as SandboxStatus), refused, String(status));
  }
  assert.equal((await handle.waitForStatus("stopped")).status, "stopped");
});
