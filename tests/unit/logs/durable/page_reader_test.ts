import assert from "node:assert/strict";
import { AbortedError } from "../../../../src/base/errors.ts";
import { PageReader } from "../../../../src/logs/durable/page_reader.ts";
import type { StartPlace } from "../../../../src/logs/durable/request.ts";
import { MissedRotationError } from "../../../../src/logs/errors.ts";
import { PAGE_ENTRIES_MAX } from "../../../../src/logs/limits.ts";
import { feedOf, type LogStream, openLogStream } from "../../../../src/logs/log_stream.ts";
import { test } from "../../../support/harness.ts";
import { appendMany, bytes, openFiles, type TestLogs, testLogs, texts } from "../support.ts";
import { durableLog, nextOffset } from "./support.ts";

/** Opens `logs`, and does `between` once: after the first opening, before anything is read. */
function opener(logs: TestLogs, between: (stream: LogStream) => void) {
  let isFirst = true;
  return async (fromCursor: string | undefined) => {
    const stream = await logs.stream({ follow: true, fromCursor });
    if (isFirst) between(stream);
    isFirst = false;
    return stream;
  };
}

test("PageReader.firstPage() has what was written while it asked whether the log is closed", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "before ", 1);
  const isTerminal = async () => {
    appendMany(writer, "last ", 1);
    return true;
  };
  const open = (fromCursor: string | undefined) =>
    openLogStream({ ...logs, isTerminal }, { follow: true, fromCursor });
  await using reader = await PageReader.open(open, "start");
  const page = await reader.firstPage();
  assert.deepEqual(texts(page.entries), ["before 0\n", "last 0\n"]);
  assert.deepEqual([page.isUpToDate, page.isClosed], [true, true]);
});

test("PageReader.firstPage() ends a page before a loss, and the next one begins with it", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 1 });
  appendMany(writer, "held ", 1);
  const open = opener(logs, () => appendMany(writer, "new ", 100));
  await using reader = await PageReader.open(open, "start");
  const page = await reader.firstPage();
  assert.equal(page.entries[0]!.text(), "held 0\n");
  assert.deepEqual([page.isUpToDate, page.isClosed], [false, false]);
  await assert.rejects(reader.nextPage(), MissedRotationError);
});

test("PageReader.openWithPage() begins again where the beginning was lost before it was read", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 1 });
  writer.system("of no interest".padEnd(900)); // fills the file
  const streams: LogStream[] = [];
  const open = opener(logs, (stream) => {
    streams.push(stream);
    appendMany(writer, "new ", 100);
  });
  const { reader, page } = await PageReader.openWithPage(open, "start");
  await using _reader = reader;
  assert.equal(page.entries.at(-1)!.text(), "new 99\n");
  assert.equal(await streams[0]!.recv(), null, "the first is closed");
});

test("PageReader throws after an abort, also where entries are left, and opens nothing again", async () => {
  using logs = testLogs();
  const writer = logs.writer();
  for (let index = 0; index <= PAGE_ENTRIES_MAX; index++) writer.append("stdout", 1, bytes("."));
  writer.close();
  for (const place of ["start", "now"] satisfies StartPlace[]) {
    const stop = new AbortController();
    const open = () => logs.stream({ follow: true, signal: stop.signal });
    await using reader = await PageReader.open(open, place);
    await reader.nextPage();
    stop.abort();
    await assert.rejects(reader.nextPage(), AbortedError);
    await assert.rejects(reader.more(), AbortedError);
  }
  assert.deepEqual(openFiles(logs), []);
});

test("logResponse() tells of the end at which it looked, though entries come at that moment", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "old ", 1);
  logs.terminal = true;
  const end = nextOffset(await durableLog(logs).get());
  const stream = async (options: Parameters<TestLogs["stream"]>[0]) => {
    const opened = await logs.stream(options);
    const feed = feedOf(opened);
    const skipToEnd = feed.skipToEnd.bind(feed);
    feed.skipToEnd = async () => {
      await skipToEnd();
      appendMany(writer, "late ", 1);
    };
    return opened;
  };
  const response = await durableLog({ ...logs, stream }, { contentType: "text/plain" }).get("?offset=now");
  assert.equal(await response.text(), "");
  assert.equal(nextOffset(response), end);
  assert.equal(response.headers.get("stream-closed"), null);
  assert.equal(
    await (await durableLog(logs, { contentType: "text/plain" }).get(`?offset=${end}`)).text(),
    "late 0\n",
  );
});
