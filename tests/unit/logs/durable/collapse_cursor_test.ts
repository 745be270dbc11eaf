import assert from "node:assert/strict";
import { COLLAPSE_CURSOR_PATTERN, nextCollapseCursor } from "../../../../src/logs/durable/collapse_cursor.ts";
import { test } from "../../../support/harness.ts";

const EPOCH_MS = Date.UTC(2024, 9, 9);

test("nextCollapseCursor() counts intervals of 20 s since the protocol's epoch", () => {
  assert.equal(nextCollapseCursor(undefined, EPOCH_MS), "0");
  assert.equal(nextCollapseCursor(undefined, EPOCH_MS + 19_999), "0");
  assert.equal(nextCollapseCursor(undefined, EPOCH_MS + 20_000), "1");
  assert.equal(nextCollapseCursor(41, EPOCH_MS + 42 * 20_000), "42", "a client that is behind");
});

test("nextCollapseCursor() moves a client on that is as far already, by an interval to an hour", () => {
  const nowMs = EPOCH_MS + 42 * 20_000;
  assert.equal(
    nextCollapseCursor(42, nowMs, () => 0),
    "43",
  );
  assert.equal(
    nextCollapseCursor(42, nowMs, () => 0.999_999),
    "222",
  );
  assert.equal(
    nextCollapseCursor(1000, nowMs, () => 0),
    "1001",
  );
});

test("nextCollapseCursor() stays exact for the greatest cursor that a client may send", () => {
  const greatest = "9".repeat(15);
  assert.match(greatest, COLLAPSE_CURSOR_PATTERN);
  assert.doesNotMatch(`${greatest}9`, COLLAPSE_CURSOR_PATTERN);
  assert.equal(
    nextCollapseCursor(Number(greatest), EPOCH_MS, () => 0),
    "1000000000000000",
  );
});
