/** Names of files as strings. @module */
import assert from "node:assert/strict";
import { checkedName, decodeName, encodeName } from "../../../src/mount/names.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

test("decodeName() and encodeName() give every name back, and no two names one string", () => {
  const random = seededRandom("names");
  const pieces = [
    [0xff],
    [0xc3],
    [0xc3, 0xa9],
    [0xed, 0xb2, 0x80],
    [0xef, 0xbb, 0xbf],
    [0xf0, 0x9f, 0x98, 0x80],
    [0x61],
    [0xe2, 0x82],
  ];
  const seen = new Map<string, string>();
  for (let round = 0; round < 20_000; round++) {
    const bytes =
      round % 2 === 0
        ? random.bytes(random.integer(0, 12))
        : Uint8Array.from(Array.from({ length: random.integer(0, 6) }, () => random.pick(pieces)).flat());
    const name = decodeName(bytes);
    assert.deepEqual([...encodeName(name)], [...bytes]);
    const key = bytes.join(" ");
    assert.equal(seen.get(name) ?? key, key);
    seen.set(name, key);
  }
});

test("decodeName() reads UTF-8 as what it is, also a mark of byte order", () => {
  assert.equal(decodeName(new TextEncoder().encode("é 😀")), "é 😀");
  assert.equal(decodeName(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)), "\ufeffa");
  assert.equal(decodeName(Uint8Array.of(0x61, 0x80)), "a\udc80");
});

test("encodeName() never makes a slash, a zero or a dot of what was none", () => {
  for (let unit = 0xd800; unit <= 0xdfff; unit++)
    for (const byte of encodeName(String.fromCharCode(unit))) assert.ok(byte >= 0x80, unit.toString(16));
});

test("checkedName() refuses what is no name of an entry", () => {
  const encoder = new TextEncoder();
  for (const name of ["", ".", "..", "a/b", "/", "a\0b"])
    assert.throws(() => checkedName(encoder.encode(name)), { code: "EINVAL" }, JSON.stringify(name));
  assert.throws(() => checkedName(new Uint8Array(256).fill(97)), { code: "ENAMETOOLONG" });
  for (const name of ["...", ".a", "a".repeat(255), " ", "\\"])
    assert.equal(checkedName(encoder.encode(name)), name);
});
