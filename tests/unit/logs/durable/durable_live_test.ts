import assert from "node:assert/strict";
import { systemClock } from "../../../../src/base/clock.ts";
import { AbortedError } from "../../../../src/base/errors.ts";
import { LONG_POLL_MS, SSE_KEEP_ALIVE_MS, SSE_SESSION_MS } from "../../../../src/logs/limits.ts";
import { feedOf } from "../../../../src/logs/log_stream.ts";
import { test } from "../../../support/harness.ts";
import { HeldTimer } from "../../../support/held_timer.ts";
import { serveWeb } from "../../../support/logs/web_server.ts";
import { appendMany, bytes, testLogs } from "../support.ts";
import { durableLog, nextOffset, parseEvents, type ReceivedEvent } from "./support.ts";

const TEXT = { contentType: "text/plain" };

/** Resolves once `timer` holds one that waits. */
async function untilHeld(timer: HeldTimer): Promise<void> {
  while (timer.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
}

/** Reads the events of an answer as they come. */
function eventsOf(response: Response) {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  return {
    /** The events of one piece; `undefined` at the end. */
    async next(): Promise<ReceivedEvent[] | undefined> {
      const { done, value } = await reader.read();
      return done ? undefined : parseEvents(decoder.decode(value));
    },
    cancel: () => reader.cancel(),
  };
}

function controlOf(events: readonly ReceivedEvent[] | undefined): Record<string, unknown> {
  const last = events?.at(-1);
  assert.equal(last?.name, "control");
  return JSON.parse(last.data);
}

test("logResponse() answers a long-poll with the next entry", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "old ", 1);
  const log = durableLog(logs, TEXT);
  using timer = new HeldTimer(LONG_POLL_MS);
  const answer = log.get("?offset=now&live=long-poll");
  await untilHeld(timer);
  appendMany(writer, "new ", 1);
  const response = await answer;
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "new 0\n");
  assert.match(response.headers.get("stream-cursor")!, /^\d+$/);
  assert.equal(timer.waiting, 0);
  assert.equal(await (await log.get(`?offset=${nextOffset(response)}`)).text(), "");
});

test("logResponse() answers a long-poll with 204 when its time is over, and the client goes on from there", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "old ", 1);
  const log = durableLog(logs, TEXT);
  const end = nextOffset(await log.get());
  using timer = new HeldTimer(LONG_POLL_MS);
  const answer = log.get(`?offset=${end}&live=long-poll`);
  await untilHeld(timer);
  timer.fire();
  const response = await answer;
  assert.equal(response.status, 204);
  assert.equal(nextOffset(response), end);
  assert.equal(response.headers.get("stream-up-to-date"), "true");
  assert.equal(response.headers.get("stream-closed"), null);
  assert.match(response.headers.get("stream-cursor")!, /^\d+$/);
  assert.equal(await log.opened.at(-1)!.recv(), null, "the log is closed");
  assert.ok(LONG_POLL_MS < 10_000, "Bun.serve cuts connections that are quiet for 10 s");
});

test("logResponse() ends a long-poll when the sandbox ends", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const log = durableLog(logs, TEXT);
  using timer = new HeldTimer(LONG_POLL_MS);
  const answer = log.get("?offset=now&live=long-poll");
  await untilHeld(timer);
  logs.terminal = true;
  writer.system("--- sandbox stopped ---");
  const response = await answer;
  assert.deepEqual([response.status, response.headers.get("stream-closed")], [204, "true"]);
});

test("logResponse() ends a long-poll when its client goes away, and closes the log", async () => {
  using logs = testLogs();
  logs.writer().close();
  const log = durableLog(logs, TEXT);
  using timer = new HeldTimer(LONG_POLL_MS);
  for (const when of ["while it waits", "before it begins"]) {
    const client = new AbortController();
    if (when === "before it begins") client.abort();
    const answer = log.get("?offset=now&live=long-poll", { signal: client.signal });
    if (when === "while it waits") await untilHeld(timer);
    client.abort();
    await answer;
    assert.equal(timer.waiting, 0, when);
    assert.equal(await log.opened.at(-1)!.recv(), null, when);
  }
});

test("logResponse() sends events: what is there, what comes, and that it is over", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "old ", 2);
  const log = durableLog(logs);
  const response = await log.get("?offset=-1&live=sse");
  const events = eventsOf(response);
  const first = (await events.next())!;
  assert.deepEqual(
    first.map(({ name }) => name),
    ["data", "control"],
  );
  assert.deepEqual(
    JSON.parse(first[0]!.data).map(({ d }: { d: string }) => d),
    ["old 0\n", "old 1\n"],
  );
  const { streamNextOffset, upToDate, streamCursor } = controlOf(first);
  assert.equal(upToDate, true);
  assert.match(String(streamCursor), /^\d+$/);
  appendMany(writer, "new ", 1);
  const second = (await events.next())!;
  assert.equal(JSON.parse(second[0]!.data)[0].d, "new 0\n");
  assert.ok(String(controlOf(second)["streamNextOffset"]) > String(streamNextOffset));
  logs.terminal = true;
  writer.system("--- sandbox stopped ---");
  const last = controlOf(await events.next());
  assert.deepEqual([last["streamClosed"], last["streamCursor"]], [true, undefined]);
  assert.equal(await events.next(), undefined);
  assert.equal(await log.opened.at(-1)!.recv(), null, "the log is closed");
  const rest = await log.get(`?offset=${streamNextOffset}`);
  assert.equal(((await rest.json()) as unknown[]).length, 1);
});

test("logResponse() sends text whose lines begin or end with anything as it is, but for carriage returns", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stdout", 1, bytes(" one\n  two\n\n:three\ndata: four\r\nfive\n"));
  const events = eventsOf(await durableLog(logs, TEXT).get("?offset=-1&live=sse"));
  const [data] = (await events.next())!;
  assert.equal(data!.data, " one\n  two\n\n:three\ndata: four\nfive\n");
  await events.cancel();
});

test("logResponse() keeps a quiet event stream alive with comments, and loses nothing then", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  using timer = new HeldTimer(SSE_KEEP_ALIVE_MS);
  const events = eventsOf(await durableLog(logs, TEXT).get("?offset=now&live=sse"));
  assert.equal(controlOf(await events.next())["upToDate"], true);
  for (let comment = 0; comment < 2; comment++) {
    const next = events.next();
    await untilHeld(timer);
    timer.fire();
    assert.deepEqual(
      (await next)?.map(({ name }) => name),
      [""],
    );
  }
  appendMany(writer, "new ", 1);
  assert.equal((await events.next())?.[0]?.data, "new 0\n");
  await events.cancel();
});

test("logResponse() ends an event stream after a minute, where its client goes on", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const log = durableLog(logs, TEXT);
  const events = eventsOf(await log.get("?offset=now&live=sse"));
  const { streamNextOffset, streamClosed } = controlOf(await events.next());
  assert.equal(streamClosed, undefined);
  const now = systemClock.now;
  systemClock.now = () => now() + SSE_SESSION_MS;
  try {
    assert.equal(await events.next(), undefined);
  } finally {
    systemClock.now = now;
  }
  assert.equal(await log.opened.at(-1)!.recv(), null, "the log is closed");
  appendMany(writer, "new ", 1);
  assert.equal(await (await log.get(`?offset=${streamNextOffset}`)).text(), "new 0\n");
});

test("logResponse() ends an event stream that fell behind, and tells its client on return", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 1 });
  appendMany(writer, "old ", 1);
  const log = durableLog(logs, TEXT);
  const events = eventsOf(await log.get("?offset=-1&live=sse"));
  let offset = controlOf(await events.next())["streamNextOffset"];
  appendMany(writer, "new ", 100);
  for (let more = await events.next(); more !== undefined; more = await events.next())
    offset = controlOf(more)["streamNextOffset"];
  const response = await log.get(`?offset=${offset}&live=sse`);
  assert.equal(response.status, 410);
});

test("logResponse() fails an event stream that is aborted or whose messages cannot be made, and closes the log", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const stop = new AbortController();
  const log = durableLog(logs, TEXT, { signal: stop.signal });
  const events = eventsOf(await log.get("?offset=now&live=sse"));
  await events.next();
  const next = events.next();
  stop.abort();
  await assert.rejects(next, AbortedError);
  appendMany(writer, "line ", 1);
  const broken = durableLog(logs, {
    toMessage: () => {
      throw new RangeError("not this one");
    },
  });
  await assert.rejects(eventsOf(await broken.get("?offset=-1&live=sse")).next(), RangeError);
  assert.equal(await broken.opened[0]!.recv(), null);
});

test("logResponse() closes the log when a client of a real server goes away, whatever it waits for", async () => {
  using logs = testLogs();
  logs.writer().close();
  const log = durableLog(logs, TEXT);
  await using server = serveWeb((request) =>
    log.get(new URL(request.url).search, { signal: request.signal }),
  );
  for (const [live, waitMs] of [
    ["sse", SSE_KEEP_ALIVE_MS],
    ["long-poll", LONG_POLL_MS],
  ] as const) {
    using timer = new HeldTimer(waitMs);
    const client = new AbortController();
    const answer = fetch(`${server.url}/?offset=now&live=${live}`, { signal: client.signal });
    if (live === "sse") await (await answer).body!.getReader().read();
    await untilHeld(timer);
    client.abort();
    await answer.catch(() => {});
    const feed = feedOf(log.opened.at(-1)!);
    while (!feed.isClosed) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(log.opened.length, 2);
});
