/** Entries of a log, as text and as JSON. @module */
import assert from "node:assert/strict";
import type { LogEntry, LogSource } from "../../../mod.ts";
import { formatLogEntry, formatLogJson } from "../../../src/cli/log_text.ts";
import { Output } from "../../../src/cli/output.ts";
import { MemoryStream } from "../../support/cli/cli.ts";
import { test } from "../../support/harness.ts";

const PIPE = new Output(new MemoryStream());
const TIME = "2026-01-31T12:00:00.000Z";

function entry(source: LogSource, text: string | Uint8Array): LogEntry {
  const data = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const sessionId = source === "system" ? null : 7;
  return {
    timestamp: new Date(TIME),
    source,
    sessionId,
    data,
    cursor: "c",
    text: () => new TextDecoder().decode(data),
  };
}

test("formatLogEntry() leaves what a program wrote as it is", () => {
  const found = entry("stdout", Uint8Array.of(0, 255, 10));
  assert.equal(formatLogEntry(found, PIPE, false), found.data);
});

test("formatLogEntry() ends lines of the system", () => {
  assert.equal(formatLogEntry(entry("system", "booted"), PIPE, false), "booted\n");
});

test("formatLogEntry() puts the time before each line", () => {
  assert.equal(
    formatLogEntry(entry("stdout", "a\r\n\nb\n"), PIPE, true),
    `${TIME} a\r\n${TIME} \n${TIME} b\n`,
  );
  assert.equal(formatLogEntry(entry("stderr", "a"), PIPE, true), `${TIME} a\n`);
});

test("formatLogJson() keeps bytes that are no text", () => {
  assert.deepEqual(JSON.parse(formatLogJson(entry("stdout", "a\n"))), {
    t: TIME,
    s: "stdout",
    id: 7,
    d: "a\n",
    cursor: "c",
  });
  assert.deepEqual(JSON.parse(formatLogJson(entry("system", Uint8Array.of(255)))), {
    t: TIME,
    s: "system",
    e: "b64",
    d: "/w==",
    cursor: "c",
  });
});
