/** Signals by name and number. @module */
import assert from "node:assert/strict";
import { constants } from "node:os";
import { GUEST_SIGNALS, type SignalName, signalName, signalNumber } from "../../../src/agent/guest_signal.ts";
import { InvalidConfigError } from "../../../src/base/errors.ts";
import { test } from "../../support/harness.ts";

function refusal(signal: unknown): InvalidConfigError {
  try {
    signalNumber(signal as SignalName);
  } catch (error) {
    if (error instanceof InvalidConfigError) return error;
    throw error;
  }
  throw new Error(`${String(signal)} was taken`);
}

test(
  "GUEST_SIGNALS has the numbers that this machine's kernel has",
  () => {
    const own = new Map(Object.entries(constants.signals));
    for (const [name, number] of Object.entries(GUEST_SIGNALS))
      assert.equal(own.get(name) ?? number, number, name);
    assert.ok(own.size >= 30, String(own.size));
  },
  { skip: process.platform === "linux" ? undefined : "other systems have other numbers" },
);

test("signalNumber() and signalName() are each other's inverse", () => {
  const names = Object.keys(GUEST_SIGNALS) as SignalName[];
  assert.deepEqual(
    names.map((name) => signalName(signalNumber(name))),
    names,
  );
  assert.deepEqual(
    names.map((name) => signalNumber(name)).sort((a, b) => a - b),
    Array.from({ length: 31 }, (_, index) => index + 1),
  );
});

test("signalName() has no name for real-time signals, for none, and for what is no signal", () => {
  for (const number of [undefined, 0, 32, 34, 64, 65, -1, 1.5]) assert.equal(signalName(number), undefined);
});

test("signalNumber() takes numbers from 1 to 64, and refuses everything else", () => {
  assert.deepEqual([signalNumber(1), signalNumber(64)], [1, 64]);
  for (const wrong of [0, 65, -9, 1.5, Number.NaN, "", "15", "toString", null, undefined, {}, [9], true])
    assert.equal(refusal(wrong).issues[0]?.field, "signal", String(wrong));
});

test("signalNumber() says which signal was probably meant", () => {
  for (const written of ["TERM", "term", "sigterm", "SIGTEM", "SIG_TERM"])
    assert.equal(refusal(written).hint, 'did you mean "SIGTERM"?', written);
  assert.equal(refusal("HUP").hint, 'did you mean "SIGHUP"?');
  for (const written of ["nonsense", "x".repeat(10_000), 65]) assert.equal(refusal(written).hint, undefined);
});
