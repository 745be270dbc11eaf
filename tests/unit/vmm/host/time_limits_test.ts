/**
 * Time limits, on a clock of the test's own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { TIMER_MS_MAX } from "../../../../src/base/wait.ts";
import { type ExpiredLimit, TimeLimits } from "../../../../src/vmm/host/time_limits.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { test } from "../../../support/harness.ts";

function setUp(): { clock: FakeClock; limits: TimeLimits; expired: ExpiredLimit[] } {
  const clock = new FakeClock();
  const expired: ExpiredLimit[] = [];
  return { clock, expired, limits: new TimeLimits((limit) => expired.push(limit), clock) };
}

test("TimeLimits expires the maximum duration on time, whatever happens", () => {
  const { clock, limits, expired } = setUp();
  limits.setMaxDuration(1000);
  clock.advance(500);
  limits.active();
  limits.setBusy(true);
  clock.advance(499);
  assert.deepEqual(expired, []);
  clock.advance(1);
  assert.deepEqual(expired, ["maxDuration"]);
  clock.advance(10_000);
  assert.deepEqual(expired, ["maxDuration"], "once");
});

test("TimeLimits counts idle time from the last activity", () => {
  const { clock, limits, expired } = setUp();
  limits.setIdleTimeout(1000);
  for (let i = 0; i < 5; i++) {
    clock.advance(999);
    limits.active();
  }
  clock.advance(999);
  assert.deepEqual(expired, []);
  clock.advance(1);
  assert.deepEqual(expired, ["idleTimeout"]);
});

test("TimeLimits is not idle while a program runs, however long, and counts from its end", () => {
  const { clock, limits, expired } = setUp();
  limits.setIdleTimeout(1000);
  clock.advance(600);
  limits.setBusy(true);
  clock.advance(1_000_000);
  limits.setBusy(false);
  clock.advance(999);
  assert.deepEqual(expired, []);
  clock.advance(1);
  assert.deepEqual(expired, ["idleTimeout"]);
});

test("TimeLimits can be extended, shortened and lifted while they run", () => {
  const { clock, limits, expired } = setUp();
  limits.setMaxDuration(1000);
  limits.setIdleTimeout(1000);
  clock.advance(999);
  limits.setMaxDuration(5000);
  limits.setIdleTimeout(undefined);
  clock.advance(4999);
  assert.deepEqual(expired, []);
  limits.setMaxDuration(undefined);
  clock.advance(1_000_000);
  assert.deepEqual(expired, []);
  limits.setIdleTimeout(10);
  clock.advance(9);
  assert.deepEqual(expired, [], "a new limit counts from when it was set");
  clock.advance(1);
  assert.deepEqual(expired, ["idleTimeout"]);
});

test("TimeLimits waits for longer than a timer can", () => {
  const { clock, limits, expired } = setUp();
  limits.setMaxDuration(TIMER_MS_MAX * 2 + 5);
  clock.advance(TIMER_MS_MAX * 2 + 4);
  assert.deepEqual(expired, []);
  clock.advance(1);
  assert.deepEqual(expired, ["maxDuration"]);
});

test("TimeLimits.close() leaves no timer", () => {
  const { clock, limits, expired } = setUp();
  limits.setMaxDuration(10);
  limits.setIdleTimeout(10);
  assert.equal(clock.alarms, 2);
  limits.close();
  assert.equal(clock.alarms, 0);
  limits.setBusy(false);
  clock.advance(100);
  assert.deepEqual(expired, []);
});

test("TimeLimits sets no timer for each activity", () => {
  const { clock, limits } = setUp();
  limits.setIdleTimeout(1000);
  for (let i = 0; i < 1000; i++) limits.active();
  assert.equal(clock.alarms, 1);
});
