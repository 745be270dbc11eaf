/** When a followed log ends: the sandbox, the time, or the files are gone. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { LogsUnavailableError } from "../../../src/logs/errors.ts";
import { openLogStream } from "../../../src/logs/log_stream.ts";
import { SANDBOX_STOPPED_TEXT } from "../../../src/logs/markers.ts";
import { test } from "../../support/harness.ts";
import { appendMany, collect, take, testLogs, texts } from "./support.ts";

test("LogStream ends when the sandbox is terminal and everything is read", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const stream = await logs.stream({ follow: true, sources: ["all"] });
  const reading = collect(stream);
  appendMany(writer, "last words ", 3);
  writer.system(SANDBOX_STOPPED_TEXT);
  logs.terminal = true;
  assert.equal((await reading).length, 4);
});

test("LogStream continues and can be closed while isTerminal() does not answer", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  let calls = 0;
  const asked = Promise.withResolvers<void>();
  const isTerminal = () => {
    calls++;
    asked.resolve();
    return new Promise<boolean>(() => {});
  };
  const stream = await openLogStream({ ...logs, isTerminal }, { follow: true });
  for (let line = 0; line < 3; line++) {
    const next = stream.recv();
    await asked.promise;
    const [written] = appendMany(writer, `line ${line}.`, 1);
    assert.equal((await next)?.text(), written);
  }
  const waiting = stream.recv();
  await stream[Symbol.asyncDispose]();
  assert.equal(await waiting, null);
  assert.equal(calls, 1);
});

test("LogStream asks isTerminal() by the clock, however many entries come one by one", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  let calls = 0;
  const isTerminal = () => {
    calls++;
    return Promise.resolve(false);
  };
  await using stream = await openLogStream({ ...logs, isTerminal }, { follow: true });
  const begin = performance.now();
  for (let line = 0; line < 50; line++) {
    const next = stream.recv();
    appendMany(writer, "a", 1);
    await next;
  }
  const seconds = (performance.now() - begin) / 1000;
  assert.ok(calls <= 2 + seconds, `${calls} calls in ${seconds} s`);
});

test("LogStream fails with the error of isTerminal()", async () => {
  using logs = testLogs();
  logs.writer().close();
  const isTerminal = () => Promise.reject(new RangeError("unknown"));
  const stream = await openLogStream({ ...logs, isTerminal }, { follow: true });
  await assert.rejects(stream.recv(), RangeError);
});

test("LogStream of a stopped sandbox ends at once with follow", async () => {
  using logs = testLogs();
  logs.terminal = true;
  const writer = logs.writer();
  const written = appendMany(writer, "a", 3);
  writer.close();
  assert.deepEqual(texts(await collect(await logs.stream({ follow: true }))), written);
});

test("LogStream with until in the future ends when that time has come", async () => {
  using logs = testLogs();
  logs.nowMs = Date.now();
  using writer = logs.writer();
  const written = appendMany(writer, "before ", 2);
  const until = Date.now() + 200;
  const stream = await logs.stream({ follow: true, until });
  assert.deepEqual(texts(await take(stream, 2)), written);
  logs.nowMs = until;
  appendMany(writer, "at until ", 1);
  assert.equal(await stream.recv(), null);
  assert.ok(Date.now() >= until);
});

test("LogStream with since in a followed log begins there", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  appendMany(writer, "old ", 3);
  logs.nowMs += 1000;
  await using stream = await logs.stream({ follow: true, since: logs.nowMs });
  const written = appendMany(writer, "new ", 2);
  assert.deepEqual(texts(await take(stream, 2)), written);
});

test("LogStream ends in good order when the logs of a stopped sandbox are removed under it", async () => {
  using logs = testLogs();
  const writer = logs.writer();
  await using stream = await logs.stream({ follow: true });
  const written = appendMany(writer, "a", 2);
  writer.system(SANDBOX_STOPPED_TEXT);
  assert.deepEqual(texts(await take(stream, 2)), written);
  writer.close();
  rmSync(logs.directory, { recursive: true });
  assert.equal(await stream.recv(), null);
});

test("LogStream fails when the logs are removed and it cannot know that it has read all", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  await using stream = await logs.stream({ follow: true });
  appendMany(writer, "a", 1);
  await take(stream, 1);
  rmSync(logs.directory, { recursive: true });
  await assert.rejects(stream.recv(), LogsUnavailableError);
});

test("LogStream never gives out the logs of another sandbox that took the name: it ends, or fails as if there were none", async () => {
  for (const replacement of ["far ahead", "behind"]) {
    for (const isStopped of [true, false]) {
      using logs = testLogs();
      const writer = logs.writer({ maxFileBytes: 1024 });
      await using stream = await logs.stream({ follow: true });
      await take(stream, appendMany(writer, "ours ", 20).length);
      if (isStopped) writer.system(SANDBOX_STOPPED_TEXT);
      writer.close();
      rmSync(logs.directory, { recursive: true });
      using next = logs.writer({ maxFileBytes: 1024, sandboxId: "another sandbox" });
      appendMany(next, "theirs ", replacement === "behind" ? 1 : 100);
      if (isStopped) assert.equal(await stream.recv(), null);
      else await assert.rejects(stream.recv(), LogsUnavailableError);
      assert.deepEqual(await collect(await logs.stream()), []);
    }
  }
});

test("LogStream fails when another program cuts the file off", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  await using stream = await logs.stream({ follow: true });
  appendMany(writer, "a", 5);
  await take(stream, 5);
  writeFileSync(logs.path("exec.log"), "");
  await assert.rejects(stream.recv(), LogsUnavailableError);
});

const DAY_MS = 24 * 60 * 60 * 1_000;

/** Moves the wall clock of this process while it lasts. */
class MovedClock implements Disposable {
  readonly #now = Date.now;

  constructor(byMs: number) {
    Date.now = () => this.#now() + byMs;
  }

  [Symbol.dispose](): void {
    Date.now = this.#now;
  }
}

for (const days of [1, 30])
  test(`LogStream ends though the wall clock was set back by ${days} days`, async () => {
    using logs = testLogs();
    using writer = logs.writer();
    const asked = Promise.withResolvers<void>();
    let calls = 0;
    const isTerminal = async () => {
      calls++;
      asked.resolve();
      return logs.terminal;
    };
    const stream = await openLogStream({ ...logs, isTerminal }, { follow: true });
    const reading = collect(stream);
    await asked.promise;
    using _ = new MovedClock(-days * DAY_MS);
    appendMany(writer, "last words ", 1);
    logs.terminal = true;
    assert.equal((await reading).length, 1);
    assert.ok(calls < 100, `${calls} calls: it did not wait between them`);
  });
