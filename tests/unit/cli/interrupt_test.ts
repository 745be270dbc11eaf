/** Signals: the first ends in order, the second at once, and a program's are the program's. @module */
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { ENDING_SIGNALS, Interrupt, signalStatus } from "../../../src/cli/interrupt.ts";
import { test } from "../../support/harness.ts";

test("signalStatus() is 128 and the signal's number", () => {
  assert.deepEqual(ENDING_SIGNALS.map(signalStatus), [130, 143, 129]);
});

test("Interrupt aborts at the first signal and exits at the second", () => {
  const source = new EventEmitter();
  const exits: number[] = [];
  using interrupt = new Interrupt(source, (status) => exits.push(status));
  assert.deepEqual([interrupt.signal.aborted, interrupt.status], [false, undefined]);
  source.emit("SIGTERM");
  assert.deepEqual([interrupt.signal.aborted, interrupt.status, exits], [true, 143, []]);
  source.emit("SIGINT");
  assert.deepEqual([interrupt.status, exits], [143, [130]]);
});

test("Interrupt.redirect() hands signals on until it is disposed of", () => {
  const source = new EventEmitter();
  using interrupt = new Interrupt(source, () => {});
  const taken: string[] = [];
  {
    using _redirected = interrupt.redirect((signal) => taken.push(signal));
    source.emit("SIGINT");
    source.emit("SIGHUP");
  }
  assert.deepEqual([taken, interrupt.signal.aborted], [["SIGINT", "SIGHUP"], false]);
  source.emit("SIGINT");
  assert.equal(interrupt.status, 130);
});

test("Interrupt leaves no listener behind", () => {
  const source = new EventEmitter();
  new Interrupt(source, () => {})[Symbol.dispose]();
  assert.deepEqual(source.eventNames(), []);
});
