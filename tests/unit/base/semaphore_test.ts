import assert from "node:assert/strict";
import { AbortedError } from "../../../src/base/errors.ts";
import { Semaphore } from "../../../src/base/semaphore.ts";
import { test } from "../../support/harness.ts";
import { eventually } from "../../support/processes.ts";

test("Semaphore.run() lets so many through at a time, in their order", async () => {
  const semaphore = new Semaphore(2);
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
  const begun: number[] = [];
  const runs = gates.map(({ promise }, i) =>
    semaphore.run(async () => {
      begun.push(i);
      await promise;
    }),
  );
  assert.deepEqual(begun, [0, 1]);
  gates[1]?.resolve();
  await eventually(() => assert.deepEqual(begun, [0, 1, 2]));
  for (const { resolve } of gates) resolve();
  await Promise.all(runs);
  assert.deepEqual(begun, [0, 1, 2, 3]);
});

test("Semaphore.run() lets one who waits leave, and keeps the place for the next", async () => {
  const semaphore = new Semaphore(1);
  const gate = Promise.withResolvers<void>();
  const first = semaphore.run(() => gate.promise);
  const abort = new AbortController();
  const never = () => Promise.reject(new Error("it has left"));
  const second = semaphore.run(never, abort.signal);
  const third = semaphore.run(async () => "third");
  abort.abort("enough");
  await assert.rejects(second, (error) => error instanceof AbortedError && error.cause === "enough");
  await assert.rejects(semaphore.run(never, abort.signal), AbortedError, "it does not even begin to wait");
  gate.resolve();
  await first;
  assert.equal(await third, "third");
  assert.equal(await semaphore.run(async () => "fourth"), "fourth");
});

test("Semaphore.run() leaves a body that runs to its own signal", async () => {
  const semaphore = new Semaphore(1);
  const abort = new AbortController();
  const gate = Promise.withResolvers<string>();
  const run = semaphore.run(() => gate.promise, abort.signal);
  abort.abort();
  gate.resolve("done");
  assert.equal(await run, "done");
  assert.equal(await semaphore.run(async () => "next"), "next");
});
