import assert from "node:assert/strict";
import { formatIpv4 } from "../../../src/base/ipv4.ts";
import { findTapProblem, gatewayOf, hostRange, TAP_CIDR_DEFAULT } from "../../../src/network/tap_config.ts";
import { test } from "../../support/harness.ts";

test("findTapProblem() has nothing against a network with room for a gateway and a guest", () => {
  for (const cidr of [TAP_CIDR_DEFAULT, "10.0.0.0/8", "192.168.7.0/24", "10.1.2.4/30", "100.64.0.0/10"])
    assert.equal(findTapProblem(cidr, undefined), undefined, cidr);
  assert.equal(findTapProblem("10.1.2.0/24", "10.1.2.254"), undefined);
});

test("findTapProblem() refuses networks without room, of other meaning, or that are none", () => {
  const refused = {
    "10.1.2.0/31": /at most \/30/,
    "10.1.2.0/32": /at most \/30/,
    "0.0.0.0/0": /at least \/8/,
    "10.0.0.0/7": /at least \/8/,
    "10.1.2.5/24": /begin at its network address, 10\.1\.2\.0/,
    "127.1.0.0/16": /another meaning/,
    "0.1.0.0/16": /another meaning/,
    "169.254.0.0/16": /another meaning/,
    "224.1.0.0/16": /another meaning/,
    "10.1.2.0": /must be an IPv4 network/,
    "fd00::/64": /must be an IPv4 network/,
    "10.1.2.0/33": /must be an IPv4 network/,
    "": /must be an IPv4 network/,
  };
  for (const [cidr, pattern] of Object.entries(refused)) {
    const found = findTapProblem(cidr, undefined);
    assert.equal(found?.field, "cidr", cidr);
    assert.match(found.problem, pattern);
  }
});

test("findTapProblem() refuses a gateway that is no host of the network", () => {
  for (const gateway of ["10.1.2.0", "10.1.2.255", "10.1.3.1", "nonsense"])
    assert.equal(findTapProblem("10.1.2.0/24", gateway)?.field, "gateway", gateway);
});

test("hostRange() has neither the network's own nor its broadcast address", () => {
  const { first, last } = hostRange("10.1.2.0/24");
  assert.deepEqual([formatIpv4(first), formatIpv4(last)], ["10.1.2.1", "10.1.2.254"]);
  assert.equal(gatewayOf("10.1.2.0/24"), "10.1.2.1");
});
