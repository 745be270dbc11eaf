import assert from "node:assert/strict";
import { Sandbox, type SandboxStatus } from "../../../mod.ts";
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

test("SandboxHandle.waitForStatus() refuses what is no status of a sandbox", async () => {
  using home = new StateHome();
  home.state.transition(home.create("x"), "stopped", { reason: "requested" });
  const handle = await Sandbox.get("x");
  for (const status of ["starting", "toString", "", undefined]) {
    const refused = { code: "invalidConfig", message: /^status: must be one of creating, running, / };
    await assert.rejects(handle.waitForStatus(status as SandboxStatus), refused, String(status));
  }
  assert.equal((await handle.waitForStatus("stopped")).status, "stopped");
});
