/** What errors about sandboxes advise. @module */
import assert from "node:assert/strict";
import { SandboxNotRunningError } from "../../../src/state/errors.ts";
import { test } from "../../support/harness.ts";

test("SandboxNotRunningError says how to start what has stopped, and why it stopped unless it was asked to", () => {
  const stopped = new SandboxNotRunningError("web", "stopped", { reason: "requested" });
  assert.equal(stopped.summary, 'The sandbox "web" is not running: it is stopped');
  assert.equal(stopped.hint, 'start it with Sandbox.start("web")');
  const crashed = new SandboxNotRunningError("web", "crashed", { reason: "the agent is silent" });
  assert.equal(
    crashed.summary,
    'The sandbox "web" is not running: it is crashed, because of: the agent is silent',
  );
  assert.equal(crashed.hint, stopped.hint);
  assert.equal(new SandboxNotRunningError("web", "creating").hint, undefined);
});
