import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { InvalidConfigError } from "../../../src/base/errors.ts";
import { readLogDirectory } from "../../../src/logs/read_logs.ts";
import { openTextLogWriter } from "../../../src/logs/text_log_writer.ts";
import { test } from "../../support/harness.ts";
import { appendMany, bytes, SANDBOX_ID, START_MS, testLogs, texts } from "./support.ts";

const ALL = { sources: ["all"] } as const;

test("append() carries a character that was cut off over to the next call of the same session", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const euro = bytes("€");
  writer.append("stdout", 1, euro.subarray(0, 2));
  writer.append("stdout", 2, bytes("other session\n"));
  writer.append("stderr", 1, bytes("other source\n"));
  writer.append("stdout", 1, Buffer.concat([euro.subarray(2), bytes("1\n")]));
  const entries = await readLogDirectory(logs);
  assert.deepEqual(texts(entries), ["other session\n", "other source\n", "€1\n"]);
});

test("endOfStream() and close() write the beginning of a character that never got its end", async () => {
  using logs = testLogs();
  const writer = logs.writer();
  writer.append("stdout", 1, new Uint8Array([0x61, 0xe2]));
  writer.append("stderr", 2, new Uint8Array([0xf0, 0x9f]));
  writer.endOfStream("stdout", 1);
  writer.endOfStream("stdout", 1);
  writer.close();
  const entries = await readLogDirectory(logs);
  assert.deepEqual(
    entries.map(({ sessionId, data }) => [sessionId, ...data]),
    [
      [1, 0x61],
      [1, 0xe2],
      [2, 0xf0, 0x9f],
    ],
  );
});

test("append() keeps binary output byte by byte, however it is cut", async () => {
  for (const pieceBytes of [1, 2, 3, 7, 255, 256, 100_000]) {
    using logs = testLogs();
    using writer = logs.writer();
    const output = new Uint8Array(70_000).map((_, index) => (index * 7919 + (index >> 8)) & 0xff);
    for (let at = 0; at < output.length; at += pieceBytes)
      writer.append("output", 1, output.subarray(at, at + pieceBytes));
    writer.endOfStream("output", 1);
    const entries = await readLogDirectory(logs);
    assert.deepEqual(
      Buffer.concat(entries.map(({ data }) => data)),
      Buffer.from(output),
      `pieces of ${pieceBytes}`,
    );
  }
});

test("append() keeps a thousand sessions apart", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  const euro = bytes("€");
  for (let part = 0; part < euro.length; part++) {
    for (let session = 0; session < 1000; session++)
      writer.append("stdout", session, euro.subarray(part, part + 1));
  }
  const entries = await readLogDirectory(logs);
  assert.equal(entries.length, 1000);
  assert.ok(entries.every((entry, index) => entry.text() === "€" && entry.sessionId === index));
});

test("append() rotates before a file grows over its limit, and keeps the number of files that was asked for", () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 2000, rotatedFilesMax: 2 });
  appendMany(writer, "line ", 200);
  assert.deepEqual(readdirSync(logs.directory).sort(), ["exec.log", "exec.log.1", "exec.log.2"]);
  for (const name of readdirSync(logs.directory)) assert.ok(statSync(logs.path(name)).size <= 2000, name);
});

test("append() gives a record that is longer than a file one of its own", async () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024 });
  const texts_ = ["a\n", `${"long ".repeat(1000)}\n`, "b\n"];
  for (const text of texts_) writer.append("stdout", 1, bytes(text));
  assert.deepEqual(texts(await readLogDirectory(logs)), texts_);
});

test("every file begins with a header whose generation is one higher than the one before", () => {
  using logs = testLogs();
  using writer = logs.writer({ maxFileBytes: 1024 });
  appendMany(writer, "line ", 50);
  const headers = ["exec.log.2", "exec.log.1", "exec.log"].map((name) =>
    JSON.parse(readFileSync(logs.path(name), "utf8").split("\n", 1)[0]!),
  );
  for (const [index, header] of headers.entries()) {
    assert.equal(header.g, headers[0].g + index);
    assert.equal(header.sandbox, SANDBOX_ID);
    assert.equal(header.s, "header");
  }
  assert.equal(headers[2].previous, statSync(logs.path("exec.log.1")).size);
});

test("openExecLogWriter() continues the file of the boot before", async () => {
  using logs = testLogs();
  for (const boot of ["first\n", "second\n"]) {
    using writer = logs.writer();
    writer.append("stdout", 1, bytes(boot));
  }
  assert.deepEqual(readdirSync(logs.directory), ["exec.log"]);
  assert.deepEqual(texts(await readLogDirectory(logs)), ["first\n", "second\n"]);
});

test("openExecLogWriter() closes a tail torn at any byte, so that it swallows nothing", async () => {
  using template = testLogs();
  const writer = template.writer();
  writer.append("stdout", 1, bytes("whole\n"));
  const before = statSync(template.path("exec.log")).size;
  writer.append("stdout", 1, bytes('torn "€" \n'));
  writer.close();
  const content = readFileSync(template.path("exec.log"));
  for (let length = before; length <= content.length; length++) {
    using logs = testLogs();
    logs.writer().close();
    writeFileSync(logs.path("exec.log"), content.subarray(0, length));
    using next = logs.writer();
    next.system("--- sandbox started ---");
    const torn = length >= content.length - 1 ? ['torn "€" \n'] : []; // only the line feed was missing
    const expected = ["whole\n", ...torn, "--- sandbox started ---\n"];
    assert.deepEqual(texts(await readLogDirectory(logs, ALL)), expected, `cut after ${length} bytes`);
  }
});

test("openExecLogWriter() heals a rotation that was cut short between any two steps", async () => {
  using template = testLogs();
  const writer = template.writer({ maxFileBytes: 1024 });
  const written = appendMany(writer, "line ", 30);
  writer.close();
  const names = readdirSync(template.directory);
  const contents = new Map(names.map((name) => [name, readFileSync(template.path(name))]));
  const newest = names.length - 1;
  for (let renamed = 0; renamed <= newest + 1; renamed++) {
    using logs = testLogs();
    mkdirSync(logs.directory, { recursive: true });
    writeFileSync(logs.path("exec.log.new"), "half a hea");
    for (const [name, content] of contents) {
      const index = name === "exec.log" ? 0 : Number(name.slice("exec.log.".length));
      const moved = index > newest - renamed ? index + 1 : index;
      writeFileSync(logs.path(moved === 0 ? "exec.log" : `exec.log.${moved}`), content);
    }
    const healed = logs.writer({ maxFileBytes: 1024, rotatedFilesMax: 9 });
    healed.append("stdout", 1, bytes("after\n"));
    healed.close();
    assert.deepEqual(texts(await readLogDirectory(logs)), [...written, "after\n"], `${renamed} renamed`);
  }
});

test("openExecLogWriter() leaves the file of another program as it is and begins its own", async () => {
  using logs = testLogs();
  mkdirSync(logs.directory, { recursive: true });
  const foreign = '{"t":"2026-01-30T00:00:00.000Z","s":"stdout","d":"old\\n","id":1}\n';
  writeFileSync(logs.path("exec.log"), foreign);
  using writer = logs.writer();
  writer.append("stdout", 1, bytes("new\n"));
  assert.equal(readFileSync(logs.path("exec.log.1"), "utf8"), foreign);
  assert.deepEqual(texts(await readLogDirectory(logs)), ["old\n", "new\n"]);
});

test("append() holds the stamp when the clock goes back a little, and begins a new file when it goes back far", async () => {
  using logs = testLogs();
  using writer = logs.writer();
  writer.append("stdout", 1, bytes("1"));
  logs.nowMs -= 5000;
  writer.append("stdout", 1, bytes("2"));
  logs.nowMs -= 3_600_000;
  writer.append("stdout", 1, bytes("3"));
  assert.deepEqual(readdirSync(logs.directory).sort(), ["exec.log", "exec.log.1"]);
  const entries: { text: string; timeMs: number }[] = [];
  for await (const entry of await logs.stream())
    entries.push({ text: entry.text(), timeMs: entry.timestamp.getTime() });
  assert.deepEqual(entries, [
    { text: "1", timeMs: START_MS },
    { text: "2", timeMs: START_MS },
    { text: "3", timeMs: START_MS - 3_605_000 },
  ]);
});

test("openExecLogWriter() refuses limits that are out of range", () => {
  using logs = testLogs();
  assert.throws(() => logs.writer({ maxFileBytes: 10 }), InvalidConfigError);
  assert.throws(() => logs.writer({ rotatedFilesMax: 0 }), InvalidConfigError);
  assert.throws(() => logs.writer({ rotatedFilesMax: 10 }), InvalidConfigError);
});

test("append() continues without a log directory, and writes down the loss once there is one", async () => {
  using logs = testLogs();
  writeFileSync(logs.directory, "a file is in the way");
  using writer = logs.writer();
  writer.append("stdout", 1, bytes("lost\n"));
  assert.deepEqual([writer.lostRecords, writer.lostBytes], [1, 5]);
  rmSync(logs.directory);
  logs.nowMs += 10_000;
  writer.append("stdout", 1, bytes("kept\n"));
  const [report, kept] = texts(await readLogDirectory(logs, ALL));
  assert.match(report!, /^--- 1 records with 5 bytes could not be logged: E[A-Z]+ ---\n$/);
  assert.equal(kept, "kept\n");
});

test(
  "append() continues when the disk is full, counts the loss, and writes it down when there is room",
  async () => {
    using logs = testLogs();
    const fixture = new URL("./full_disk_fixture.ts", import.meta.url).pathname;
    const runtime = "Bun" in globalThis ? [] : ["run", "-A", "--no-check"];
    const command = [process.execPath, ...runtime, fixture, logs.directory];
    const ran = spawnSync("sh", ["-c", 'trap "" XFSZ; exec "$@"', "sh", ...command], { encoding: "utf8" });
    assert.equal(ran.status, 0, ran.stderr);
    const { lostRecords, lostBytes, kernelLostBytes } = JSON.parse(ran.stdout);
    const entries = texts(await readLogDirectory({ ...logs, sandboxId: "full-disk" }, ALL));
    const kept = entries.filter((text) => text.startsWith("lost or not"));
    assert.ok(lostRecords > 0 && kept.length > 0);
    assert.equal(kept.length + lostRecords, 20);
    assert.equal(lostBytes, lostRecords * "lost or not 000\n".length);
    const isReported = (lost: string) =>
      entries.some((text) => text.startsWith(`--- ${lost} could not be logged: `));
    assert.ok(isReported(`${lostRecords} records with ${lostBytes} bytes`));
    assert.ok(entries.includes("after\n"));
    assert.ok(isReported(`${kernelLostBytes} bytes`));
  },
  { skip: process.platform === "linux" ? undefined : "needs prlimit" },
);

test("openTextLogWriter() stamps each line when its end arrives", async () => {
  using logs = testLogs();
  const options = { directory: logs.directory, sandboxId: SANDBOX_ID, clock: () => logs.nowMs };
  const writer = openTextLogWriter({ ...options, filename: "kernel.log" });
  writer.write(bytes("Linux version 6.12\r\nhalf "));
  logs.nowMs += 1000;
  writer.write(bytes("and half\n\nunfinished"));
  writer.close();
  assert.equal(
    readFileSync(logs.path("kernel.log"), "utf8").split("\n").slice(1).join("\n"),
    "2026-01-31T12:00:00.000Z Linux version 6.12\n" +
      "2026-01-31T12:00:01.000Z half and half\n" +
      "2026-01-31T12:00:01.000Z \n" +
      "2026-01-31T12:00:01.000Z unfinished\n",
  );
  const entries = await readLogDirectory(logs, { sources: ["system"] });
  assert.deepEqual(texts(entries), ["Linux version 6.12\n", "half and half\n", "\n", "unfinished\n"]);
  assert.ok(entries.every(({ source, sessionId }) => source === "system" && sessionId === null));
});

test("openTextLogWriter() writes the same lines however a flood of short ones is cut", async () => {
  const flood = bytes("\r\n\n\na\r\n\rb\n".repeat(20_000));
  const expected = ["\n", "\n", "\n", "a\n", "\rb\n"];
  for (const pieceBytes of [1, 7, 4096, flood.length]) {
    using logs = testLogs();
    const options = { directory: logs.directory, sandboxId: SANDBOX_ID, clock: () => logs.nowMs };
    const writer = openTextLogWriter({ ...options, filename: "kernel.log" });
    for (let at = 0; at < flood.length; at += pieceBytes) writer.write(flood.subarray(at, at + pieceBytes));
    writer.close();
    const entries = texts(await readLogDirectory(logs, { sources: ["system"] }));
    assert.equal(entries.length, 100_000);
    assert.ok(
      entries.every((text, index) => text === expected[index % 5]),
      `pieces of ${pieceBytes}`,
    );
  }
});

test("openTextLogWriter() bounds lines and files, whatever the guest prints", async () => {
  using logs = testLogs();
  using writer = openTextLogWriter({
    directory: logs.directory,
    sandboxId: SANDBOX_ID,
    filename: "kernel.log",
    maxFileBytes: 100_000,
    rotatedFilesMax: 2,
  });
  for (let i = 0; i < 100; i++) writer.write(new Uint8Array(20_000).fill(0x61));
  for (let i = 0; i < 10_000; i++) writer.write(bytes("spam\n"));
  assert.deepEqual(readdirSync(logs.directory).sort(), ["kernel.log", "kernel.log.1", "kernel.log.2"]);
  for (const name of readdirSync(logs.directory)) assert.ok(statSync(logs.path(name)).size <= 100_000, name);
});

test("openTextLogWriter() closes the torn line of a crash", async () => {
  using logs = testLogs();
  const options = { directory: logs.directory, sandboxId: SANDBOX_ID, filename: "runtime.log" } as const;
  const writer = openTextLogWriter(options);
  writer.write(bytes("one\ntwo\n"));
  writer.close();
  truncateSync(logs.path("runtime.log"), statSync(logs.path("runtime.log")).size - 2);
  using next = openTextLogWriter(options);
  next.write(bytes("three\n"));
  assert.deepEqual(texts(await readLogDirectory(logs, { sources: ["system"] })), [
    "one\n",
    "tw\n",
    "three\n",
  ]);
});
