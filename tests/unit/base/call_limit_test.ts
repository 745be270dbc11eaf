import assert from "node:assert/strict";
import { CallLimit } from "../../../src/base/call_limit.ts";
import { test } from "../../support/harness.ts";

const never = new Promise<never>(() => {});

function limitOf(timeoutMs: number | undefined, signal?: AbortSignal): CallLimit {
  return new CallLimit({
    timeoutMs,
    signal,
    late: (limitMs) => new Error(`late after ${limitMs}`),
    aborted: (reason) => new Error(`aborted: ${reason}`),
  });
}

test("CallLimit.race() rejects when the time is over, with the error of that", async () => {
  using limit = limitOf(1);
  await assert.rejects(limit.race(never), /late after 1/);
  assert.match(String(limit.error), /late after 1/);
  assert.equal(limit.signal.reason, limit.error);
  await assert.rejects(limit.race(Promise.resolve("more")), /late/, "nothing is waited for any more");
});

test("CallLimit.race() rejects when the signal fires, and at once if it has", async () => {
  const controller = new AbortController();
  using limit = limitOf(undefined, controller.signal);
  const racing = limit.race(never);
  controller.abort("enough");
  await assert.rejects(racing, /aborted: enough/);
  using second = limitOf(1, controller.signal);
  await assert.rejects(second.race(Promise.resolve("more")), /aborted: enough/);
});

test("CallLimit keeps to what ended it first", async () => {
  const controller = new AbortController();
  using limit = limitOf(1, controller.signal);
  await assert.rejects(limit.race(never), /late/);
  controller.abort("later");
  assert.match(limit.error?.message ?? "", /late/);
});

test("CallLimit.race() gives what came before the limit, and the limit is lifted when it is disposed of", async () => {
  const controller = new AbortController();
  const limit = limitOf(1, controller.signal);
  assert.equal(await limit.race(Promise.resolve("done")), "done");
  await assert.rejects(limit.race(Promise.reject(new Error("its own"))), /its own/);
  limit[Symbol.dispose]();
  controller.abort("too late");
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(limit.error, undefined);
});
