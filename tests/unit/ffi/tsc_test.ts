import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { TscMeasurement } from "../../../src/ffi/tsc.ts";
import { test } from "../../support/harness.ts";

const CLOCK_SOURCES = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
const isTrusted = existsSync(CLOCK_SOURCES) && readFileSync(CLOCK_SOURCES, "utf8").includes("tsc");

test("TscMeasurement finds the same speed each time, and one that processors have", async () => {
  const first = await (await TscMeasurement.begin())?.finish();
  if (!isTrusted) return assert.equal(first, undefined);
  const second = (await (await TscMeasurement.begin())?.finish()) ?? 0;
  assert.ok(first !== undefined && first > 100_000 && first < 10_000_000, String(first));
  assert.ok(Number.isInteger(first));
  assert.ok(Math.abs(first - second) < first / 100, `${first} and ${second}`);
});

test("TscMeasurement.finish() may be waited for long after the beginning", async () => {
  const [begun, compared] = [await TscMeasurement.begin(), await TscMeasurement.begin()];
  const early = await compared?.finish();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const late = await begun?.finish();
  if (early === undefined || late === undefined) return assert.equal(isTrusted, false);
  assert.ok(Math.abs(early - late) < early / 100, `${early} and ${late}`);
});
