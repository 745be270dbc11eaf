import assert from "node:assert/strict";
import { formatIpv4, parseIpv4, parseIpv4Network, rangesOverlap } from "../../../src/base/ipv4.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

test("parseIpv4() is the reverse of formatIpv4()", () => {
  const random = seededRandom("IPv4 addresses");
  for (const address of [0, 1, 2 ** 31, 2 ** 32 - 1]) assert.equal(parseIpv4(formatIpv4(address)), address);
  for (let round = 0; round < 1000; round++) {
    const address = random.integer(0, 2 ** 32 - 1);
    assert.equal(parseIpv4(formatIpv4(address)), address);
  }
  assert.equal(formatIpv4(0x0a01_02ff), "10.1.2.255");
});

test("parseIpv4() refuses what is no address in dotted decimals", () => {
  for (const text of ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.x", " 1.2.3.4", "1.2.3.-4"])
    assert.equal(parseIpv4(text), undefined, text);
});

test("parseIpv4Network() gives the first and the last address", () => {
  const shown = (text: string) => {
    const network = parseIpv4Network(text);
    return network && [formatIpv4(network.first), formatIpv4(network.last), network.prefixBits];
  };
  assert.deepEqual(shown("10.1.2.3/24"), ["10.1.2.0", "10.1.2.255", 24]);
  assert.deepEqual(shown("10.1.2.6/30"), ["10.1.2.4", "10.1.2.7", 30]);
  assert.deepEqual(shown("200.1.2.3/1"), ["128.0.0.0", "255.255.255.255", 1]);
  assert.deepEqual(shown("10.1.2.3/0"), ["0.0.0.0", "255.255.255.255", 0]);
  assert.deepEqual(shown("10.1.2.3"), ["10.1.2.3", "10.1.2.3", 32]);
  for (const text of ["default", "10.1.2.3/33", "10.1.2.3/", "10.1.2.3/-1", "10.1.2/24", "10.1.2.3/1/2"])
    assert.equal(shown(text), undefined, text);
});

test("rangesOverlap() is true where one address is in both", () => {
  const range = (first: number, last: number) => ({ first, last });
  assert.equal(rangesOverlap(range(1, 4), range(4, 9)), true);
  assert.equal(rangesOverlap(range(1, 9), range(4, 5)), true);
  assert.equal(rangesOverlap(range(4, 5), range(1, 9)), true);
  assert.equal(rangesOverlap(range(1, 3), range(4, 9)), false);
  assert.equal(rangesOverlap(range(4, 9), range(1, 3)), false);
});
