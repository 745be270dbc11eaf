import assert from "node:assert/strict";
import { NetworkError } from "../../../../mod.ts";
import { planPasstNetwork, planTapNetwork, type TapPlan } from "../../../../src/network/network_plan.ts";
import { HostNetwork } from "../../../../src/vmm/network/host_network.ts";
import { startPasst } from "../../../../src/vmm/network/passt.ts";
import { FakeProgram } from "../../../support/fake_program.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";

const CONFIG = { mode: "tap", cidr: "10.9.0.0/24", gateway: "10.9.0.1", dns: [], isolated: true } as const;

function open(plan: TapPlan | undefined) {
  using home = new StateHome();
  const network = new HostNetwork(home.state, { id: "id", bootNumber: 1 }, plan);
  network.close(); // of one that was never raised, there is nothing to take back
  return network.open(home.path);
}

test("HostNetwork.open() names the device that the engine is to make", async () => {
  const plan = planTapNetwork(CONFIG, "id", "10.9.0.2");
  assert.deepEqual(await open(plan), { kind: "tap", tapName: plan.tapName, mac: plan.mac });
  assert.equal(await open(undefined), undefined);
});

test("HostNetwork.open() refuses the name of a device that the host has already", async () => {
  const plan = { ...planTapNetwork(CONFIG, "id", "10.9.0.2"), tapName: "lo" };
  await assert.rejects(open(plan), NetworkError);
});

test("startPasst() says where the words of a passt are that ended at once", async () => {
  using run = temporaryDirectory();
  using passt = new FakeProgram("passt");
  passt.write("exit 1");
  const ended = startPasst(planPasstNetwork("id"), run.path);
  await assert.rejects(ended, { code: "network", message: /diagnosticsTail/, hint: /"none"/ });
});
