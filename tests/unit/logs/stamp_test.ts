import assert from "node:assert/strict";
import { formatStamp, parseForeignStamp, parseStamp } from "../../../src/logs/stamp.ts";
import { incompleteUtf8Tail } from "../../../src/logs/utf8_tail.ts";
import { test } from "../../support/harness.ts";
import { bytes } from "./support.ts";

test("parseStamp() agrees with Date on the first and last millisecond of every day of four centuries", () => {
  for (let day = Date.UTC(1900, 0, 1); day < Date.UTC(2300, 0, 1); day += 86_400_000) {
    assert.equal(parseStamp(bytes(new Date(day).toISOString()), 0), day);
    assert.equal(parseStamp(bytes(new Date(day - 1).toISOString()), 0), day - 1);
  }
});

test("parseStamp() refuses what is no time", () => {
  for (const text of [
    "2026-01-31T12:00:00.000",
    "2026-01-31 12:00:00.000Z",
    "2026-13-31T12:00:00.000Z",
    "2026-02-29T12:00:00.000Z",
    "2026-01-00T12:00:00.000Z",
    "2026-01-31T24:00:00.000Z",
    "2026-01-31T12:60:00.000Z",
    "2026-01-31T12:00:60.000Z",
    "2026-01-31T12:00:00.0x0Z",
    "x026-01-31T12:00:00.000Z",
  ]) {
    assert.ok(Number.isNaN(parseStamp(bytes(text), 0)), text);
  }
});

test("parseForeignStamp() reads any precision and offset", () => {
  const expected = Date.UTC(2026, 0, 31, 12, 0, 0, 500);
  assert.equal(parseForeignStamp("2026-01-31T12:00:00.5Z"), expected);
  assert.equal(parseForeignStamp("2026-01-31T12:00:00.500999999Z"), expected);
  assert.equal(parseForeignStamp("2026-01-31T14:00:00.500+02:00"), expected);
  assert.ok(Number.isNaN(parseForeignStamp("2026-01-31")));
  assert.ok(Number.isNaN(parseForeignStamp("9".repeat(1000))));
});

test("formatStamp() has always 24 characters in the years that matter", () => {
  assert.equal(formatStamp(0), "1970-01-01T00:00:00.000Z");
  assert.equal(formatStamp(Date.UTC(2026, 0, 31, 12, 0, 0, 7)), "2026-01-31T12:00:00.007Z");
});

test("incompleteUtf8Tail() counts exactly what a continuation can complete", () => {
  for (const text of ["é", "€", "😀", "\u{10ffff}", "\ud7ff", "\ue000", "\u0800"]) {
    const whole = bytes(text);
    for (let cut = 1; cut < whole.length; cut++) {
      assert.equal(
        incompleteUtf8Tail(bytes(`a${text}`).subarray(0, 1 + cut)),
        cut,
        `${text} cut after ${cut}`,
      );
    }
    assert.equal(incompleteUtf8Tail(whole), 0);
  }
  for (const hopeless of [
    [0x80],
    [0xc0],
    [0xc1],
    [0xf5],
    [0xff],
    [0xe0, 0x80],
    [0xed, 0xa0],
    [0xf0, 0x8f],
    [0xf4, 0x90],
  ]) {
    assert.equal(incompleteUtf8Tail(new Uint8Array(hopeless)), 0, `${hopeless}`);
  }
});
