import assert from "node:assert/strict";
import { macBytes, macOf, planNetwork } from "../../../src/network/network_plan.ts";
import { passtArguments } from "../../../src/vmm/network_passt.ts";
import { test } from "../../support/harness.ts";

test("macOf() gives a locally administered unicast address, the same for the same sandbox only", () => {
  const macs = Array.from({ length: 1000 }, (_, index) => macOf(`sandbox-${index}`));
  assert.equal(new Set(macs).size, macs.length);
  assert.equal(macOf("sandbox-7"), macs[7]);
  for (const mac of macs) {
    assert.match(mac, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
    assert.equal(macBytes(mac)[0]! & 0b11, 0b10);
  }
});

test("planNetwork() gives none no device, and user an address in its gateway's network", () => {
  assert.equal(planNetwork("none", "id"), undefined);
  const plan = planNetwork("user", "id");
  assert.ok(plan);
  const network = (address: string) => address.split(".").slice(0, plan.prefixBits / 8);
  assert.deepEqual(network(plan.address), network(plan.gateway));
  assert.equal(new Set([plan.address, plan.gateway, plan.dns]).size, 3);
});

test("passtArguments() lead neither to the host's loopback interface nor from the host to the guest", () => {
  const plan = planNetwork("user", "id");
  assert.ok(plan);
  const words = passtArguments(plan, "/run/passt.sock").join(" ");
  for (const word of ["--no-map-gw", "--tcp-ports none", "--udp-ports none", "--socket /run/passt.sock"])
    assert.ok(words.includes(word), word);
});
