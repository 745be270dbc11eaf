/** Logs and cursors of 0.8 are read on. @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { decodeCursor } from "../../../src/logs/cursor.ts";
import { decodeOffset, encodeOffset } from "../../../src/logs/durable/offset.ts";
import { openLogStream } from "../../../src/logs/log_stream.ts";
import { readLogDirectory } from "../../../src/logs/read_logs.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { restoreLogs, sample, WEB_ID } from "./samples.ts";

const [, CURSOR = ""] = sample("cursor.txt").split("\n");

test("readLogDirectory() reads every record of the logs of 0.8", async () => {
  using scratch = temporaryDirectory();
  const directory = join(scratch.path, "logs");
  restoreLogs(directory);
  const entries = await readLogDirectory({ directory, sandboxId: WEB_ID });
  assert.deepEqual(
    entries.map((entry) => [entry.timestamp.toISOString(), entry.source, entry.sessionId, [...entry.data]]),
    [
      ["2026-11-29T06:39:52.428Z", "stdout", 4_328_521_728, [...Buffer.from("one\n")]],
      ["2026-11-29T06:39:52.433Z", "stderr", 4_328_521_728, [...Buffer.from("two\n")]],
      ["2026-11-29T06:39:52.463Z", "stdout", 4_328_521_729, [0xff, 0xfe, ...Buffer.from("binary")]],
      ["2026-11-29T06:39:52.501Z", "stdout", 4_328_521_730, [...Buffer.from("grüß dich\n")]],
    ],
  );
  const system = await readLogDirectory({ directory, sandboxId: WEB_ID }, { sources: ["system"] });
  assert.ok(system.some((entry) => entry.text() === "--- sandbox stopped ---\n"));
});

test("openLogStream() continues exactly behind a cursor of 0.8", async () => {
  using scratch = temporaryDirectory();
  const directory = join(scratch.path, "logs");
  restoreLogs(directory);
  const source = { directory, sandboxId: WEB_ID, isTerminal: async () => true };
  await using stream = await openLogStream(source, { fromCursor: CURSOR });
  const texts: string[] = [];
  for await (const entry of stream) texts.push(entry.text());
  assert.deepEqual(texts, ["\ufffd\ufffdbinary", "grüß dich\n"]);
});

test("decodeCursor() gives the positions in a cursor of 0.8", () => {
  assert.deepEqual(
    [...decodeCursor(CURSOR, WEB_ID)].map(([file, { generation, offsetBytes }]) => [
      file,
      generation,
      offsetBytes,
    ]),
    [
      [1, 1, 333],
      [2, 1, 102],
      [3, 1, 319],
    ],
  );
});

test("decodeOffset() takes offsets of durable streams of 0.8", () => {
  const offset = `1332f2.${CURSOR}`;
  assert.equal(decodeOffset(offset), CURSOR);
  assert.equal(encodeOffset(CURSOR), offset);
});
