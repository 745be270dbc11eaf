/**
 * What counts as use of a sandbox, and which events come of it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { FrameFlag, MESSAGES } from "../../../../src/agent/protocol.ts";
import { Activity, type ProgramExit } from "../../../../src/vmm/host/activity.ts";
import {
  type ActivityEvent,
  ActivityEvents,
  EDGE_INTERVAL_MS,
  RETRY_INTERVAL_MS,
} from "../../../../src/vmm/host/activity_events.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { closed, exited, frame, start } from "../../../support/guest/program_frames.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";

class Recorder {
  readonly seen: (string | ProgramExit | undefined)[] = [];
  active = 0;
  readonly activity = new Activity({
    active: () => this.active++,
    busy: () => this.seen.push("busy"),
    idle: (exit) => this.seen.push("idle", exit),
  });
}

test("Activity is busy from the first program's start to the last one's exit", () => {
  const { activity, seen } = new Recorder();
  activity.toAgent(start(1));
  activity.toAgent(start(2));
  assert.equal(activity.isBusy, true);
  activity.fromAgent(exited(1, 0));
  activity.fromAgent(closed(1));
  assert.deepEqual(seen, ["busy"]);
  activity.fromAgent(exited(2, 7));
  assert.deepEqual(seen, ["busy", "idle", { code: 7, signal: undefined }]);
  activity.fromAgent(closed(2));
  assert.equal(activity.isBusy, false);
  assert.equal(seen.length, 3, "an end counts once");
});

test("Activity tells a signal from an exit code, and a program that never started from both", () => {
  const { activity, seen } = new Recorder();
  activity.toAgent(start(1));
  activity.fromAgent(exited(1, 0, 9));
  activity.toAgent(start(2));
  activity.fromAgent(frame("execFailed", 2, { kind: 1, errno: 2, message: "" }));
  activity.fromAgent(closed(2));
  assert.deepEqual(seen, ["busy", "idle", { code: 137, signal: 9 }, "busy", "idle", undefined]);
});

test("Activity counts a program once its execStart is whole, and forgets what never becomes whole", () => {
  const { activity, seen } = new Recorder();
  activity.toAgent(start(1, FrameFlag.more));
  activity.toAgent(start(2, FrameFlag.more));
  assert.equal(activity.isBusy, false);
  activity.toAgent(start(1));
  assert.deepEqual(seen, ["busy"]);
  activity.clientGone(1, 2);
  assert.equal(activity.isBusy, true, "the guest will say how a program of a client that left has ended");
  activity.fromAgent(exited(1, 0));
  activity.fromAgent(closed(2));
  assert.equal(activity.isBusy, false);
});

test("Activity.admits() while draining only what has begun", () => {
  const { activity } = new Recorder();
  activity.toAgent(start(1));
  activity.toAgent(start(2, FrameFlag.more));
  activity.isDraining = true;
  assert.equal(activity.admits(start(3)), false);
  assert.equal(activity.admits(start(2)), true);
  assert.equal(activity.admits(frame("stdin", 1, { data: new Uint8Array(1) })), true);
});

test("Activity counts starts, input and touches, but not credit", () => {
  const recorder = new Recorder();
  recorder.activity.toAgent(start(1));
  recorder.activity.toAgent(frame("stdin", 1, { data: new Uint8Array(1) }));
  recorder.activity.touch();
  const before = recorder.active;
  recorder.activity.toAgent(frame("credit", 1, { channel: 0x25, bytes: 1 }));
  assert.equal(recorder.active, before);
  assert.equal(recorder.activity.sequence, 3);
});

function recordEvents() {
  const clock = new FakeClock();
  const writes: string[][] = [];
  const state = { isWritable: true, attempts: 0 };
  const name = ({ action, attributes }: ActivityEvent) => `${action} ${JSON.stringify(attributes)}`;
  const write = (batch: readonly ActivityEvent[]) => {
    state.attempts++;
    if (state.isWritable) writes.push(batch.map(name));
    return state.isWritable;
  };
  return { clock, writes, state, events: new ActivityEvents(write, clock) };
}

test("ActivityEvents writes a lone run as running and idle, the first without delay", () => {
  const { clock, events, writes } = recordEvents();
  events.busy();
  assert.deepEqual(writes, [], "the program's start goes first");
  clock.advance(0);
  assert.deepEqual(writes, [["running {}"]]);
  events.idle({ code: 3, signal: undefined });
  clock.advance(EDGE_INTERVAL_MS);
  assert.deepEqual(writes, [["running {}"], ['idle {"exitCode":3}']]);
  events.busy();
  events.idle({ code: 143, signal: 15 });
  events.flush();
  assert.deepEqual(writes[2], ["running {}", 'idle {"exitCode":143,"signal":15}']);
});

test("ActivityEvents alternate, end with the truth, and are at most two in each interval", () => {
  const random = seededRandom("ActivityEvents");
  const { clock, events, writes } = recordEvents();
  let isBusy = false;
  let elapsedMs = 0;
  for (let step = 0; step < 5_000; step++) {
    isBusy = !isBusy;
    if (isBusy) events.busy();
    else events.idle({ code: step % 256, signal: undefined });
    const passMs = random.pick([0, 0, 1, 5, EDGE_INTERVAL_MS + 1]);
    elapsedMs += passMs;
    clock.advance(passMs);
  }
  events.flush();
  const actions = writes.flat().map((text) => text.split(" ")[0]);
  for (const [index, action] of actions.entries()) assert.equal(action, index % 2 === 0 ? "running" : "idle");
  assert.equal(actions.at(-1), isBusy ? "running" : "idle");
  assert.ok(writes.every((batch) => batch.length <= 2));
  assert.ok(writes.length <= elapsedMs / EDGE_INTERVAL_MS + 2, `${writes.length} writes in ${elapsedMs} ms`);
});

test("ActivityEvents keeps what cannot be written with what follows, and comes again once in an interval", () => {
  const { clock, events, writes, state } = recordEvents();
  state.isWritable = false;
  for (let code = 0; code < 50; code++) {
    events.busy();
    clock.advance(RETRY_INTERVAL_MS / 25);
    events.idle({ code, signal: undefined });
    clock.advance(RETRY_INTERVAL_MS / 25);
  }
  assert.equal(state.attempts, 4 + 1, "at once, and four times in as many intervals");
  state.isWritable = true;
  clock.advance(RETRY_INTERVAL_MS);
  assert.deepEqual(writes, [["running {}", 'idle {"exitCode":49}']]);
  clock.advance(10 * RETRY_INTERVAL_MS);
  assert.equal(clock.alarms, 0);
  events.busy();
  clock.advance(0);
  assert.deepEqual(writes[1], ["running {}"], "as ever");
});

test("ActivityEvents.flush() tries once more, and for the last time", () => {
  const { clock, events, writes, state } = recordEvents();
  state.isWritable = false;
  events.busy();
  clock.advance(0);
  events.flush();
  assert.equal(clock.alarms, 0);
  state.isWritable = true;
  events.flush();
  assert.deepEqual(writes, [["running {}"]]);
});

test("Activity does not count what serves programs: mounts, and their network", () => {
  const recorder = new Recorder();
  const { activity, seen } = recorder;
  const addresses = { address: "", prefixBits: 24, gateway: "", address6: "", prefixBits6: 64, gateway6: "" };
  activity.toAgent(frame("networkOpen", 1, addresses));
  activity.toAgent(frame("stdin", 1, { data: Uint8Array.of(1) }));
  activity.toAgent(frame("mountOpen", 2, { flags: 0, sizeBytes: 0, target: Uint8Array.of(1) }));
  activity.toAgent(frame("stdin", 2, { data: Uint8Array.of(1) }));
  assert.equal(recorder.active, 0);
  assert.deepEqual(seen, []);
  activity.fromAgent(closed(1));
  activity.toAgent(frame("stdin", 1, { data: Uint8Array.of(1) })); // of a stream that no longer carries the network
  assert.equal(recorder.active, 1);
});

test("Activity counts what a file session does, downloads too, and is not busy because of one", () => {
  const recorder = new Recorder();
  const { activity, seen } = recorder;
  const credit = { channel: MESSAGES.stdout.type, bytes: 1 };
  activity.toAgent(frame("filesOpen", 1, { user: "", cwd: "" }));
  activity.toAgent(frame("stdin", 1, { data: Uint8Array.of(1) }));
  activity.toAgent(frame("credit", 1, credit));
  assert.equal(recorder.active, 3);
  activity.toAgent(frame("credit", 2, credit)); // of a program
  assert.equal(recorder.active, 3);
  activity.fromAgent(exited(1, 0, 9));
  activity.fromAgent(closed(1));
  activity.toAgent(frame("credit", 1, credit));
  assert.equal(recorder.active, 3);
  activity.toAgent(start(3));
  activity.fromAgent(frame("execFailed", 3, { kind: 1, errno: 2, message: "" }));
  assert.deepEqual(seen, ["busy", "idle", undefined], "the end of a file session is no program's");
  activity.toAgent(frame("filesOpen", 4, { user: "", cwd: "" }));
  activity.clientGone(4, 9);
  const before = recorder.active;
  activity.toAgent(frame("credit", 4, credit));
  assert.equal(recorder.active, before);
});
