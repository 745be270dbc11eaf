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
