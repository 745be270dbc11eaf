import assert from "node:assert/strict";
import { SandboxNotRunningError } from "../../../../mod.ts";
import type { AgentClient } from "../../../../src/agent/client.ts";
import { BootableSandbox } from "../../../../src/backend/local/local_backend.ts";
import { SandboxNetwork } from "../../../../src/sandbox/network/published_ports.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";

/** A sandbox that refuses every connection. */
class UnreachableCore extends BootableSandbox {
  attempts = 0;
  /** What happens to it while somebody tries. */
  meanwhile: () => void = () => {};

  override async connect(): Promise<AgentClient> {
    this.attempts++;
    this.meanwhile();
    throw new SandboxNotRunningError(this.name, "unreachable");
  }
}

test("SandboxNetwork.info() returns no ports for a sandbox that is booting, or that ends during the call", async () => {
  using home = new StateHome();
  const key = home.create("web");
  const core = new UnreachableCore(home.state, { id: key.id, name: "web" });
  const network = new SandboxNetwork(core);
  assert.deepEqual((await network.info()).ports, []);
  assert.equal(core.attempts, 0, "a booting sandbox is not connected to");

  home.state.transition(key, "ready");
  await assert.rejects(network.info(), SandboxNotRunningError, "it should answer");
  core.meanwhile = () => home.state.transition(key, "stopped");
  assert.deepEqual((await network.info()).ports, []);
  assert.equal(core.attempts, 2);
});
