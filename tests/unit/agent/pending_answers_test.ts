import assert from "node:assert/strict";
import { Answers } from "../../../src/agent/pending_answers.ts";
import { test } from "../../support/harness.ts";

test("Answers.wait() resolves with the answer of its own number", async () => {
  const answers = new Answers<string>();
  const waiting = [answers.wait(1, "first", 10_000), answers.wait(2, "second", 10_000)];
  answers.resolve(2, "b");
  answers.resolve(1, "a");
  assert.deepEqual(await Promise.all(waiting), ["a", "b"]);
});

test("Answers.wait() rejects with TimeoutError in time, and drops an answer that comes later", async () => {
  const answers = new Answers<string>();
  await assert.rejects(answers.wait(1, "waiting for the host to answer", 10), {
    code: "timeout",
    timeoutMs: 10,
    message: /the host to answer/,
  });
  const next = answers.wait(2, "waiting for the host to answer", 10_000);
  answers.resolve(1, "late");
  answers.resolve(2, "for the next");
  assert.equal(await next, "for the next");
});

test("Answers.rejectAll() rejects the questions that wait, and none that is asked later", async () => {
  const answers = new Answers<string>();
  const waiting = [answers.wait(1, "", 10_000), answers.wait(2, "", 10_000)];
  answers.rejectAll(new Error("gone"));
  for (const answer of waiting) await assert.rejects(answer, /gone/);
  const later = answers.wait(3, "", 10_000);
  answers.resolve(3, "here");
  assert.equal(await later, "here");
});

test("Answers.resolveAll() answers every question that waits", async () => {
  const answers = new Answers<string>();
  const waiting = [answers.wait(1, "", 10_000), answers.wait(2, "", 10_000)];
  answers.resolveAll("both");
  assert.deepEqual(await Promise.all(waiting), ["both", "both"]);
});
