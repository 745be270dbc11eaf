/**
 * Bytes that nobody promised to be sound: cursors come from users and browsers, log files from disks that were full or
 * written by other programs. Whatever they are, decoding ends in a value or in the one error that says why.
 *
 * `MSB_LOGS_FUZZ_INPUTS` sets the number of inputs, `MSB_TEST_SEED` replays a run.
 */
import assert from "node:assert/strict";
import { decodeCursor, encodeCursor } from "../../src/logs/cursor.ts";
import { InvalidCursorError } from "../../src/logs/errors.ts";
import { parseHeader } from "../../src/logs/header.ts";
import {
  decodeRecordData,
  decodeRecordText,
  encodeRecord,
  newRecordFields,
  recordBytesMax,
  scanRecord,
} from "../../src/logs/record.ts";
import { scanTextLine } from "../../src/logs/text_line.ts";
import { LOG_SOURCES } from "../../src/logs/types.ts";
import { test } from "../support/harness.ts";
import { type SeededRandom, seededRandom } from "../support/random.ts";

const INPUTS = Number(process.env["MSB_LOGS_FUZZ_INPUTS"] ?? 20_000);
const TIMEOUT_MS = 600_000;

/** `bytes` with a few of them changed, left out, doubled, or the end cut off. */
function damage(random: SeededRandom, bytes: Uint8Array): Uint8Array {
  const result = [...bytes];
  for (let left = random.integer(1, 4); left > 0 && result.length > 0; left--) {
    const at = random.integer(0, result.length - 1);
    switch (random.integer(1, 5)) {
      case 1:
        result[at]! ^= 1 << random.integer(0, 7);
        break;
      case 2:
        result[at] = random.pick([0x22, 0x5c, 0x7b, 0x7d, 0x2c, 0x3a, 0x0a, 0x00, 0xff, 0x75]);
        break;
      case 3:
        result.splice(at, random.integer(1, 3));
        break;
      case 4:
        result.splice(at, 0, ...result.slice(at, at + random.integer(1, 8)));
        break;
      default:
        result.length = at;
    }
  }
  return Uint8Array.from(result);
}

test(
  `decodeCursor() gives the positions or InvalidCursorError for ${INPUTS} damaged cursors`,
  () => {
    const random = seededRandom("cursor fuzz");
    let accepted = 0;
    for (let input = 0; input < INPUTS; input++) {
      const ids = [1, 2, 3].filter(() => random.integer(0, 1) === 1);
      const position = () => ({
        generation: random.integer(1, 2 ** random.integer(1, 52)),
        offsetBytes: random.integer(0, 2 ** 40),
      });
      const positions = new Map(ids.map((id) => [id, position()]));
      const sound = encodeCursor("fuzzed", positions);
      assert.deepEqual(decodeCursor(sound, "fuzzed"), positions);
      const text = random.integer(0, 3) === 0;
      const damaged = text
        ? Buffer.from(damage(random, Buffer.from(sound))).toString("latin1")
        : Buffer.from(damage(random, Buffer.from(sound, "base64url"))).toString("base64url");
      try {
        // Damage may cancel itself out; what is accepted must be the same text for the same place.
        assert.equal(encodeCursor("fuzzed", decodeCursor(damaged, "fuzzed")), damaged);
        assert.equal(damaged, sound, "a damaged cursor was accepted");
        accepted++;
      } catch (error) {
        if (!(error instanceof InvalidCursorError)) throw error;
      }
    }
    assert.ok(accepted < INPUTS / 10);
  },
  { timeoutMs: TIMEOUT_MS },
);

test(
  `scanRecord() agrees with JSON.parse on ${INPUTS} damaged records, and never throws`,
  () => {
    const random = seededRandom("record fuzz");
    const fields = newRecordFields();
    const line = Buffer.alloc(recordBytesMax(64));
    for (let input = 0; input < INPUTS; input++) {
      const data =
        random.integer(0, 1) === 0 ? random.bytes(random.integer(0, 40)) : Buffer.from('a "b" \\ é\n');
      const source = random.pick(LOG_SOURCES);
      const id = random.pick([null, random.integer(0, 2 ** 49)]);
      const length = encodeRecord(line, random.integer(0, 4e12), source, id, data);
      const sound = line.subarray(0, length - 1);
      assert.ok(scanRecord(sound, 0, sound.length, fields));
      assert.deepEqual([fields.source, fields.sessionId], [source, id]);
      const raw = sound.subarray(fields.dataStart, fields.dataEnd);
      assert.ok(Buffer.from(data).equals(decodeRecordData(raw, 0, raw.length, fields.encoding)));
      checkDamaged(damage(random, sound));
    }
  },
  { timeoutMs: TIMEOUT_MS },
);

/** The scanner looks only at the frame, so it may accept more than JSON.parse; what both accept has to be the same. */
function checkDamaged(bytes: Uint8Array): void {
  const fields = newRecordFields();
  const lineFeed = bytes.indexOf(0x0a); // lines have none
  const line = lineFeed < 0 ? bytes : bytes.subarray(0, lineFeed);
  const accepted = scanRecord(line, 0, line.length, fields);
  if (accepted && fields.decoded === undefined) {
    const raw = line.subarray(fields.dataStart, fields.dataEnd);
    decodeRecordData(raw, 0, raw.length, fields.encoding);
    decodeRecordText(raw, fields.encoding);
  }
  parseHeader("record", bytes);
  parseHeader("text", bytes);
  scanTextLine(bytes, 0, bytes.length, { timeMs: 0, dataStart: 0 });
  const parsed = parseStrictly(line);
  if (parsed === undefined) return;
  const isEntry =
    typeof parsed["d"] === "string" &&
    LOG_SOURCES.some((source) => source === parsed["s"]) &&
    typeof parsed["t"] === "string" &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(parsed["t"]) &&
    new Date(parsed["t"]).toJSON() === parsed["t"] &&
    (parsed["e"] === undefined || parsed["e"] === "b64");
  if (isEntry) assert.ok(accepted, Buffer.from(line).toString());
  if (!isEntry || !accepted || fields.decoded !== undefined) return;
  assert.equal(fields.source, parsed["s"]);
  assert.equal(fields.timeMs, Date.parse(String(parsed["t"])));
  if (parsed["e"] === undefined) {
    assert.equal(decodeRecordText(line.subarray(fields.dataStart, fields.dataEnd), "json"), parsed["d"]);
  }
}

function parseStrictly(line: Uint8Array): Record<string, unknown> | undefined {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line));
  } catch {
    return undefined;
  }
}
