/** Reading the log of one job: its entries alone, and the end of its output. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { execLogCursor } from "../../../src/logs/cursor.ts";
import type { ExecLogWriter } from "../../../src/logs/exec_log_writer.ts";
import { openLogStream, type SessionEnd } from "../../../src/logs/log_stream.ts";
import { JOB_OUTPUT_OVER_TEXT, jobExitText, parseJobExit } from "../../../src/logs/markers.ts";
import { readLogDirectory } from "../../../src/logs/read_logs.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";
import { appendMany, bytes, collect, SANDBOX_ID, take, testLogs, texts } from "./support.ts";

const JOB = 2 ** 32 + 5;
const EXIT = { code: 0, signal: undefined };

function cursorOf({ position }: ExecLogWriter): string {
  assert.ok(position !== undefined);
  return execLogCursor(SANDBOX_ID, position);
}

function end(writer: ExecLogWriter): void {
  writer.flush(JOB);
  writer.system(jobExitText(EXIT), JOB);
  writer.system(JOB_OUTPUT_OVER_TEXT, JOB);
}

test("parseJobExit() gives back what jobExitText() says, and takes nothing else", () => {
  const exits = [EXIT, { code: 255, signal: undefined }, { code: 137, signal: 9 }, { code: 192, signal: 64 }];
  for (const exit of exits) assert.deepEqual(parseJobExit(`${jobExitText(exit)}\n`), exit);
  for (const text of [
    "",
    JOB_OUTPUT_OVER_TEXT,
    "x--- job exited with code 0 ---",
    "--- job exited with code  ---",
  ])
    assert.equal(parseJobExit(text), undefined);
});

test("readLogDirectory() with a sessionId gives that program's entries, whatever way they are read", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "other", 3);
  writer.append("stdout", JOB, bytes("one\n"));
  writer.system("--- sandbox started ---");
  writer.append("stderr", JOB, bytes("two\n"));
  end(writer);
  writer.append("stdout", JOB, bytes("of its child\n"));
  appendMany(writer, "more", 3);
  const own = ["one\n", "two\n", "of its child\n"];
  assert.deepEqual(texts(await readLogDirectory(logs, { sessionId: JOB })), own);
  assert.deepEqual(texts(await readLogDirectory(logs, { sessionId: JOB, tail: 2 })), own.slice(1));
  assert.deepEqual(texts(await readLogDirectory(logs, { sessionId: JOB, sources: ["stderr"] })), ["two\n"]);
  const all = await readLogDirectory(logs, { sessionId: JOB, sources: ["all"] });
  assert.deepEqual(
    all.filter(({ source }) => source === "system").map((entry) => [entry.sessionId, entry.text()]),
    [
      [JOB, `${jobExitText(EXIT)}\n`],
      [JOB, `${JOB_OUTPUT_OVER_TEXT}\n`],
    ],
  );
  await assert.rejects(readLogDirectory(logs, { sessionId: 0.5 }), { code: "invalidConfig" });
});

test("readLogDirectory() of all programs is not disturbed by the records of jobs", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stdout", JOB, bytes("one\n"));
  end(writer);
  appendMany(writer, "a", 1);
  assert.deepEqual(texts(await readLogDirectory(logs)), ["one\n", "a0\n"]);
  const lines = readFileSync(logs.path("exec.log"), "utf8").trim().split("\n");
  for (const line of lines) JSON.parse(line); // of the keys that readers of 0.8 know
  assert.match(
    lines.at(-2) ?? "",
    /^{"t":"[^"]+","s":"system","id":\d+,"d":"--- job output complete ---\\n"}$/,
  );
});

test("LogStream of a job ends with its output while others write on, and leaves out what its children write", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const stream = await logs.stream({ follow: true, sessionId: JOB });
  const reading = collect(stream);
  appendMany(writer, "other", 2);
  writer.append("stdout", JOB, bytes("one\n"));
  end(writer);
  writer.append("stdout", JOB, bytes("of its child\n"));
  appendMany(writer, "other", 2);
  assert.deepEqual(texts(await reading), ["one\n"]); // isTerminal() says false for ever
});

test("LogStream of a job that has ended ends at its end, wherever it is resumed from", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stdout", JOB, bytes("one\n"));
  writer.append("stdout", JOB, bytes("two\n"));
  end(writer);
  const over: SessionEnd = { isOver: true, position: writer.position };
  const known = { ...logs, sessionEnd: () => over };
  writer.append("stdout", JOB, bytes("of its child\n"));
  const [one, two] = await collect(await openLogStream(known, { follow: true, sessionId: JOB }));
  const after = async (cursor: string | undefined) =>
    texts(await collect(await openLogStream(known, { follow: true, sessionId: JOB, fromCursor: cursor })));
  assert.deepEqual(await after(one?.cursor), ["two\n"]);
  assert.deepEqual(await after(two?.cursor), []);
  assert.deepEqual(await after(cursorOf(writer)), []);
});

test("LogStream of a job whose last record was lost ends when it is known that it is over", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  let isOver = false;
  const source = { ...logs, sessionEnd: () => ({ isOver }) };
  const stream = await openLogStream(source, { follow: true, sessionId: JOB });
  writer.append("stdout", JOB, bytes("one\n"));
  assert.deepEqual(texts(await take(stream, 1)), ["one\n"]);
  isOver = true;
  assert.equal(await stream.recv(), null);
});

test("ExecLogWriter.position is where the next record begins, over rotations, and flush() leaves nothing behind", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1_024, rotatedFilesMax: 9 });
  const random = seededRandom("cursors");
  const written: string[] = [];
  const cursors: (string | undefined)[] = [];
  for (let i = 0; i < 30; i++) {
    cursors.push(cursorOf(writer));
    const text = `${i} ${"é".repeat(random.integer(0, 60))}\n`;
    written.push(text);
    const whole = bytes(text);
    const cut = random.integer(0, whole.length);
    writer.append("stdout", JOB, whole.subarray(0, cut));
    writer.append("stdout", JOB, whole.subarray(cut));
    writer.flush(JOB);
  }
  for (const [index, fromCursor] of cursors.entries()) {
    if (index < 5) continue; // rotated away, perhaps
    const entries = await collect(await logs.stream({ fromCursor, sessionId: JOB }));
    const data = Buffer.concat(entries.map((entry) => entry.data)).toString();
    assert.equal(data, written.slice(index).join(""), `behind record ${index}`);
  }
});

test("ExecLogWriter.flush() writes the beginning of a character that was held back", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stdout", JOB, Uint8Array.of(0x61, 0xc3));
  const before = await readLogDirectory(logs);
  writer.flush(JOB);
  const after = await readLogDirectory(logs);
  assert.deepEqual([before.length, [...(after[1]?.data ?? [])]], [1, [0xc3]]);
});
