/** Output as lines. @module */
import assert from "node:assert/strict";
import { concatBytes, encodeUtf8 } from "../../../../src/base/bytes.ts";
import { LineCutter, OutputTail } from "../../../../src/sandbox/exec/output_lines.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";

const tooLong = () => new Error("too long");

function cut(chunks: readonly Uint8Array<ArrayBuffer>[], lineBytesMax = 1000): string[] {
  const cutter = new LineCutter(lineBytesMax, tooLong);
  const lines = chunks.flatMap((chunk) => [...cutter.add(chunk)]);
  const last = cutter.finish();
  return last === undefined ? lines : [...lines, last];
}

test("LineCutter gives the same lines however the text is cut into chunks", () => {
  const random = seededRandom("lines");
  for (let round = 0; round < 300; round++) {
    const letters = Array.from({ length: random.integer(0, 40) }, () =>
      random.pick(["a", "\n", "\r\n", "\r", "\u20ac", "\ufeff"]),
    );
    const bytes = encodeUtf8(letters.join(""));
    const expected = letters
      .join("")
      .split("\n")
      .map((line) => line.replace(/\r$/, ""));
    if (letters.join("").endsWith("\n") || bytes.length === 0) expected.pop();
    const chunks = [];
    for (let begin = 0; begin < bytes.length; ) {
      const end = begin + random.integer(1, 5);
      chunks.push(bytes.subarray(begin, end));
      begin = end;
    }
    assert.deepEqual(cut(chunks), expected);
  }
});

test("LineCutter takes a line of the limit, and refuses one of a byte more", () => {
  assert.deepEqual(cut([encodeUtf8("abcd\nab"), encodeUtf8("cd\n")], 4), ["abcd", "abcd"]);
  assert.throws(() => cut([encodeUtf8("abcde\n")], 4), tooLong());
  assert.throws(() => cut([encodeUtf8("abc"), encodeUtf8("de")], 4), tooLong());
});

test("OutputTail keeps exactly the last bytes", () => {
  const random = seededRandom("tail");
  for (const bytesMax of [1, 7, 64]) {
    const tail = new OutputTail(bytesMax);
    const all = [new Uint8Array(0)];
    for (let count = 0; count < 200; count++) {
      const chunk = new Uint8Array(random.bytes(random.integer(0, 100)));
      all.push(chunk);
      tail.add(chunk);
      assert.deepEqual(tail.bytes, concatBytes(all).slice(-bytesMax));
    }
  }
});
