import assert from "node:assert/strict";
import { macBytes } from "../../../src/network/mac_address.ts";
import { macOf, planPasstNetwork, planTapNetwork, tapNameOf } from "../../../src/network/network_plan.ts";
import { passtArguments } from "../../../src/vmm/network/passt.ts";
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

test("tapNameOf() gives names that Linux takes, the same for the same sandbox only", () => {
  const names = Array.from({ length: 1000 }, (_, index) => tapNameOf(`sandbox-${index}`));
  assert.equal(new Set(names).size, names.length);
  assert.equal(tapNameOf("sandbox-7"), names[7]);
  for (const name of names) assert.match(name, /^msb[0-9a-f]{12}$/);
});

test("planTapNetwork() gives the guest no neighbours", () => {
  const config = {
    mode: "tap",
    cidr: "10.1.0.0/24",
    gateway: "10.1.0.1",
    dns: ["1.1.1.1"],
    isolated: true,
  } as const;
  const plan = planTapNetwork(config, "id", "10.1.0.2");
  assert.deepEqual(
    [plan.address, plan.prefixBits, plan.gateway, plan.dns, plan.tapName],
    ["10.1.0.2", 32, "10.1.0.1", ["1.1.1.1"], tapNameOf("id")],
  );
});

test("planPasstNetwork() gives an address in its gateway's network", () => {
  const plan = planPasstNetwork("id");
  const network = (address: string) => address.split(".").slice(0, plan.prefixBits / 8);
  assert.deepEqual(network(plan.address), network(plan.gateway));
  assert.equal(new Set([plan.address, plan.gateway, ...plan.dns]).size, 3);
});

test("passtArguments() lead neither to the host's loopback interface nor from the host to the guest", () => {
  const plan = planPasstNetwork("id");
  const words = passtArguments(plan, "/run/passt.sock").join(" ");
  for (const word of ["--no-map-gw", "--tcp-ports none", "--udp-ports none", "--socket /run/passt.sock"])
    assert.ok(words.includes(word), word);
});
