import assert from "node:assert/strict";
import { InvalidCursorError } from "../../../src/logs/errors.ts";
import { SSE_KEEP_ALIVE_MS } from "../../../src/logs/limits.ts";
import { toNdjson, toServerSentEvents } from "../../../src/logs/log_byte_stream.ts";
import { logResponse } from "../../../src/logs/log_response.ts";
import type { LogStream } from "../../../src/logs/log_stream.ts";
import { test } from "../../support/harness.ts";
import { appendMany, bytes, testLogs } from "./support.ts";

interface ServerSentEvent {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: Record<string, unknown>;
}

/** As a browser reads them. */
function parseEvents(text: string): ServerSentEvent[] {
  return text
    .split("\n\n")
    .filter((block) => block !== "" && !block.startsWith(":"))
    .map((block) => {
      const fields = new Map(
        block
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(": ") + 2)]),
      );
      return {
        id: fields.get("id"),
        event: fields.get("event"),
        data: JSON.parse(fields.get("data") ?? "null"),
      };
    });
}

function request(headers: Record<string, string> = {}): Request {
  return new Request("http://localhost/logs", { headers });
}

test("toServerSentEvents() sends each entry with its cursor as id, and says when it is over", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stdout", 3, bytes("two\nlines\n"));
  writer.append("stderr", 3, new Uint8Array([0xff]));
  const events = parseEvents(await new Response(toServerSentEvents(await logs.stream())).text());
  assert.deepEqual(
    events.map(({ data }) => data),
    [
      { t: "2026-01-31T12:00:00.000Z", s: "stdout", id: 3, d: "two\nlines\n" },
      { t: "2026-01-31T12:00:00.000Z", s: "stderr", id: 3, e: "b64", d: "/w==" },
      {},
    ],
  );
  assert.equal(events[2]!.event, "end");
  assert.ok(events[0]!.id !== undefined && events[0]!.id !== events[1]!.id);
});

test("logResponse() continues after Last-Event-ID, as EventSource asks for when it reconnects", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "line ", 5);
  const open = (fromCursor: string | undefined) => logs.stream({ fromCursor });
  const response = await logResponse(request(), open);
  assert.equal(response.headers.get("content-type"), "text/event-stream");
  const events = parseEvents(await response.text());
  assert.equal(events.length, 6);
  const again = parseEvents(
    await (await logResponse(request({ "last-event-id": events[2]!.id! }), open)).text(),
  );
  assert.deepEqual(again, events.slice(3));
});

test("logResponse() sends NDJSON to those who accept it", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "line ", 2);
  const response = await logResponse(request({ accept: "application/x-ndjson" }), (fromCursor) =>
    logs.stream({ fromCursor }),
  );
  assert.equal(response.headers.get("content-type"), "application/x-ndjson");
  const lines = (await response.text())
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ d }) => d),
    ["line 0\n", "line 1\n"],
  );
  const rest = await new Response(toNdjson(await logs.stream({ fromCursor: lines[0].cursor }))).text();
  assert.equal(rest.trimEnd(), JSON.stringify(lines[1]));
});

test("logResponse() reports what a client that reconnects too late has missed, and continues with the rest", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 1 });
  appendMany(writer, "old ", 1);
  const open = (fromCursor: string | undefined) => logs.stream({ fromCursor });
  const [old] = parseEvents(await (await logResponse(request(), open)).text());
  const written = appendMany(writer, "new ", 100);
  const events = parseEvents(await (await logResponse(request({ "last-event-id": old!.id! }), open)).text());
  assert.equal(events[0]!.event, "missedRotation");
  assert.ok(Number(events[0]!.data["lostGenerations"]) > 1);
  const rest = events.slice(1, -1).map(({ data }) => data["d"]);
  assert.ok(rest.length > 0);
  assert.deepEqual(rest, written.slice(-rest.length));
  const [resumed] = parseEvents(
    await (await logResponse(request({ "last-event-id": events[0]!.id! }), open)).text(),
  );
  assert.equal(resumed!.data["d"], rest[0]);
});

test("logResponse() rejects when Last-Event-ID is no cursor", async () => {
  using logs = testLogs();
  logs.writer().close();
  const open = (fromCursor: string | undefined) => logs.stream({ fromCursor });
  await assert.rejects(logResponse(request({ "last-event-id": "made-up" }), open), InvalidCursorError);
});

test("toServerSentEvents() sends something at once, and soon again, while the log is quiet, and loses nothing then", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const stream = await logs.stream({ follow: true });
  const recv = stream.recv.bind(stream);
  const receiving: Promise<unknown>[] = [];
  stream.recv = () => {
    const entry = recv();
    receiving.push(entry);
    return entry;
  };
  const reader = toServerSentEvents(stream).getReader();
  const read = async () => new TextDecoder().decode((await reader.read()).value);
  for (const comment of [await read(), await read()]) assert.match(comment, /^:.*\n\n$/);
  assert.ok(SSE_KEEP_ALIVE_MS < 10_000, "Bun.serve cuts connections that are quiet for 10 s");
  const written = appendMany(writer, "after the comment ", 2);
  assert.equal(receiving.length, 1);
  await receiving[0]; // before the client asks for more
  const events = parseEvents((await read()) + (await read()));
  assert.deepEqual(
    events.map(({ data }) => data["d"]),
    written,
  );
  await reader.cancel();
});

test("logResponse() closes a stream that it was reopening when the client went away", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 1 });
  appendMany(writer, "held ", 1);
  const streams: LogStream[] = [];
  const [reopening, mayReopen] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const response = await logResponse(request({ accept: "application/x-ndjson" }), async (fromCursor) => {
    if (streams.length > 0) {
      reopening.resolve();
      await mayReopen.promise;
    }
    const stream = await logs.stream({ fromCursor, follow: true });
    streams.push(stream);
    return stream;
  });
  const reader = response.body!.getReader();
  await reader.read();
  appendMany(writer, "new ", 100);
  const waiting = (async () => {
    while (!(await reader.read()).done);
  })();
  await reopening.promise;
  await reader.cancel();
  await waiting;
  mayReopen.resolve();
  while (streams.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await streams[1]!.recv(), null);
});

test("toServerSentEvents() closes the stream when the client goes away", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "line ", 1);
  const stream = await logs.stream({ follow: true });
  const reader = toServerSentEvents(stream).getReader();
  await reader.read();
  const waiting = reader.read();
  await reader.cancel();
  await waiting;
  assert.equal(await stream.recv(), null);
});
