/** The log of one job as a durable stream: it is closed when the job's output is over, though the sandbox runs on. */
import assert from "node:assert/strict";
import { openLogStream, type SessionEnd } from "../../../../src/logs/log_stream.ts";
import { JOB_OUTPUT_OVER_TEXT } from "../../../../src/logs/markers.ts";
import { test } from "../../../support/harness.ts";
import { bytes, type TestLogs, testLogs } from "../support.ts";
import { type DurableLog, durableLog, nextOffset, parseEvents } from "./support.ts";

const JOB_ID = 7;

function jobLog(logs: TestLogs, end: () => SessionEnd): DurableLog {
  const stream: TestLogs["stream"] = (options) => openLogStream({ ...logs, sessionEnd: end }, options);
  return durableLog({ ...logs, stream }, { contentType: "text/plain" }, { sessionId: JOB_ID });
}

test("logResponse() says that the log of a job that is over is closed, and ends where the job's output does", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stdout", JOB_ID, bytes("of the job\n"));
  const { position } = writer;
  writer.append("stdout", 1, bytes("of another\n"));
  const log = jobLog(logs, () => ({ isOver: true, position }));
  const all = await log.get();
  assert.equal(await all.text(), "of the job\n");
  assert.equal(all.headers.get("stream-closed"), "true");
  const end = nextOffset(all);
  const answers = [
    await log.get(`?offset=${end}`),
    await log.get("?offset=now"),
    await log.get("", { method: "HEAD" }),
    await log.get(`?offset=${end}&live=long-poll`),
    await log.get("?offset=now&live=long-poll"),
  ];
  for (const [index, answer] of answers.entries()) {
    assert.equal(nextOffset(answer), end, `answer ${index}`);
    assert.equal(answer.headers.get("stream-closed"), "true");
    assert.equal(await answer.text(), "");
  }
  const events = parseEvents(await (await log.get("?offset=-1&live=sse")).text());
  assert.equal(events[0]!.data, "of the job\n");
  assert.equal(JSON.parse(events.at(-1)!.data).streamClosed, true);
});

test("logResponse() ends the events of a job with the record that its output is complete", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stdout", JOB_ID, bytes("one\n"));
  const log = jobLog(logs, () => ({ isOver: false }));
  const response = await log.get("?offset=-1&live=sse");
  const reader = response.body!.getReader();
  const first = new TextDecoder().decode((await reader.read()).value);
  assert.match(first, /^event: data\ndata:one\n/);
  assert.doesNotMatch(first, /streamClosed/);
  writer.append("stdout", JOB_ID, bytes("two\n"));
  writer.append("stdout", 1, bytes("of another\n"));
  writer.system(JOB_OUTPUT_OVER_TEXT, JOB_ID);
  let rest = "";
  for (let piece = await reader.read(); !piece.done; piece = await reader.read())
    rest += new TextDecoder().decode(piece.value);
  assert.match(rest, /^event: data\ndata:two\n/);
  assert.match(rest, /"streamClosed":true/);
  assert.doesNotMatch(rest, /another/);
  const all = await log.get();
  assert.equal(await all.text(), "one\ntwo\n");
  assert.equal(all.headers.get("stream-closed"), "true");
});
