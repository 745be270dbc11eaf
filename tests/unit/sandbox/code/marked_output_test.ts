/** What an interpreter writes, taken apart wherever it is cut. @module */
import assert from "node:assert/strict";
import { concatBytes, decodeUtf8, encodeUtf8 } from "../../../../src/base/bytes.ts";
import { MarkError, MarkedOutput } from "../../../../src/sandbox/code/marked_output.ts";
import { decodeReport, REPORT_BYTES_MAX } from "../../../../src/sandbox/code/report.ts";
import { test } from "../../../support/harness.ts";

const NONCE = "0123456789abcdef0123456789abcdef";

function piece(payload: string, nonce = NONCE): string {
  return `\x1e${nonce}${payload.length.toString(16).padStart(4, "0")}${payload}`;
}

test("MarkedOutput.feed() gives the same, wherever what is read is cut", () => {
  const other = piece("e", "f".repeat(32));
  const all = encodeUtf8(
    `a\x1e\x1e${NONCE.slice(0, 31)}b${piece("rone")}c${other}${piece('r"two"')}${piece("e007")}d`,
  );
  for (let step = 1; step <= all.length; step++) {
    const marked = new MarkedOutput(NONCE);
    const written = [];
    for (let at = 0; at < all.length; at += step) written.push(marked.feed(all.slice(at, at + step)));
    assert.equal(decodeUtf8(concatBytes(written)), `a\x1e\x1e${NONCE.slice(0, 31)}bc${other}d`);
    assert.deepEqual([decodeUtf8(marked.report), marked.end], ['one"two"', "007"]);
    assert.equal(marked.rest().length, 0);
  }
});

test("MarkedOutput.rest() returns what turned out not to be a piece", () => {
  const marked = new MarkedOutput(NONCE);
  assert.equal(decodeUtf8(marked.feed(encodeUtf8(`x\x1e${NONCE}00`))), "x");
  assert.equal(decodeUtf8(marked.rest()), `\x1e${NONCE}00`);
  assert.equal(marked.end, undefined);
});

test("MarkedOutput.feed() refuses what a driver never says, and a report without end", () => {
  const refuses = (...texts: readonly string[]) =>
    assert.throws(() => {
      const marked = new MarkedOutput(NONCE);
      for (const text of texts) marked.feed(encodeUtf8(text));
    }, MarkError);
  refuses(`\x1e${NONCE}0000`);
  refuses(`\x1e${NONCE}1001`);
  refuses(`\x1e${NONCE}-001e`);
  refuses(piece("x"));
  refuses(piece("e"), piece("e"));
  const part = piece(`r${"x".repeat(4000)}`);
  const marked = new MarkedOutput(NONCE);
  for (let bytes = 4000; bytes <= REPORT_BYTES_MAX; bytes += 4000) marked.feed(encodeUtf8(part));
  assert.throws(() => marked.feed(encodeUtf8(part)), MarkError);
});

test("decodeReport() takes only what a driver sends", () => {
  const decode = (value: unknown) => decodeReport(encodeUtf8(JSON.stringify(value)));
  assert.deepEqual(decode({}), { result: undefined, error: undefined });
  assert.deepEqual(decode({ result: { text: "1", textOmitted: 0, json: "[1]" } })?.result?.value, [1]);
  for (const wrong of [
    [],
    null,
    { more: 1 },
    { result: { text: "1" } },
    { result: { text: "1", textOmitted: -1 } },
    { result: { text: "1", textOmitted: 0, json: "{" } },
    { result: { text: "x".repeat(262_145), textOmitted: 0 } },
    { error: { name: 1, message: "", traceback: "" } },
  ])
    assert.equal(decode(wrong), undefined, JSON.stringify(wrong).slice(0, 80));
  assert.equal(decodeReport(Uint8Array.of(0xff)), undefined);
});
