import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { NetworkError, NetworkExhaustedError, type TapConfig } from "../../../../mod.ts";
import { planNetwork, presentPlan, settleNetwork } from "../../../../src/backend/local/address_lease.ts";
import { GUEST_NETWORK } from "../../../../src/egress/guest_network.ts";
import { tapNameOf } from "../../../../src/network/network_plan.ts";
import {
  identifyProcess,
  ownProcess,
  type ProcessIdentity,
} from "../../../../src/platform/process_identity.ts";
import { FakeProgram } from "../../../support/fake_program.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";

const NETWORK: TapConfig = {
  mode: "tap",
  cidr: "10.9.0.0/29",
  gateway: "10.9.0.1",
  dns: ["10.9.0.1"],
  isolated: true,
};

function addressOf(home: StateHome, id: string, network = NETWORK, holder = ownProcess()) {
  return planNetwork(home.state, network, id, holder)?.address;
}

/** Stands for a VM host process. */
async function startHolder(): Promise<{ child: ChildProcess; identity: ProcessIdentity }> {
  const child = spawn("sleep", ["1000"], { stdio: "ignore" });
  await once(child, "spawn");
  const identity = identifyProcess(child.pid ?? 0);
  assert.ok(identity);
  return { child, identity };
}

test("planNetwork() leases addresses in mode tap only", () => {
  using home = new StateHome();
  assert.equal(planNetwork(home.state, { mode: "none" }, "none", ownProcess()), undefined);
  const plans = (["host", "passt", undefined] as const).map(
    (via) => planNetwork(home.state, { mode: "user", via }, "user", ownProcess())?.address,
  );
  assert.deepEqual(plans, [GUEST_NETWORK.ipv4.address, "10.0.2.15", GUEST_NETWORK.ipv4.address]);
  assert.deepEqual([addressOf(home, "a"), addressOf(home, "b")], ["10.9.0.2", "10.9.0.3"]);
  const plan = presentPlan(home.state, NETWORK, "b");
  assert.deepEqual([plan?.address, plan?.mode === "tap" && plan.tapName], ["10.9.0.3", tapNameOf("b")]);
});

test("planNetwork() says that a network is exhausted, or overlaps another", () => {
  using home = new StateHome();
  for (const id of ["a", "b", "c", "d", "e"]) addressOf(home, id);
  assert.throws(
    () => addressOf(home, "f"),
    (error) => error instanceof NetworkExhaustedError && error.cidr === NETWORK.cidr,
  );
  const overlapping: readonly TapConfig[] = [
    { ...NETWORK, cidr: "10.9.0.0/24" },
    { ...NETWORK, cidr: "10.9.0.4/30", gateway: "10.9.0.5" },
    { ...NETWORK, gateway: "10.9.0.6" },
  ];
  for (const network of overlapping) assert.throws(() => addressOf(home, "g", network), NetworkError);
  const apart: TapConfig = { ...NETWORK, cidr: "10.9.0.8/29", gateway: "10.9.0.9" };
  assert.equal(addressOf(home, "g", apart), "10.9.0.10");
});

test("settleNetwork() waits for the end of the boot's own process, and gives its address back", async () => {
  using home = new StateHome();
  const { child, identity } = await startHolder();
  assert.equal(addressOf(home, "a", NETWORK, identity), "10.9.0.2");
  await settleNetwork(home.state, { id: "a", host: { pid: 1, startTime: "of an earlier boot" } });
  assert.equal(
    presentPlan(home.state, NETWORK, "a")?.address,
    "10.9.0.2",
    "it is not that one's to give back",
  );
  const settled = settleNetwork(home.state, { id: "a", host: identity });
  child.kill("SIGKILL");
  await settled;
  assert.equal(home.state.leases.find("a"), undefined);
  assert.equal(presentPlan(home.state, NETWORK, "a"), undefined);
  assert.equal(addressOf(home, "b"), "10.9.0.2");
});

test("settleNetwork() leaves an address whose rules it may not take back, after one try", async () => {
  using home = new StateHome();
  using ip = new FakeProgram("ip");
  ip.write("echo 'RTNETLINK answers: Operation not permitted' >&2; exit 1");
  const gone: ProcessIdentity = { pid: 1, startTime: "1.another boot" };
  addressOf(home, "a");
  home.state.leases.setRouted("a", true);
  addressOf(home, "a", NETWORK, gone);
  await settleNetwork(home.state, { id: "a", host: gone });
  assert.equal(ip.input().match(/^link set dev/gm)?.length, 1);
  assert.notEqual(home.state.leases.find("a"), undefined);
  assert.equal(addressOf(home, "b"), "10.9.0.3", "the next sandbox gets another");
  ip.write("exit 0");
  assert.equal(addressOf(home, "c"), "10.9.0.2");
});
