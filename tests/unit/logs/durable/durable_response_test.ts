import assert from "node:assert/strict";
import { AbortedError, InvalidConfigError } from "../../../../src/base/errors.ts";
import {
  CONTENT_TYPE_CHARS_MAX,
  PAGE_BYTES_MAX,
  PAGE_ENTRIES_MAX,
  QUERY_CHARS_MAX,
} from "../../../../src/logs/limits.ts";
import { type LogResponseOptions, logResponse } from "../../../../src/logs/log_response.ts";
import { openLogStream } from "../../../../src/logs/log_stream.ts";
import type { LogStreamOptions } from "../../../../src/logs/types.ts";
import { SandboxNotFoundError } from "../../../../src/state/errors.ts";
import { test } from "../../../support/harness.ts";
import { appendMany, bytes, testLogs } from "../support.ts";
import { durableLog, nextOffset, readPages } from "./support.ts";

const BINARY = { contentType: "application/octet-stream" };

async function statusOf(response: Promise<Response>): Promise<number> {
  return (await response).status;
}

/** The messages of a page in JSON. */
async function messagesOf(response: Promise<Response>): Promise<{ e?: string; cursor?: string }[]> {
  return (await (await response).json()) as { e?: string; cursor?: string }[];
}

/** Why there is no page. */
async function refusalOf(
  response: Response,
): Promise<{ code: string; lostGenerations?: number; nextOffset?: string }> {
  return (await response.json()) as { code: string; lostGenerations?: number; nextOffset?: string };
}

test("logResponse() chooses the format by what the request says, and by defaultFormat where it says nothing", async () => {
  using logs = testLogs();
  logs.writer().close();
  const typeOf = async (query: string, init: RequestInit, options: LogResponseOptions) => {
    const response = await durableLog(logs, options).get(query, init);
    await response.body?.cancel();
    return response.headers.get("content-type");
  };
  const json = "application/json";
  const sse = "text/event-stream";
  const ndjson = "application/x-ndjson";
  const rows: [string, RequestInit, string, string][] = [
    ["", {}, sse, json],
    ["?other=1", {}, sse, json],
    ["", { headers: { accept: "*/*" } }, sse, json],
    ["", { headers: { accept: sse } }, sse, sse],
    ["", { headers: { accept: ndjson } }, ndjson, ndjson],
    ["", { headers: { "last-event-id": "" } }, sse, sse],
    ["?offset=-1", {}, json, json],
    ["?offset=-1", { headers: { accept: ndjson } }, json, json],
    ["?offset=-1&live=sse", { headers: { accept: ndjson } }, sse, sse],
    ["", { method: "HEAD" }, json, json],
  ];
  for (const [query, init, plain, durable] of rows) {
    const row = JSON.stringify([query, init]);
    assert.equal(await typeOf(query, init, { defaultFormat: undefined }), plain, row);
    assert.equal(await typeOf(query, init, {}), durable, row);
  }
  assert.equal(await typeOf("", {}, { defaultFormat: "ndjson" }), ndjson);
});

test("logResponse() has an object for each entry in JSON, whose cursor is an offset", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stdout", 3, bytes("one\n"));
  writer.append("stderr", 3, new Uint8Array([0xff]));
  const log = durableLog(logs);
  const [first, second] = await messagesOf(log.get());
  const { cursor, ...record } = first!;
  assert.deepEqual(record, { t: "2026-01-31T12:00:00.000Z", s: "stdout", id: 3, d: "one\n" });
  assert.equal(second!.e, "b64");
  assert.deepEqual(await messagesOf(log.get(`?offset=${cursor}`)), [second]);
});

test("logResponse() takes the messages from toMessage, and leaves out those that are undefined", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "line ", 4);
  const log = durableLog(logs, {
    toMessage: (entry) => (/[13]/.test(entry.text()) ? { text: entry.text() } : undefined),
  });
  assert.deepEqual(await (await log.get()).json(), [{ text: "line 1\n" }, { text: "line 3\n" }]);
});

test("logResponse() has the bytes of the programs in any other type, in pages that end between entries", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const log = durableLog(logs, BINARY);
  const half = new Uint8Array(PAGE_BYTES_MAX / 2).fill(0xfe);
  writer.append("stdout", 1, half);
  writer.append("stdout", 1, half);
  assert.deepEqual(
    (await readPages(log)).map(({ length }) => length),
    [PAGE_BYTES_MAX, 0],
    "a page that is full does not know whether there is more",
  );
  writer.append("stdout", 1, new Uint8Array([0x00, 0xff]));
  const pages = await readPages(log);
  assert.deepEqual(
    pages.map(({ length }) => length),
    [PAGE_BYTES_MAX, 2],
  );
  assert.deepEqual(pages[1], new Uint8Array([0x00, 0xff]));
});

test("logResponse() ends a page after so many entries, however short they are", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  for (let index = 0; index <= PAGE_ENTRIES_MAX; index++) writer.append("stdout", 1, bytes("."));
  const pages = await readPages(durableLog(logs, BINARY));
  assert.deepEqual(
    pages.map(({ length }) => length),
    [PAGE_ENTRIES_MAX, 1],
  );
});

test("logResponse() goes on after a page over all files, and repeats and loses nothing", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 300_000, rotatedFilesMax: 9 });
  const text = appendMany(writer, "a line that is repeated, with the number ", 20_000).join("");
  const pages = await readPages(durableLog(logs, { contentType: "text/plain" }));
  assert.ok(pages.length > 4);
  assert.equal(Buffer.concat(pages).toString(), text);
});

test("logResponse() refuses what the protocol does not have, with 400", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "line ", 1);
  const log = durableLog(logs);
  const offset = nextOffset(await log.get());
  const refused = [
    "?offset=",
    "?offset=made-up",
    "?offset=-2",
    "?offset=NOW",
    `?offset=${offset}0`,
    `?offset=${offset}&offset=${offset}`,
    "?live=sse",
    "?live=long-poll",
    "?offset=-1&live=",
    "?offset=-1&live=none",
    "?offset=-1&live=sse&live=sse",
    "?offset=-1&live=long-poll&cursor=",
    "?offset=-1&live=long-poll&cursor=-1",
    "?offset=-1&live=long-poll&cursor=1e3",
    `?offset=-1&cursor=${"1".repeat(16)}`,
    "?offset=-1&cursor=1&cursor=2",
    `?offset=-1&x=${"x".repeat(QUERY_CHARS_MAX)}`,
  ];
  for (const query of refused) {
    const response = await log.get(query);
    assert.equal(response.status, 400, query.slice(0, 80));
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.equal(typeof (await refusalOf(response)).code, "string");
  }
  const allowed = "?offset=-1&x=";
  assert.equal(await statusOf(log.get(allowed.padEnd(QUERY_CHARS_MAX, "x"))), 200, "at the limit");
});

test("logResponse() refuses an offset that is none of this log's places", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "line ", 3);
  const log = durableLog(logs);
  const ahead = nextOffset(await log.get());
  using shorter = testLogs();
  shorter.writer().close();
  assert.equal(await statusOf(durableLog(shorter).get(`?offset=${ahead}`)), 400);
});

test("logResponse() answers 410 for what another sandbox of the same name has written", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "line ", 1);
  const offset = nextOffset(await durableLog(logs).get());
  const { directory, isTerminal } = logs;
  const replaced = durableLog({
    ...logs,
    stream: (options) => openLogStream({ directory, isTerminal, sandboxId: "another" }, options),
  });
  const response = await replaced.get(`?offset=${offset}`);
  assert.equal(response.status, 410);
  assert.equal((await refusalOf(response)).code, "invalidCursor");
});

test("logResponse() answers 410 when entries are gone, and says where the rest begins", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 1 });
  appendMany(writer, "old ", 1);
  const log = durableLog(logs, { contentType: "text/plain" });
  const old = nextOffset(await log.get());
  const written = appendMany(writer, "new ", 100).join("");
  for (const query of [`?offset=${old}`, `?offset=${old}&live=long-poll`, `?offset=${old}&live=sse`]) {
    const response = await log.get(query);
    assert.equal(response.status, 410, query);
    const { code, lostGenerations, nextOffset: rest } = await refusalOf(response);
    assert.equal(code, "missedRotation");
    assert.ok(lostGenerations! > 1);
    assert.equal(nextOffset(response), rest);
    const text = await (await log.get(`?offset=${rest}`)).text();
    assert.ok(text.length > 0 && written.endsWith(text));
    assert.equal(
      await (await log.get("?offset=-1")).text(),
      text,
      "the beginning is the oldest that is left",
    );
  }
});

test("logResponse() answers 404 where there is no sandbox, and throws what is no client's fault", async () => {
  const absent = () => Promise.reject(new SandboxNotFoundError("web"));
  for (const method of ["GET", "HEAD"]) {
    const response = await logResponse(new Request("http://localhost/?offset=-1", { method }), absent);
    assert.equal(response.status, 404);
    assert.equal((await response.text()) === "", method === "HEAD");
  }
  const broken = () => Promise.reject(new InvalidConfigError([{ field: "sources", problem: "is wrong" }]));
  await assert.rejects(logResponse(new Request("http://localhost/?offset=-1"), broken), InvalidConfigError);
});

test("logResponse() only reads: other methods get 405", async () => {
  using logs = testLogs();
  const response = await durableLog(logs).get("", { method: "POST", body: "x" });
  assert.equal(response.status, 405);
  assert.equal(response.headers.get("allow"), "GET, HEAD");
});

test("logResponse() answers 304 to a client that has the page, and not after anything has changed", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "line ", 1);
  const log = durableLog(logs);
  const etag = (await log.get()).headers.get("etag")!;
  const again = (known: string) => log.get("", { headers: { "if-none-match": known } });
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
    const response = await again(known);
    assert.equal(response.status, 304, known);
    assert.equal(response.body, null);
    assert.equal(response.headers.get("etag"), etag);
  }
  assert.equal(await statusOf(again('"other"')), 200);
  logs.terminal = true;
  assert.equal(await statusOf(again(etag)), 200, "the log was closed");
  logs.terminal = false;
  appendMany(writer, "more ", 1);
  assert.equal(await statusOf(again(etag)), 200, "the log has grown");
});

test("logResponse() says of every answer that the log is closed, once the sandbox has ended and all is read", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stdout", 1, new Uint8Array(PAGE_BYTES_MAX));
  appendMany(writer, "line ", 1);
  const log = durableLog(logs, BINARY);
  const isClosed = async (query: string, init?: RequestInit) => {
    const response = await log.get(query, init);
    return response.headers.get("stream-closed") === "true";
  };
  assert.equal(await isClosed("", { method: "HEAD" }), false);
  logs.terminal = true;
  assert.equal(await isClosed("", { method: "HEAD" }), true);
  const first = await log.get();
  assert.equal(first.headers.get("stream-closed"), null, "there is more");
  assert.equal(first.headers.get("stream-up-to-date"), null);
  const last = await log.get(`?offset=${nextOffset(first)}`);
  assert.equal(last.headers.get("stream-closed"), "true");
  const end = nextOffset(last);
  assert.equal(await isClosed(`?offset=${end}`), true);
  assert.equal(await isClosed("?offset=now"), true);
  const polled = await log.get(`?offset=${end}&live=long-poll`);
  assert.deepEqual([polled.status, polled.headers.get("stream-closed")], [204, "true"]);
  logs.terminal = false; // started again
  assert.equal(await isClosed(`?offset=${end}`), false);
});

test("logResponse() refuses a stream that is not followed, as it cannot know an end", async () => {
  using logs = testLogs();
  logs.writer().close();
  const log = durableLog(logs, {}, { follow: false });
  for (const query of ["?offset=-1", "?offset=now", "?offset=-1&live=long-poll"])
    await assert.rejects(log.get(query), InvalidConfigError, query);
  for (const stream of log.opened) assert.equal(await stream.recv(), null, "it is closed");
});

test("logResponse() does not take a reading that is aborted for a log that has ended", async () => {
  using logs = testLogs();
  logs.writer().close();
  for (const live of ["", "&live=long-poll"]) {
    const stop = new AbortController();
    const stream = async (options?: LogStreamOptions) => {
      const opened = await logs.stream({ ...options, signal: stop.signal });
      stop.abort();
      return opened;
    };
    await assert.rejects(durableLog({ ...logs, stream }).get(`?offset=-1${live}`), AbortedError);
  }
});

test("logResponse() refuses options that it does not have, and values that they cannot have", async () => {
  using logs = testLogs();
  logs.writer().close();
  const refused: Record<string, unknown>[] = [
    { defaultFormat: "json" },
    { contentType: "text" },
    { contentType: "text/plain\r\nx-injected: 1" },
    { contentType: `text/${"x".repeat(CONTENT_TYPE_CHARS_MAX - 4)}` },
    { contentType: 1 },
    { toMessage: "text" },
    { toMesage: () => 1 },
  ];
  for (const options of refused) {
    const name = JSON.stringify(options).slice(0, 80);
    await assert.rejects(durableLog(logs, options).get(), InvalidConfigError, name);
  }
  const contentType = `text/${"x".repeat(CONTENT_TYPE_CHARS_MAX - 5)}`;
  const response = await durableLog(logs, { contentType }).get();
  assert.equal(response.headers.get("content-type"), contentType, "at the limit");
});

test("logResponse() lets no browser take what a program prints for a page", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stdout", 1, bytes("<script>alert(1)</script>"));
  const log = durableLog(logs, { contentType: "text/html" });
  for (const query of ["", "?offset=now", "?offset=-1&live=long-poll", "?offset=-1&live=sse", "?offset=x"]) {
    const { headers, body } = await log.get(query);
    await body?.cancel();
    assert.match(headers.get("content-security-policy")!, /^sandbox;/, query);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("cross-origin-resource-policy"), "same-origin");
  }
});

test("logResponse() holds no file and no watcher after an answer", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "line ", 1);
  const log = durableLog(logs);
  await log.get();
  await log.get("?offset=now");
  await log.get("", { method: "HEAD" });
  await log.get("?offset=-1&live=long-poll");
  await assert.rejects(
    durableLog(logs, {
      toMessage: () => {
        throw new RangeError("not this one");
      },
    }).get(),
    RangeError,
  );
  assert.equal(log.opened.length, 4);
  for (const stream of log.opened) assert.equal(await stream.recv(), null);
});
