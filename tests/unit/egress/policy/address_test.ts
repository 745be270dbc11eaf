import assert from "node:assert/strict";
import { formatAddress, ipv4Within, parseAddress, parseCidr } from "../../../../src/egress/policy/address.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";

test("parseAddress() and formatAddress() agree with the URL parser on every IPv6 address", () => {
  const random = seededRandom("IPv6 texts");
  for (let round = 0; round < 20_000; round++) {
    const groups = Array.from({ length: 8 }, () =>
      random.integer(0, 2) === 0 ? random.integer(0, 0xffff) : 0,
    );
    const text = groups.map((group) => group.toString(16)).join(":");
    const expected = new URL(`http://[${text}]/`).hostname.slice(1, -1);
    const address = parseAddress(text);
    assert.ok(address !== undefined, text);
    assert.equal(formatAddress(address), expected);
    assert.deepEqual(parseAddress(expected), address);
  }
});

test("parseAddress() refuses other notations, zones and fragments", () => {
  const wrong = [
    "",
    "1.2.3",
    "0x7f.1",
    "2130706433",
    "010.0.0.1",
    "1.2.3.4.5",
    "256.0.0.1",
    " 1.2.3.4",
    "1.2.3.4 ",
  ];
  const wrong6 = [
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "fe80::1%eth0",
    "::g",
    "12345::",
  ];
  const mixed = [
    "1:2:3:4:5:6:7::8:9",
    "::1.2.3",
    "::1.2.3.4:5",
    "1.2.3.4::",
    "1:2:3:4:5:6:7:1.2.3.4",
    "[::1]",
  ];
  for (const text of [...wrong, ...wrong6, ...mixed]) assert.equal(parseAddress(text), undefined, text);
});

test("parseAddress() reads IPv4 at the end of IPv6", () => {
  assert.deepEqual(parseAddress("::ffff:1.2.3.4"), parseAddress("::ffff:102:304"));
  assert.deepEqual(parseAddress("64:ff9b::10.0.0.1"), parseAddress("64:ff9b::a00:1"));
});

test("parseCidr() takes prefixes that fit, and refuses bits behind them", () => {
  for (const text of ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3", "10.1.2.3/32", "::/0", "fd00::/8", "::1/128"])
    assert.ok(parseCidr(text) !== undefined, text);
  for (const text of [
    "10.0.0.1/8",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/08",
    "10.0.0.0/8/8",
    "fd00::1/8",
    "::/129",
  ])
    assert.equal(parseCidr(text), undefined, text);
});

test("ipv4Within() finds the IPv4 address that packets reach in the end", () => {
  const within = (text: string) => {
    const address = parseAddress(text);
    const found = address === undefined ? undefined : ipv4Within(address);
    return found === undefined ? undefined : formatAddress(found);
  };
  for (const text of [
    "::ffff:169.254.169.254",
    "::ffff:0:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
  ])
    assert.equal(within(text), "169.254.169.254", text);
  assert.equal(within("2002:a9fe:a9fe::1"), "169.254.169.254");
  for (const text of ["::1", "::", "2001:db8::1", "fe80::1", "10.0.0.1", "64:ff9c::1"])
    assert.equal(within(text), undefined, text);
});
