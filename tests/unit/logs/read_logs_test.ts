import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { InvalidConfigError } from "../../../src/base/errors.ts";
import { LogsUnavailableError } from "../../../src/logs/errors.ts";
import { readLogDirectory, readLogDirectorySnapshot } from "../../../src/logs/read_logs.ts";
import { openTextLogWriter } from "../../../src/logs/text_log_writer.ts";
import type { LogReadOptions } from "../../../src/logs/types.ts";
import { test } from "../../support/harness.ts";
import { appendMany, bytes, collect, START_MS, type TestLogs, testLogs, texts } from "./support.ts";

/** 40 records, one a second, over several files. */
function oneASecond(logs: TestLogs): string[] {
  using writer = logs.writer({ maxFileBytes: 1024 });
  return Array.from({ length: 40 }, (_, second) => {
    logs.nowMs = START_MS + second * 1000;
    writer.append(second % 2 === 0 ? "stdout" : "stderr", 1, bytes(`second ${second}\n`));
    return `second ${second}\n`;
  });
}

test("readLogDirectory() gives every field of an entry", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stderr", 12, bytes("oh\n"));
  const [entry] = await readLogDirectory(logs);
  assert.ok(entry !== undefined);
  assert.deepEqual(entry.timestamp, new Date(START_MS));
  assert.equal(entry.source, "stderr");
  assert.equal(entry.sessionId, 12);
  assert.deepEqual(entry.data, bytes("oh\n"));
  assert.equal(entry.text(), "oh\n");
  assert.deepEqual(JSON.parse(JSON.stringify(entry)), {
    timestamp: "2026-01-31T12:00:00.000Z",
    source: "stderr",
    sessionId: 12,
    text: "oh\n",
    cursor: entry.cursor,
  });
});

test("readLogDirectory() includes rotated files, in order", async () => {
  using logs = testLogs();
  const written = oneASecond(logs);
  assert.deepEqual(texts(await readLogDirectory(logs)), written);
});

test("readLogDirectory() takes since as inclusive, until as exclusive, and tail last", async () => {
  using logs = testLogs();
  const written = oneASecond(logs);
  const at = (second: number) => new Date(START_MS + second * 1000);
  const read = async (options: LogReadOptions) => texts(await readLogDirectory(logs, options));
  assert.deepEqual(await read({ since: at(7) }), written.slice(7));
  assert.deepEqual(await read({ until: at(7) }), written.slice(0, 7));
  assert.deepEqual(await read({ since: at(7), until: at(30) }), written.slice(7, 30));
  assert.deepEqual(await read({ since: at(7), until: at(30), tail: 3 }), written.slice(27, 30));
  assert.deepEqual(await read({ until: at(30), tail: 100 }), written.slice(0, 30));
  assert.deepEqual(await read({ since: at(39).toISOString() }), written.slice(39));
  assert.deepEqual(await read({ since: at(40).getTime() }), []);
  assert.deepEqual(await read({ tail: 0 }), []);
});

test("readLogDirectory() with tail is the end of the same without, for every length and source", async () => {
  using logs = testLogs();
  oneASecond(logs);
  for (const sources of [["stdout"], ["stderr"], ["stdout", "stderr"]] as const) {
    const all = texts(await readLogDirectory(logs, { sources }));
    for (let tail = 0; tail <= all.length + 1; tail++) {
      assert.deepEqual(
        texts(await readLogDirectory(logs, { sources, tail })),
        tail === 0 ? [] : all.slice(-tail),
      );
    }
  }
});

test("readLogDirectory() finds since in every file at every second", async () => {
  using logs = testLogs();
  const writer = logs.writer({ maxFileBytes: 300_000 });
  const written: string[] = [];
  for (let second = 0; second < 60; second++) {
    logs.nowMs = START_MS + second * 1000;
    written.push(...appendMany(writer, `${second} ${"x".repeat(1000)} `, 20));
  }
  for (let second = -1; second <= 60; second++) {
    const since = START_MS + second * 1000;
    const found = texts(await readLogDirectory(logs, { since }));
    assert.deepEqual(found, written.slice(Math.max(0, second) * 20), `since second ${second}`);
  }
});

test("readLogDirectory() finds since in the last record of a file that lacks its line feed", async () => {
  using logs = testLogs();
  const writer = logs.writer();
  appendMany(writer, "early ", 2);
  logs.nowMs += 1000;
  appendMany(writer, "late ", 1);
  writer.close();
  truncateSync(logs.path("exec.log"), statSync(logs.path("exec.log")).size - 1);
  renameSync(logs.path("exec.log"), logs.path("exec.log.1"));
  using next = logs.writer();
  const written = appendMany(next, "next ", 1);
  for (const tail of [undefined, 9]) {
    const found = await readLogDirectory(logs, { since: logs.nowMs, tail });
    assert.deepEqual(texts(found), ["late 0\n", ...written]);
  }
});

test("readLogDirectory() leaves system out unless asked, and sorts it in by time", async () => {
  using logs = testLogs();
  const clock = () => logs.nowMs;
  using kernel = openTextLogWriter({ ...logs, clock, filename: "kernel.log" });
  using runtime = openTextLogWriter({ ...logs, clock, filename: "runtime.log" });
  using writer = logs.writer();
  const steps: (() => void)[] = [
    () => writer.system("--- sandbox started ---"),
    () => kernel.write(bytes("kernel 1\n")),
    () => writer.append("stdout", 1, bytes("out\n")),
    () => runtime.write(bytes("runtime\n")),
    () => kernel.write(bytes("kernel 2\n")),
  ];
  for (const step of steps) {
    logs.nowMs += 1000;
    step();
  }
  assert.deepEqual(texts(await readLogDirectory(logs)), ["out\n"]);
  const all = await readLogDirectory(logs, { sources: ["all"] });
  assert.deepEqual(texts(all), [
    "--- sandbox started ---\n",
    "kernel 1\n",
    "out\n",
    "runtime\n",
    "kernel 2\n",
  ]);
  for (const [index, entry] of all.entries()) {
    const rest = await collect(await logs.stream({ fromCursor: entry.cursor, sources: ["all"] }));
    assert.deepEqual(texts(rest).sort(), texts(all.slice(index + 1)).sort(), `after entry ${index}`);
  }
});

test("readLogDirectory() sorts files of another program strictly, and its cursors lose nothing", async () => {
  using logs = testLogs();
  mkdirSync(logs.directory, { recursive: true });
  const line = (second: number) =>
    `{"t":"2026-01-31T12:00:0${second}.000Z","s":"stdout","d":"${second}","id":1}\n`;
  writeFileSync(logs.path("exec.log.1"), line(1) + line(3) + line(2));
  writeFileSync(logs.path("exec.log"), line(5) + line(4));
  const entries = await readLogDirectory(logs);
  assert.deepEqual(texts(entries), ["1", "2", "3", "4", "5"]);
  for (const [index, entry] of entries.entries()) {
    const rest = texts(await collect(await logs.stream({ fromCursor: entry.cursor })));
    for (const later of entries.slice(index + 1))
      assert.ok(rest.includes(later.text()), `after ${entry.text()}`);
  }
});

test("readLogDirectorySnapshot() hands over to a stream: nothing lost, nothing twice", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024 });
  appendMany(writer, "before ", 20);
  for (const options of [
    {},
    { tail: 2 },
    { since: START_MS + 1 },
    { until: START_MS },
  ] satisfies LogReadOptions[]) {
    const { cursor } = await readLogDirectorySnapshot(logs, options);
    const added = appendMany(writer, "after ", 5);
    assert.deepEqual(texts(await collect(await logs.stream({ fromCursor: cursor }))), added);
  }
});

test("readLogDirectory() gives entries whose cursors continue exactly there", async () => {
  using logs = testLogs();
  const written = oneASecond(logs);
  for (const options of [{}, { tail: 10 }, { since: START_MS + 20_000 }] satisfies LogReadOptions[]) {
    for (const entry of await readLogDirectory(logs, options)) {
      const rest = texts(await collect(await logs.stream({ fromCursor: entry.cursor })));
      assert.deepEqual(rest, written.slice(written.indexOf(entry.text()) + 1));
    }
  }
});

test("readLogDirectory() reads a line of 64 MiB, forwards and backwards", async () => {
  using logs = testLogs();
  mkdirSync(logs.directory, { recursive: true });
  const line = (data: string) => `{"t":"2026-01-31T12:00:00.000Z","s":"stdout","d":"${data}","id":1}\n`;
  const sizeBytes = 64 * 1024 * 1024;
  writeFileSync(logs.path("exec.log"), [line("before"), line("x".repeat(sizeBytes)), line("after")].join(""));
  for (const options of [{}, { tail: 3 }] satisfies LogReadOptions[]) {
    const entries = await readLogDirectory(logs, options);
    assert.deepEqual(
      entries.map(({ data }) => data.length),
      [6, sizeBytes, 5],
    );
    assert.equal(entries[1]!.data[sizeBytes - 1], 0x78);
  }
});

test("readLogDirectory() keeps characters whole that lie across its reads", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const text = "€".repeat(20_000);
  for (let i = 0; i < 20; i++) writer.append("stdout", 1, bytes(text));
  const entries = await readLogDirectory(logs);
  assert.equal(texts(entries).join(""), text.repeat(20));
});

test("readLogDirectory() reads text logs without stamps at the time of the file, and with other stamps as they say", async () => {
  using logs = testLogs();
  mkdirSync(logs.directory, { recursive: true });
  writeFileSync(logs.path("kernel.log"), "[    0.000000] Linux version\nsecond line\n");
  writeFileSync(logs.path("runtime.log"), "2026-01-31T12:00:00.123456Z  INFO started\n");
  const entries = await readLogDirectory(logs, { sources: ["system"] });
  assert.deepEqual(texts(entries), ["INFO started\n", "[    0.000000] Linux version\n", "second line\n"]);
  assert.equal(entries[0]!.timestamp.getTime(), START_MS + 123);
});

test("readLogDirectory() passes over damaged lines", async () => {
  using logs = testLogs();
  const writer = logs.writer();
  appendMany(writer, "a", 2);
  writer.close();
  appendFileSync(logs.path("exec.log"), 'no json\n\n{"t":"x"}\n\0\0\0\n');
  using next = logs.writer();
  appendMany(next, "b", 1);
  assert.deepEqual(texts(await readLogDirectory(logs)), ["a0\n", "a1\n", "b0\n"]);
});

test("readLogDirectory() is refused without a directory or with a file that cannot be read", async () => {
  using logs = testLogs();
  await assert.rejects(readLogDirectory(logs), LogsUnavailableError);
  mkdirSync(logs.path("exec.log"), { recursive: true }); // reading a directory fails, for root as well
  await assert.rejects(readLogDirectory(logs), LogsUnavailableError);
  await assert.rejects(readLogDirectory(logs, { tail: 1 }), LogsUnavailableError);
  rmSync(logs.path("exec.log"), { recursive: true });
  assert.deepEqual(await readLogDirectory(logs), []);
});

test("readLogDirectory() refuses options that it cannot use, naming each", async () => {
  using logs = testLogs();
  logs.writer().close();
  const options = JSON.parse('{ "tail": -1, "since": "yesterday", "sources": ["stdin"], "follow": true }');
  await assert.rejects(readLogDirectory(logs, options), (error) => {
    assert.ok(error instanceof InvalidConfigError);
    assert.deepEqual(error.issues.map(({ field }) => field).sort(), ["follow", "since", "sources", "tail"]);
    return true;
  });
});

test("readLogDirectory() asked for no sources reads the default ones", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.system("system");
  writer.append("output", 1, bytes("tty"));
  assert.deepEqual(texts(await readLogDirectory(logs, { sources: [] })), ["tty"]);
});
