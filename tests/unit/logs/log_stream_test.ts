import assert from "node:assert/strict";
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { AbortedError } from "../../../src/base/errors.ts";
import { decodeCursor, encodeCursor } from "../../../src/logs/cursor.ts";
import { InvalidCursorError, MissedRotationError } from "../../../src/logs/errors.ts";
import type { LogStream } from "../../../src/logs/log_stream.ts";
import { test } from "../../support/harness.ts";
import { appendMany, bytes, collect, openFiles, type TestLogs, take, testLogs, texts } from "./support.ts";

/** Fills a file of 1 KiB and begins the next. */
function rotate(logs: TestLogs, writer: ReturnType<TestLogs["writer"]>, name: string): string[] {
  const written: string[] = [];
  const before = statSync(logs.path("exec.log")).ino;
  while (statSync(logs.path("exec.log")).ino === before)
    written.push(...appendMany(writer, `${name}.${written.length}.`, 1));
  return written;
}

const linuxOnly = { skip: process.platform === "linux" ? undefined : "looks into /proc" };

test("LogStream ends without follow at what was there when it was opened", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024 });
  const written = appendMany(writer, "there ", 20);
  const stream = await logs.stream();
  appendMany(writer, "later ", 20);
  assert.deepEqual(texts(await collect(stream)), written);
});

test("LogStream follows over rotations", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024 });
  await using stream = await logs.stream({ follow: true });
  for (let round = 0; round < 20; round++) {
    const written = appendMany(writer, `round ${round} `, 7);
    assert.deepEqual(texts(await take(stream, written.length)), written);
  }
});

test("LogStream reads what was appended to the old file between its last read and the rotation", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024 });
  await using stream = await logs.stream({ follow: true });
  const first = appendMany(writer, "first ", 1);
  assert.deepEqual(texts(await take(stream, 1)), first);
  const unread = [...rotate(logs, writer, "a"), ...appendMany(writer, "end ", 1)];
  assert.deepEqual(texts(await take(stream, unread.length)), unread);
});

test("LogStream survives two and three rotations between two reads", async () => {
  for (const rotations of [2, 3]) {
    using logs = testLogs();
    using writer = logs.writer({ maxFileBytes: 1024 });
    appendMany(writer, "first ", 2);
    await using stream = await logs.stream({ follow: true });
    await take(stream, 1);
    const unread = ["first 1\n"];
    for (let i = 0; i < rotations; i++) unread.push(...rotate(logs, writer, `r${i}`));
    assert.deepEqual(texts(await take(stream, unread.length)), unread);
  }
});

test("LogStream that is opened in the middle of a rotation sees all of it", async () => {
  using logs = testLogs();
  const writer = logs.writer({ maxFileBytes: 1024 });
  const written = [...rotate(logs, writer, "a"), ...appendMany(writer, "b", 2)];
  writer.close();
  renameSync(logs.path("exec.log.1"), logs.path("exec.log.2"));
  renameSync(logs.path("exec.log"), logs.path("exec.log.1"));
  await using stream = await logs.stream({ follow: true });
  assert.deepEqual(texts(await take(stream, written.length)), written);
  using next = logs.writer({ maxFileBytes: 1024 });
  const more = appendMany(next, "c", 2);
  assert.deepEqual(texts(await take(stream, 2)), more);
});

test("LogStream drains the file that it holds though it was removed, and then counts what is lost", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 2 });
  appendMany(writer, "held ", 3);
  await using stream = await logs.stream({ follow: true });
  await take(stream, 1);
  const rotated = Array.from({ length: 5 }, (_, index) => rotate(logs, writer, `r${index}`));
  const [rest = []] = rotated; // written to the held file, but for the record that began the next one
  assert.deepEqual(texts(await take(stream, 2 + rest.length - 1)), [
    "held 1\n",
    "held 2\n",
    ...rest.slice(0, -1),
  ]);
  const missed = await stream.recv().catch((error: unknown) => error);
  assert.ok(missed instanceof MissedRotationError);
  assert.equal(missed.code, "missedRotation");
  assert.equal(missed.lostGenerations, 2); // of generations 2 to 6, the newest three are retained
  const left = texts(await collect(await logs.stream({ fromCursor: missed.cursor })));
  assert.ok(left.length > 0);
  assert.deepEqual(left, rotated.flat().slice(-left.length));
});

test("openLogStream() reports the loss when the cursor's file is gone, though a new one has its inode", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 1 });
  appendMany(writer, "first ", 2);
  const [entry] = await collect(await logs.stream());
  const { ino } = statSync(logs.path("exec.log"));
  linkSync(logs.path("exec.log"), logs.path("kept"));
  for (let i = 0; i < 8; i++) rotate(logs, writer, `r${i}`);
  // Whether a file system gives out an inode again is its own affair: here the live file gets that of the first.
  copyFileSync(logs.path("exec.log"), logs.path("kept"));
  renameSync(logs.path("kept"), logs.path("exec.log"));
  assert.equal(statSync(logs.path("exec.log")).ino, ino);
  await assert.rejects(
    logs.stream({ fromCursor: entry!.cursor }),
    (error) => error instanceof MissedRotationError && error.lostGenerations === 7,
  );
});

test("openLogStream() knows that nothing is lost when the cursor stood at the end of a file that is gone", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 1 });
  const written = rotate(logs, writer, "a");
  const entries = await collect(await logs.stream());
  const lastOfFirst = entries[written.length - 2]!;
  const more = rotate(logs, writer, "b"); // removes the first file
  assert.deepEqual(readdirSync(logs.directory).sort(), ["exec.log", "exec.log.1"]);
  const rest = texts(await collect(await logs.stream({ fromCursor: lastOfFirst.cursor })));
  assert.deepEqual(rest, [written.at(-1), ...more]);
  await assert.rejects(logs.stream({ fromCursor: entries[0]!.cursor }), MissedRotationError);
});

test("LogStream continues after any entry, whatever sources the two readings asked for", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024 });
  for (let i = 0; i < 30; i++) writer.append(i % 3 === 0 ? "stderr" : "stdout", 1, bytes(`${i}\n`));
  for (const entry of await collect(await logs.stream({ sources: ["stderr"] }))) {
    const rest = texts(await collect(await logs.stream({ fromCursor: entry.cursor, sources: ["all"] })));
    const first = Number(entry.text()) + 1;
    assert.deepEqual(
      rest,
      Array.from({ length: 30 - first }, (_, index) => `${first + index}\n`),
    );
  }
});

test("openLogStream() refuses cursors that are damaged, foreign, or point where no entry ends", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "entry ", 2);
  const { cursor } = (await collect(await logs.stream()))[0]!;
  const position = decodeCursor(cursor, logs.sandboxId).get(1)!;
  const at = (generation: number, offsetBytes: number) =>
    encodeCursor(logs.sandboxId, new Map([[1, { generation, offsetBytes }]]));
  for (const [bad, reason] of [
    ["", "length"],
    [cursor.slice(0, -3), "checksum"],
    [encodeCursor("another sandbox", new Map()), "sandbox"],
    ["x".repeat(1_000_000), "tooLong"],
    [at(position.generation, position.offsetBytes - 1), "position"],
    [at(position.generation, 1_000_000), "position"],
    [at(position.generation + 1, 0), "position"],
  ] as const) {
    await assert.rejects(
      logs.stream({ fromCursor: bad }),
      (error) => error instanceof InvalidCursorError && error.reason === reason,
      reason,
    );
  }
  assert.deepEqual(openFiles(logs), [logs.path("exec.log")]); // the writer's
});

test("LogStream waits for a record whose end has not been written yet", async () => {
  using logs = testLogs();
  const writer = logs.writer();
  appendMany(writer, "whole ", 1);
  writer.close();
  const content = readFileSync(logs.path("exec.log"), "utf8");
  const record = content.trimEnd().split("\n")[1]!.replace("whole 0", "torn");
  writeFileSync(logs.path("exec.log"), content + record.slice(0, 40));
  await using stream = await logs.stream({ follow: true });
  await take(stream, 1);
  const next = stream.recv();
  writeFileSync(logs.path("exec.log"), `${record.slice(40)}\n`, { flag: "a" });
  assert.equal((await next)?.text(), "torn\n");
});

test("LogStream hands out a last line without its end before it tells of files that are gone", async () => {
  using logs = testLogs();
  const small = { maxFileBytes: 1024, rotatedFilesMax: 1 };
  const killed = logs.writer(small);
  appendMany(killed, "whole ", 1);
  killed.close();
  const content = readFileSync(logs.path("exec.log"), "utf8");
  const record = content.trimEnd().split("\n")[1]!.replace("whole 0", "torn ".repeat(150));
  writeFileSync(logs.path("exec.log"), content + record);
  await using stream = await logs.stream({ follow: true });
  await take(stream, 1);
  using writer = logs.writer(small);
  for (let file = 2; file <= 4; file++) writer.append("stdout", 1, bytes(`${"x".repeat(800)}\n`));
  assert.match((await stream.recv())?.text() ?? "", /^torn torn/);
  await assert.rejects(stream.recv(), { code: "missedRotation", lostGenerations: 1 });
});

test("LogStream stays asleep until the log directory gets its first file", async () => {
  using logs = testLogs();
  mkdirSync(logs.directory, { recursive: true });
  await using stream = await logs.stream({ follow: true });
  const next = stream.recv();
  using writer = logs.writer();
  appendMany(writer, "first ", 1);
  assert.equal((await next)?.text(), "first 0\n");
});

test("LogStream is a ReadableStream: readers, pipes and tee work, and reading locks it", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const written = appendMany(writer, "a", 5);
  const reader = (await logs.stream()).getReader();
  const read: string[] = [];
  for (let step = await reader.read(); !step.done; step = await reader.read()) read.push(step.value.text());
  assert.deepEqual(read, written);
  const [left, right] = (await logs.stream()).tee();
  assert.deepEqual(texts(await collect(left)), texts(await collect(right)));
  const stream = await logs.stream();
  const iterator = stream[Symbol.asyncIterator]();
  assert.ok(stream.locked);
  await assert.rejects(stream.recv(), TypeError);
  await iterator.return?.();
  assert.ok(!stream.locked);
});

test("LogStream.recv() answers null at the end, and again", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "a", 1);
  const stream = await logs.stream();
  assert.equal((await stream.recv())?.text(), "a0\n");
  assert.equal(await stream.recv(), null);
  assert.equal(await stream.recv(), null);
});

test(
  "LogStream gives back its files at the end, on cancel, break, dispose, abort and failure, also while it waits",
  async () => {
    using logs = testLogs();
    const writer = logs.writer();
    appendMany(writer, "a", 3);
    writer.close();
    const stop = new AbortController();
    const ways: ((stream: LogStream) => Promise<unknown>)[] = [
      (stream) => stream.cancel(),
      (stream) => stream[Symbol.asyncDispose](),
      async (stream) => {
        for await (const _ of stream) break;
      },
      async (stream) => {
        await take(stream, 3);
        const waiting = stream.recv();
        await stream.cancel();
        assert.equal(await waiting, null);
      },
      async (stream) => {
        await take(stream, 3);
        const waiting = stream.recv();
        stop.abort(new Error("enough"));
        await assert.rejects(waiting, AbortedError);
        await stream[Symbol.asyncDispose]();
      },
    ];
    for (const [index, way] of ways.entries()) {
      await way(await logs.stream({ follow: true, signal: stop.signal }));
      assert.deepEqual(openFiles(logs), [], `way ${index}`);
    }
    await collect(await logs.stream());
    assert.deepEqual(openFiles(logs), []);
  },
  linuxOnly,
);

test("openLogStream() refuses an aborted signal, and an abort fails every way of reading", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "a", 3);
  await assert.rejects(logs.stream({ signal: AbortSignal.abort() }), AbortedError);
  const stop = new AbortController();
  const iterated = collect(await logs.stream({ follow: true, signal: stop.signal }));
  const reader = (await logs.stream({ follow: true, signal: stop.signal })).getReader();
  for (let i = 0; i < 3; i++) await reader.read();
  const waiting = reader.read();
  stop.abort();
  await assert.rejects(iterated, AbortedError);
  await assert.rejects(waiting, AbortedError);
});

test(
  "LogStream has one watcher for a directory, however many follow, and none when all have gone",
  async () => {
    using logs = testLogs();
    using writer = logs.writer();
    appendMany(writer, "a", 1);
    const inotifyCount = () =>
      readdirSync("/proc/self/fd").filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).includes("inotify");
        } catch {
          return false;
        }
      }).length;
    const before = inotifyCount();
    const streams = await Promise.all(Array.from({ length: 500 }, () => logs.stream({ follow: true })));
    await Promise.all(streams.map((stream) => take(stream, 1)));
    const waiting = streams.map((stream) => stream.recv());
    assert.ok(inotifyCount() <= before + 1, `${inotifyCount()} inotify instances, ${before} before`);
    appendMany(writer, "for all ", 1);
    for (const entry of await Promise.all(waiting)) assert.equal(entry?.text(), "for all 0\n");
    await Promise.all(streams.map((stream) => stream.cancel()));
    assert.deepEqual(openFiles(logs), [logs.path("exec.log")]);
  },
  linuxOnly,
);
