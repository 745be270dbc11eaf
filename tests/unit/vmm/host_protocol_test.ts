import assert from "node:assert/strict";
import { parseLine } from "../../../src/vmm/host_protocol.ts";
import { test } from "../../support/harness.ts";

test("parseLine() takes a line of one of the types that are waited for", () => {
  assert.deepEqual(parseLine('{"type":"detach"}', ["boot", "detach"]), { type: "detach" });
});

test("parseLine() refuses everything else with InternalError", () => {
  const lines = [
    '{"type":"other"}',
    '{"type":1}',
    "{}",
    "null",
    "[]",
    '"detach"',
    "",
    "warning: not JSON",
    "{",
  ];
  for (const line of lines) assert.throws(() => parseLine(line, ["detach"]), { code: "internal" }, line);
});

test("parseLine() quotes no more than the start of a line", () => {
  assert.throws(
    () => parseLine(JSON.stringify("x".repeat(10_000)), ["detach"]),
    (error: Error) => error.message.length < 400,
  );
});
