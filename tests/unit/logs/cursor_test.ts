import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { decodeCursor, encodeCursor, type LogPositions } from "../../../src/logs/cursor.ts";
import { InvalidCursorError, type InvalidCursorReason } from "../../../src/logs/errors.ts";
import { test } from "../../support/harness.ts";

const POSITIONS: LogPositions = new Map([
  [1, { generation: 7, offsetBytes: 10_485_611 }],
  [3, { generation: 1, offsetBytes: 0 }],
]);
const CURSOR = encodeCursor("sandbox-a", POSITIONS);

function assertInvalid(cursor: string, reason: InvalidCursorReason, sandboxId = "sandbox-a"): void {
  assert.throws(
    () => decodeCursor(cursor, sandboxId),
    (error) =>
      error instanceof InvalidCursorError && error.reason === reason && error.code === "invalidCursor",
  );
}

/** `bytes` as a cursor with the right checksum. */
function seal(bytes: Buffer): string {
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32LE(crc32(bytes));
  return Buffer.concat([bytes, checksum]).toString("base64url");
}

const BODY = Buffer.from(CURSOR, "base64url").subarray(0, -4);

test("encodeCursor() makes short text that is safe in URLs and headers, always the same", () => {
  assert.match(CURSOR, /^[A-Za-z0-9_-]{20,100}$/);
  assert.equal(encodeCursor("sandbox-a", POSITIONS), CURSOR);
});

test("encodeCursor() of version 1 does not change: cursors are kept by users", () => {
  assert.equal(CURSOR, "ATFbvjiTj3JmAQfr_v8EAwEApiHa_w");
});

test("decodeCursor() gives back what encodeCursor() was given", () => {
  assert.deepEqual(decodeCursor(CURSOR, "sandbox-a"), POSITIONS);
  assert.deepEqual(decodeCursor(encodeCursor("", new Map()), ""), new Map());
  const far = new Map([[2, { generation: Number.MAX_SAFE_INTEGER, offsetBytes: Number.MAX_SAFE_INTEGER }]]);
  assert.deepEqual(decodeCursor(encodeCursor("x", far), "x"), far);
});

test("decodeCursor() refuses the cursor of another sandbox", () =>
  assertInvalid(CURSOR, "sandbox", "sandbox-b"));

test("decodeCursor() refuses another version", () => {
  const bytes = Buffer.from(BODY);
  bytes[0] = 2;
  assertInvalid(seal(bytes), "version");
});

test("decodeCursor() refuses every truncation", () => {
  for (let length = 0; length < CURSOR.length; length++) {
    assert.throws(
      () => decodeCursor(CURSOR.slice(0, length), "sandbox-a"),
      InvalidCursorError,
      `${length} characters`,
    );
  }
});

test("decodeCursor() refuses every flipped bit", () => {
  const bytes = Buffer.from(CURSOR, "base64url");
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    assert.throws(
      () => decodeCursor(flipped.toString("base64url"), "sandbox-a"),
      InvalidCursorError,
      `bit ${bit}`,
    );
  }
});

test("decodeCursor() refuses 1 MB of text without looking at it", () =>
  assertInvalid("A".repeat(1_000_000), "tooLong"));

test("decodeCursor() refuses other alphabets, padding and spaces", () => {
  for (const text of [`${CURSOR}=`, ` ${CURSOR}`, `${CURSOR}\n`, "+/+/", "ä"])
    assertInvalid(text, "encoding");
});

test("decodeCursor() refuses contents that no encoder makes, though the checksum is right", () => {
  assertInvalid(seal(Buffer.concat([BODY, Buffer.from([9, 1, 1])])), "content"); // a file that does not exist
  assertInvalid(seal(BODY.subarray(0, -1)), "content"); // a varint without its end
  assertInvalid(seal(Buffer.concat([BODY.subarray(0, 9), Buffer.from([1, 0, 0])])), "content"); // generation 0
  assertInvalid(seal(Buffer.concat([BODY.subarray(0, 9), Buffer.from([1, 0x81, 0, 0])])), "content"); // longer than needed
  assertInvalid(seal(Buffer.concat([BODY.subarray(0, 9), Buffer.from([3, 1, 0, 1, 1, 0])])), "content"); // wrong order
});
