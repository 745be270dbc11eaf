import assert from "node:assert/strict";
import { ESCAPED_BYTES_MAX, escapeJson } from "../../../src/logs/json_escape.ts";
import {
  decodeRecordData,
  decodeRecordText,
  encodeRecord,
  newRecordFields,
  recordBytesMax,
  scanRecord,
} from "../../../src/logs/record.ts";
import type { LogSource } from "../../../src/logs/types.ts";
import { test } from "../../support/harness.ts";
import { bytes, START_MS } from "./support.ts";

function encode(source: LogSource, sessionId: number | null, data: Uint8Array): string {
  const line = Buffer.alloc(recordBytesMax(data.length));
  return line.toString("utf8", 0, encodeRecord(line, START_MS, source, sessionId, data));
}

function scan(
  line: string,
): { source: string; sessionId: number | null; timeMs: number; data: string } | undefined {
  const raw = bytes(`garbage before${line}`);
  const fields = newRecordFields();
  if (!scanRecord(raw, 14, raw.length, fields)) return undefined;
  const { source, sessionId, timeMs, decoded, encoding } = fields;
  const body = decoded === undefined ? raw.subarray(fields.dataStart, fields.dataEnd) : bytes(decoded);
  return { source, sessionId, timeMs, data: decoded ?? decodeRecordText(body, encoding) };
}

function decodeData(raw: string, encoding: "json" | "base64"): Uint8Array {
  const padded = bytes(`before${raw}after`);
  return decodeRecordData(padded, 6, padded.length - 5, encoding);
}

test("encodeRecord() writes one line of JSON with the known keys", () => {
  assert.equal(
    encode("stdout", 7, bytes('say "hi"\n')),
    '{"t":"2026-01-31T12:00:00.000Z","s":"stdout","id":7,"d":"say \\"hi\\"\\n"}\n',
  );
  assert.equal(
    encode("system", null, bytes("up\n")),
    '{"t":"2026-01-31T12:00:00.000Z","s":"system","d":"up\\n"}\n',
  );
});

test("encodeRecord() keeps bytes that are not UTF-8 as base64", () => {
  const line = encode("output", 1, new Uint8Array([0xff, 0, 0x41]));
  assert.equal(JSON.parse(line).e, "b64");
  assert.deepEqual([...Buffer.from(JSON.parse(line).d, "base64")], [0xff, 0, 0x41]);
});

test("escapeJson() agrees with JSON.stringify for every character beside every alignment", () => {
  for (let code = 0; code < 0x180; code++) {
    for (let before = 0; before < 9; before++) {
      const text = `${"x".repeat(before)}${String.fromCharCode(code)}${"y".repeat(9)}`;
      const source = bytes(text);
      const target = new Uint8Array(source.length * ESCAPED_BYTES_MAX + 8);
      const escaped = Buffer.from(target.subarray(0, escapeJson(source, target, 0))).toString();
      assert.equal(`"${escaped}"`, JSON.stringify(text), `character ${code} after ${before}`);
    }
  }
});

test("scanRecord() reads what encodeRecord() writes", () => {
  for (const text of [
    "",
    "plain\n",
    "\\",
    '"',
    '\\"',
    "\u0000\u001f\u007f",
    "é€😀",
    "\ufeffmark",
    'x","id":9}',
  ]) {
    const line = encode("stderr", 12_345, bytes(text));
    assert.deepEqual(scan(line.slice(0, -1)), {
      source: "stderr",
      sessionId: 12_345,
      timeMs: START_MS,
      data: text,
    });
  }
});

test("scanRecord() takes keys in any order, spaces, other keys and other precisions of time", () => {
  const expected = { source: "stdout", sessionId: 3, timeMs: START_MS, data: "a\n" };
  const t = "2026-01-31T12:00:00.000Z";
  assert.deepEqual(scan(`{"t":"${t}","s":"stdout","d":"a\\n","id":3}`), expected);
  assert.deepEqual(scan(`{"d":"a\\n","id":3,"s":"stdout","t":"${t}"}`), expected);
  assert.deepEqual(scan(`{ "t": "${t}", "s": "stdout", "d": "a\\n", "id": 3 }`), expected);
  assert.deepEqual(scan(`{"t":"${t}","s":"stdout","d":"a\\n","id":3,"new":[1,{}]}`), expected);
  assert.deepEqual(scan(` {"t":"${t}","s":"stdout","d":"a\\n","id":3}\r`), expected);
  assert.deepEqual(scan(`{"t":"2026-01-31T12:00:00Z","s":"stdout","d":"a\\n","id":3}`), expected);
  assert.deepEqual(scan(`{"t":"2026-01-31T14:00:00.000000+02:00","s":"stdout","d":"a\\n","id":3}`), expected);
  assert.deepEqual(scan(`{"t":"${t}","s":"\\u0073tdout","d":"a\\n","id":3}`), expected);
});

test("scanRecord() refuses every beginning of a record", () => {
  const line = encode("stdout", 1, bytes('a "quoted" \\ text\n')).slice(0, -1);
  for (let end = 0; end < line.length; end++)
    assert.equal(scan(line.slice(0, end)), undefined, `cut at ${end}`);
});

test("scanRecord() refuses what is no entry", () => {
  const t = "2026-01-31T12:00:00.000Z";
  for (const line of [
    "",
    "{}",
    "[]",
    "null",
    "plain text",
    `{"t":"${t}","s":"header","v":1,"g":1,"sandbox":"x"}`,
    `{"t":"${t}","s":"other","d":""}`,
    `{"t":"${t}","s":"stdout"}`,
    `{"t":"yesterday","s":"stdout","d":""}`,
    `{"t":"2026-02-30T12:00:00.000Z","s":"stdout","d":""}`,
    `{"t":"${t}","s":"stdout","d":"","e":"gzip"}`,
    `{"t":"${t}","s":"stdout","d":5}`,
    `{"t":"${t}","s":"stdout","d":"torn{"t":"${t}","s":"stdout","d":"next"}`,
  ]) {
    assert.equal(scan(line), undefined, line);
  }
});

test("decodeRecordData() gives back the bytes, and raw ones for an escape that damage has broken", () => {
  assert.deepEqual(decodeData("a\\u00e9\\n", "json"), bytes("aé\n"));
  assert.deepEqual(decodeData("\\ud83d\\ude00", "json"), bytes("😀"));
  assert.deepEqual(decodeData("a\\q", "json"), bytes("a\\q"));
  assert.deepEqual(decodeData("/wBB", "base64"), new Uint8Array([0xff, 0, 0x41]));
});
