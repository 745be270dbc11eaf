import assert from "node:assert/strict";
import { AbortedError, TimeoutError } from "../../../src/base/errors.ts";
import { CallLimit, pollUntil, settlesWithin, TIMER_MS_MAX, waitFor } from "../../../src/base/wait.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { test } from "../../support/harness.ts";

const never = new Promise<never>(() => {});
const action = "waiting for the guest";

test("waitFor() says how long it waited for what", async () => {
  const clock = new FakeClock();
  const waiting = waitFor(never, { action, timeoutMs: 5, clock });
  clock.advance(5);
  await assert.rejects(waiting, (error) => {
    assert(error instanceof TimeoutError);
    assert.equal(error.message, "Timed out after 5 ms while waiting for the guest");
    assert.equal(error.timeoutMs, 5);
    return true;
  });
});

test("waitFor() rejects when the signal fires, and at once if it has", async () => {
  const controller = new AbortController();
  const waiting = waitFor(never, { action, signal: controller.signal });
  controller.abort("enough");
  await assert.rejects(waiting, (error) => {
    assert(error instanceof AbortedError);
    assert.equal(error.message, "Aborted while waiting for the guest");
    assert.equal(error.cause, "enough");
    return true;
  });
  await assert.rejects(waitFor(Promise.resolve(1), { action, signal: controller.signal }), AbortedError);
});

test("waitFor() takes its timer and its listener away when the promise settles", async () => {
  const clock = new FakeClock();
  const { signal } = new AbortController();
  let listeners = 0;
  const counted = Object.create(signal, {
    aborted: { get: () => false },
    addEventListener: { value: () => void listeners++ },
    removeEventListener: { value: () => void listeners-- },
  }) as AbortSignal;
  assert.equal(
    await waitFor(Promise.resolve("done"), { action, timeoutMs: 5, signal: counted, clock }),
    "done",
  );
  const failure = new Error("its own");
  await assert.rejects(
    waitFor(Promise.reject(failure), { action, timeoutMs: 5, signal: counted, clock }),
    failure,
  );
  assert.equal(clock.alarms, 0);
  assert.equal(listeners, 0);
});

test("CallLimit keeps to the cause that came first", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  using limit = new CallLimit({ action, timeoutMs: 1, signal: controller.signal, clock });
  clock.advance(1);
  controller.abort("later");
  assert(limit.error instanceof TimeoutError);
  assert.equal(limit.signal.reason, limit.error);
  await assert.rejects(limit.race(Promise.resolve("more")), TimeoutError, "nothing is waited for any more");
});

test("CallLimit throws the errors that it was given", async () => {
  const controller = new AbortController();
  using limit = new CallLimit({
    action,
    signal: controller.signal,
    aborted: (reason) => new Error(`left: ${reason}`),
  });
  controller.abort("enough");
  await assert.rejects(limit.race(never), /^Error: left: enough$/);
});

test("CallLimit is not reached any more once it is disposed of", () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const limit = new CallLimit({ action, timeoutMs: 1, signal: controller.signal, clock });
  limit[Symbol.dispose]();
  clock.advance(2);
  controller.abort();
  assert.equal(limit.error, undefined);
});

test("CallLimit waits longer than one timer can", () => {
  const clock = new FakeClock();
  const longest: number[] = [];
  const watched = {
    now: () => clock.now(),
    after: (ms: number, wake: () => void) => {
      longest.push(ms);
      return clock.after(ms, wake);
    },
  };
  using limit = new CallLimit({ action, timeoutMs: 2 * TIMER_MS_MAX + 10, clock: watched });
  clock.advance(2 * TIMER_MS_MAX + 9);
  assert.equal(limit.signal.aborted, false);
  clock.advance(1);
  assert.equal(limit.signal.aborted, true);
  assert.deepEqual(longest, [TIMER_MS_MAX, TIMER_MS_MAX, 10]);
});

test("CallLimit without a limit sets no timer", () => {
  const clock = new FakeClock();
  using _ = new CallLimit({ action, timeoutMs: Number.POSITIVE_INFINITY, clock });
  assert.equal(clock.alarms, 0);
});

test("settlesWithin() tells whether a promise resolved in time, and passes a rejection on", async () => {
  const clock = new FakeClock();
  assert.equal(await settlesWithin(Promise.resolve(), 5, clock), true);
  await assert.rejects(settlesWithin(Promise.reject(new Error("its own")), 5, clock), /its own/);
  const late = settlesWithin(never, 5, clock);
  clock.advance(5);
  assert.equal(await late, false);
  assert.equal(clock.alarms, 0);
});

/** Runs `work` while time passes by itself. */
async function whileTimePasses<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  let isDone = false;
  const mark = () => {
    isDone = true;
  };
  work.then(mark, mark);
  for (let turn = 0; !isDone && turn < 1_000; turn++) {
    await new Promise((resolve) => setTimeout(resolve));
    if (!isDone && clock.alarms > 0) clock.advance(1);
  }
  return await work;
}

test("pollUntil() looks at once, then after each pause, and a last time when the time is over", async () => {
  const clock = new FakeClock();
  const begin = clock.now();
  const looks: number[] = [];
  const look = () => {
    looks.push(clock.now() - begin);
    return undefined;
  };
  assert.equal(
    await whileTimePasses(clock, pollUntil(look, { everyMs: 4, timeoutMs: 10, clock })),
    undefined,
  );
  assert.deepEqual(looks, [0, 4, 8, 10]);
});

test("pollUntil() doubles its pauses up to a bound", async () => {
  const clock = new FakeClock();
  const begin = clock.now();
  const looks: number[] = [];
  const look = () => looks.push(clock.now() - begin) === 5;
  const options = { everyMs: 1, everyMsMax: 4, timeoutMs: 100, clock };
  assert.equal(await whileTimePasses(clock, pollUntil(look, options)), true);
  assert.deepEqual(looks, [0, 1, 3, 7, 11]);
});

test("pollUntil() returns what it found, and throws what the look throws", async () => {
  assert.equal(await pollUntil(async () => 0, { everyMs: 1, timeoutMs: 0 }), 0);
  const failure = new Error("its own");
  await assert.rejects(
    pollUntil(() => Promise.reject(failure), { everyMs: 1, timeoutMs: 9 }),
    failure,
  );
});

test("pollUntil() ends in its pause when the signal fires", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const polling = pollUntil(() => false, {
    everyMs: 10,
    timeoutMs: 1_000,
    signal: controller.signal,
    action,
    clock,
  });
  await Promise.resolve();
  controller.abort();
  await assert.rejects(polling, /^AbortedError: Aborted while waiting for the guest$/);
  assert.equal(clock.alarms, 0);
});
