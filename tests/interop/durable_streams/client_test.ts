/** The protocol's own client reads a log: every way in which it goes on, until the sandbox has ended. @module */
import assert from "node:assert/strict";
import { FetchError, stream } from "@durable-streams/client";
import { test } from "../../support/harness.ts";
import { serveWeb } from "../../support/logs/web_server.ts";
import { durableLog } from "../../unit/logs/durable/support.ts";
import { appendMany, testLogs } from "../../unit/logs/support.ts";

interface Message {
  readonly d: string;
}

for (const live of [true, "long-poll", "sse"] as const) {
  test(`logResponse() serves the protocol's client with live: ${live}, each entry once, to the end`, async () => {
    using logs = testLogs();
    using writer = logs.writer({ maxFileBytes: 4096, rotatedFilesMax: 9 });
    const log = durableLog(logs, { defaultFormat: undefined });
    await using server = serveWeb((request) =>
      log.get(new URL(request.url).search, { signal: request.signal }),
    );
    const written = appendMany(writer, "old ", 50);
    const response = await stream<Message>({ url: server.url, offset: "-1", live });
    const received: string[] = [];
    response.subscribeJson(async ({ items, upToDate }) => {
      received.push(...items.map(({ d }) => d));
      if (!upToDate || received.length < written.length) return;
      if (written.length < 150) return void written.push(...appendMany(writer, "new ", 50));
      writer.system("--- sandbox stopped ---");
      logs.terminal = true;
    });
    await response.closed;
    assert.deepEqual(received, written);
  });
}

test("logResponse() serves the protocol's client with bytes, from any offset that it had", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const log = durableLog(logs, { contentType: "text/plain" });
  await using server = serveWeb((request) => log.get(new URL(request.url).search));
  appendMany(writer, "old ", 2);
  const first = await stream({ url: server.url, live: false });
  assert.equal(await first.text(), "old 0\nold 1\n");
  appendMany(writer, "new ", 2);
  const second = await stream({ url: server.url, offset: first.offset, live: false });
  assert.equal(await second.text(), "new 0\nnew 1\n");
});

test("logResponse() tells the protocol's client what it has missed", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 1 });
  const log = durableLog(logs);
  await using server = serveWeb((request) => log.get(new URL(request.url).search));
  appendMany(writer, "old ", 1);
  const first = await stream<Message>({ url: server.url, live: false });
  await first.json();
  const written = appendMany(writer, "new ", 100);
  const failure = await stream({ url: server.url, offset: first.offset, live: false }).catch(
    (error) => error,
  );
  assert.ok(failure instanceof FetchError && failure.status === 410);
  const { nextOffset } = failure.json as { nextOffset: string };
  const rest = await (await stream<Message>({ url: server.url, offset: nextOffset, live: false })).json();
  assert.deepEqual(
    rest.map(({ d }) => d),
    written.slice(-rest.length),
  );
});
