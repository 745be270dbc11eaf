/** Detach keys: how they are written, and how they are found. @module */
import assert from "node:assert/strict";
import { decodeUtf8, encodeUtf8 } from "../../../../src/base/bytes.ts";
import { DetachKeys, parseDetachKeys } from "../../../../src/sandbox/attach/detach_keys.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";

test("parseDetachKeys() reads characters and control keys", () => {
  assert.deepEqual(parseDetachKeys("ctrl-p,ctrl-q"), Uint8Array.of(0x10, 0x11));
  assert.deepEqual(parseDetachKeys("ctrl-A,ctrl-z,a,Z,~"), Uint8Array.of(1, 26, 0x61, 0x5a, 0x7e));
  const others = "ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_";
  assert.deepEqual(parseDetachKeys(others), Uint8Array.of(0, 27, 28, 29, 30, 31));
});

test("parseDetachKeys() refuses anything else", () => {
  const wrong = [
    "",
    ",",
    "ctrl-",
    "ctrl-p,",
    "ctrl-pq",
    "ctrl-1",
    "Ctrl-p",
    "ctrl-p, ctrl-q",
    "ab",
    "é",
    " ",
    "^p",
  ];
  for (const text of wrong) assert.equal(parseDetachKeys(text), undefined, text);
  assert.notEqual(parseDetachKeys(Array(16).fill("a").join(",")), undefined);
  assert.equal(parseDetachKeys(Array(17).fill("a").join(",")), undefined);
});

/** What passes of these chunks, and whether the keys were found. */
function type(keys: string, ...chunks: readonly string[]): [string, boolean] {
  const watcher = new DetachKeys(encodeUtf8(keys));
  let passed = "";
  for (const chunk of chunks) {
    const { data, isDetached } = watcher.take(encodeUtf8(chunk));
    passed += decodeUtf8(data);
    if (isDetached) return [passed, true];
  }
  return [passed, false];
}

test("DetachKeys.take() finds the keys in one chunk, across chunks and in pasted text", () => {
  assert.deepEqual(type("pq", "pq"), ["", true]);
  assert.deepEqual(type("pq", "p", "q"), ["", true]);
  assert.deepEqual(type("pq", "before pq after"), ["before ", true]);
  assert.deepEqual(type("pq", "before p", "q after"), ["before ", true]);
});

test("DetachKeys.take() passes keys on as soon as another one follows", () => {
  assert.deepEqual(type("pq", "p"), ["", false]);
  assert.deepEqual(type("pq", "p", "x"), ["px", false]);
  assert.deepEqual(type("pq", "ppx"), ["ppx", false]);
  assert.deepEqual(type("pq", "p", "p"), ["p", false]);
  assert.deepEqual(type("pq", "p", "p", "q"), ["p", true]);
  assert.deepEqual(type("aab", "aa", "a", "b"), ["a", true]);
  assert.deepEqual(type("abac", "aba", "bac"), ["ab", true]);
  assert.deepEqual(type("abac", "aba", "x"), ["abax", false]);
});

test("DetachKeys.take() does as a search in the whole text, whatever the chunks", () => {
  const random = seededRandom("detach keys");
  for (let round = 0; round < 2000; round++) {
    const word = (length: number) => Array.from({ length }, () => random.pick(["a", "b"])).join("");
    const keys = word(random.integer(1, 5));
    const text = word(random.integer(0, 30));
    const chunks: string[] = [];
    for (let at = 0; at < text.length; ) {
      const size = random.integer(1, 4);
      chunks.push(text.slice(at, at + size));
      at += size;
    }
    const [passed, isDetached] = type(keys, ...chunks);
    const found = text.indexOf(keys);
    assert.equal(isDetached, found >= 0, `${keys} in ${text}`);
    if (isDetached) assert.equal(passed, text.slice(0, found), `${keys} in ${text}`);
    else
      assert.ok(text.startsWith(passed) && text.length - passed.length < keys.length, `${keys} in ${text}`);
  }
});

test("DetachKeys.take() knows control keys as the keyboard protocols of kitty and xterm send them", () => {
  const [p, q] = ["\x1b[112;5u", "\x1b[113;5u"];
  const [locked, xterm] = ["\x1b[112;69u", "\x1b[27;5;113~"];
  const keys = "\x10\x11";
  for (const text of [p + q, `\x10${q}`, locked + xterm, `${p}\x11`, "\x1b[112;5:1u\x1b[113::113;133:2u"])
    assert.deepEqual(type(keys, "a", text, "b"), ["a", true], JSON.stringify(text));
  assert.deepEqual(type(keys, p), ["", false]);
  assert.deepEqual(type(keys, p, "x"), [`${p}x`, false]);
  assert.deepEqual(type(keys, p, p, q), [p, true]);
  for (const other of ["\x1b[112;6u", "\x1b[112;5:3u", "\x1b[112u", "\x1b[114;5u", "\x1b[9999999;5u"])
    assert.deepEqual(type(keys, "\x10", other, q), [`\x10${other}${q}`, false], JSON.stringify(other));
});

test("DetachKeys.take() holds no escape key back", () => {
  assert.deepEqual(type("\x10\x11", "\x1b"), ["\x1b", false]);
  assert.deepEqual(type("\x10\x11", "\x1b[112"), ["\x1b[112", false]);
  assert.deepEqual(type("\x1d", "\x1b", "[A\x1d"), ["\x1b[A", true]);
  assert.deepEqual(type("\x1bx", "\x1b", "\x1b[A", "\x1bx"), ["\x1b\x1b[A", true]);
});

test("DetachKeys.take() passes megabytes on as they are", () => {
  const text = `${"0123456789 \x1b[A\x10x".repeat(10_000)}${"text".repeat(1_000_000)}`;
  const [passed, isDetached] = type("\x10\x11", text);
  assert.ok(passed === text && !isDetached);
});
