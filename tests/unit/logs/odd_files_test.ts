/** Log files that another program put in place of ours: pipes, links, endless lines. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { noteEnd } from "../../../src/logs/end_of_boot.ts";
import { LINE_BYTES_MAX } from "../../../src/logs/limits.ts";
import { readLogDirectory } from "../../../src/logs/read_logs.ts";
import type { LogReadOptions } from "../../../src/logs/types.ts";
import { test } from "../../support/harness.ts";
import { bytes, collect, testLogs, texts } from "./support.ts";

const RECORD = '{"t":"2026-01-31T12:00:00.000Z","s":"stdout","d":"after\\n","id":1}\n';

test("readLogDirectory() and LogStream refuse a FIFO and a link, and say which file it is", async () => {
  for (const name of ["exec.log", "exec.log.1"]) {
    for (const kind of ["fifo", "link"] as const) {
      using logs = testLogs();
      mkdirSync(logs.directory, { recursive: true });
      writeFileSync(logs.path(name === "exec.log" ? "exec.log.2" : "exec.log"), RECORD);
      if (kind === "fifo") execFileSync("mkfifo", [logs.path(name)]);
      else symlinkSync("/etc/passwd", logs.path(name));
      const refusal = {
        code: "logsUnavailable",
        message: kind === "fifo" ? new RegExp(`${name} is not a regular file`) : /ELOOP/,
      };
      await assert.rejects(readLogDirectory(logs), refusal);
      await assert.rejects(readLogDirectory(logs, { tail: 1 }), refusal);
      await assert.rejects(async () => collect(await logs.stream({ follow: true })), refusal);
    }
  }
});

test("openExecLogWriter() puts a FIFO or a link out of its way, and writes a file of its own", async () => {
  for (const kind of ["fifo", "link"] as const) {
    using logs = testLogs();
    mkdirSync(logs.directory, { recursive: true });
    if (kind === "fifo") execFileSync("mkfifo", [logs.path("exec.log")]);
    else symlinkSync(logs.path("elsewhere"), logs.path("exec.log"));
    if (kind === "link") writeFileSync(logs.path("elsewhere"), "");
    using writer = logs.writer();
    writer.append("stdout", 1, bytes("mine\n"));
    assert.ok(lstatSync(logs.path("exec.log")).isFile());
    assert.equal(lstatSync(logs.path("exec.log.1")).isFile(), false);
    if (kind === "link") assert.equal(lstatSync(logs.path("elsewhere")).size, 0);
  }
});

test("noteEnd() refuses a FIFO at once", () => {
  using logs = testLogs();
  mkdirSync(logs.directory, { recursive: true });
  execFileSync("mkfifo", [logs.path("exec.log")]);
  assert.throws(() => noteEnd(logs, "crashed", "x"), /is not a regular file/);
});

test("readLogDirectory() cuts a line at its bound, forwards and backwards", async () => {
  using logs = testLogs();
  mkdirSync(logs.directory, { recursive: true });
  writeFileSync(logs.path("kernel.log"), "x");
  truncateSync(logs.path("kernel.log"), LINE_BYTES_MAX + 1_000_000);
  writeFileSync(logs.path("kernel.log"), "\nshort\n", { flag: "a" });
  for (const options of [{}, { tail: 2 }] satisfies LogReadOptions[]) {
    const entries = await readLogDirectory(logs, { ...options, sources: ["system"] });
    const sizes = entries.map(({ data }) => data.length); // with the line feed that each entry of a text log gets
    assert.deepEqual(sizes, [LINE_BYTES_MAX + 1, "short\n".length]);
    assert.equal(entries[0]?.data[0], 120);
  }
});

test("readLogDirectory() passes over a record that is longer than a line may be, and reads on", async () => {
  using logs = testLogs();
  mkdirSync(logs.directory, { recursive: true });
  writeFileSync(logs.path("exec.log"), '{"t":"2026-01-31T12:00:00.000Z","s":"stdout","d":"');
  truncateSync(logs.path("exec.log"), LINE_BYTES_MAX + 1_000_000);
  writeFileSync(logs.path("exec.log"), `"}\n${RECORD}`, { flag: "a" });
  for (const options of [{}, { tail: 2 }] satisfies LogReadOptions[])
    assert.deepEqual(texts(await readLogDirectory(logs, options)), ["after\n"]);
});
