import assert from "node:assert/strict";
import { encodeCursor, type LogPositions } from "../../../../src/logs/cursor.ts";
import { decodeOffset, encodeOffset } from "../../../../src/logs/durable/offset.ts";
import { InvalidCursorError } from "../../../../src/logs/errors.ts";
import { CURSOR_CHARS_MAX } from "../../../../src/logs/limits.ts";
import { LOG_FILES } from "../../../../src/logs/log_files.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";
import { appendMany, collect, SANDBOX_ID, testLogs } from "../support.ts";

function offsetAt(positions: LogPositions): string {
  return encodeOffset(encodeCursor(SANDBOX_ID, positions));
}

test("encodeOffset() gives text that sorts as the places of a reading do, through all rotations", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 9 });
  appendMany(writer, "line ", 60);
  const offsets = (await collect(await logs.stream())).map(({ cursor }) => encodeOffset(cursor));
  assert.equal(offsets.length, 60);
  assert.deepEqual(offsets.toSorted(), offsets);
  assert.equal(new Set(offsets).size, offsets.length);
});

test("encodeOffset() gives text that grows along every way of reading several files", () => {
  const random = seededRandom("offsets");
  for (let reading = 0; reading < 50; reading++) {
    const positions = new Map(LOG_FILES.map(({ id }) => [id, { generation: 1, offsetBytes: 0 }]));
    let before = offsetAt(new Map());
    for (let step = 0; step < 50; step++) {
      const { id } = random.pick(LOG_FILES);
      const { generation, offsetBytes } = positions.get(id)!;
      const isRotation = random.integer(0, 3) === 0;
      const bytes = random.integer(1, 2 ** random.integer(0, 30));
      positions.set(
        id,
        isRotation
          ? { generation: generation + 1, offsetBytes: 0 }
          : { generation, offsetBytes: offsetBytes + bytes },
      );
      const after = offsetAt(positions);
      assert.ok(after > before, `${after} comes after ${before}`);
      before = after;
    }
  }
});

test("encodeOffset() has no characters with a meaning in URLs, and is short, also for the greatest numbers", () => {
  const greatest = { generation: Number.MAX_SAFE_INTEGER, offsetBytes: Number.MAX_SAFE_INTEGER };
  const offset = offsetAt(new Map(LOG_FILES.map(({ id }) => [id, greatest])));
  assert.match(offset, /^[\w.-]+$/);
  assert.ok(offset.length < 256, "as the protocol recommends");
  assert.equal(decodeOffset(offset), offset.slice(offset.indexOf(".") + 1));
});

test("decodeOffset() takes the bare cursor of an entry, too", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "line ", 1);
  const [entry] = await collect(await logs.stream());
  assert.equal(decodeOffset(entry!.cursor), entry!.cursor);
  assert.equal(decodeOffset(encodeOffset(entry!.cursor)), entry!.cursor);
});

test("decodeOffset() refuses what encodeOffset() has not made", () => {
  const cursor = encodeCursor(SANDBOX_ID, new Map([[1, { generation: 3, offsetBytes: 70_000 }]]));
  const offset = encodeOffset(cursor);
  const refused = [
    "",
    ".",
    "0",
    `.${cursor}`,
    `x${offset}`,
    `${offset}.`,
    `${offset.slice(0, 1)}0${offset.slice(1)}`,
    `1151117f.${cursor}`,
    offset.slice(0, -1),
    offset.toUpperCase(),
    `${offset}\n`,
    "A".repeat(CURSOR_CHARS_MAX + 1),
    "A".repeat(1_000_000),
  ];
  for (const text of refused) assert.throws(() => decodeOffset(text), InvalidCursorError, text.slice(0, 80));
});

test("decodeOffset() refuses every offset with a damaged character, and fails in no other way", () => {
  const random = seededRandom("damaged offsets");
  const offset = offsetAt(
    new Map(LOG_FILES.map(({ id }) => [id, { generation: id, offsetBytes: 1000 * id }])),
  );
  for (let attempt = 0; attempt < 2000; attempt++) {
    const at = random.integer(0, offset.length - 1);
    const character = String.fromCharCode(random.integer(0, 0x2ff));
    const damaged = offset.slice(0, at) + character + offset.slice(at + random.integer(0, 2));
    if (damaged !== offset)
      assert.throws(() => decodeOffset(damaged), InvalidCursorError, JSON.stringify(damaged));
  }
});
