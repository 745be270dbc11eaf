import assert from "node:assert/strict";
import { AgentDisconnectedError } from "../../../../src/agent/errors.ts";
import type { HoldState } from "../../../../src/agent/protocol.ts";
import { DatabaseError } from "../../../../src/state/errors.ts";
import { StateStore } from "../../../../src/state/state_store.ts";
import type { AgentLink } from "../../../../src/vmm/host/agent_link.ts";
import { Pause } from "../../../../src/vmm/host/guest_pause.ts";
import { WriteHolds } from "../../../../src/vmm/host/hold_writes.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { failEvents } from "../../../support/home/fail_events.ts";
import { FakeHost } from "../../../support/host/in_process_host.ts";

const native = { skip: nativeAgentProblem };
const EBUSY = 16;
const ETIMEDOUT = 110;

/** A guest whose answers a test gives by hand. */
class FakeGuest {
  readonly asked: { readonly question: string; readonly answer: (state: HoldState) => void }[] = [];
  /** All that it was told, in order. */
  readonly told: string[] = [];
  #changed = Promise.withResolvers<void>();

  get link(): AgentLink {
    const ask = (question: string) =>
      new Promise<HoldState>((answer) => {
        this.told.push(question);
        this.asked.push({ question, answer });
        this.#changed.resolve();
        this.#changed = Promise.withResolvers<void>();
      });
    const link: Pick<AgentLink, "pause" | "holdWrites" | "syncClock"> = {
      pause: (on) => ask(on ? "pause" : "resume"),
      holdWrites: (on) => ask(on ? "hold" : "release"),
      syncClock: () => void this.told.push("clock"),
    };
    return link as AgentLink;
  }

  /** Answers the next question, which must be this one. */
  async expect(question: string, state: HoldState): Promise<void> {
    while (this.asked.length === 0) await this.#changed.promise;
    const next = this.asked.shift();
    assert.equal(next?.question, question);
    next?.answer(state);
  }
}

const ON = { on: true, errno: 0 };
const OFF = { on: false, errno: 0 };

function runningSandbox(home: string) {
  const state = new StateStore(home);
  const key = state.claimCreate({
    id: "one",
    name: "one",
    configJson: "{}",
    imageDigest: "sha256:0",
    labels: {},
    runDirectory: home,
    host: { pid: process.pid, startTime: "0" },
  });
  state.transition(key, "ready");
  return { state, key, status: () => state.get("one").status };
}

test("Pause.set() moves the sandbox to paused and back, and records each once", async () => {
  using home = temporaryDirectory();
  const { state, key, status } = runningSandbox(home.path);
  const guest = new FakeGuest();
  const pause = new Pause(state, key, guest.link);
  const answers = [pause.set(true), pause.set(true), pause.set(false), pause.set(false)];
  await guest.expect("pause", ON);
  await answers[0];
  assert.equal(status(), "paused");
  await guest.expect("pause", ON);
  await guest.expect("resume", OFF);
  await guest.expect("resume", OFF);
  assert.deepEqual(await Promise.all(answers), [ON, ON, OFF, OFF]);
  // The clock is right before any program goes on.
  assert.deepEqual(guest.told, ["pause", "pause", "clock", "resume", "clock", "resume"]);
  assert.equal(status(), "running");
  const actions = state.eventLog.read({ after: 0, limit: 100 }).events.map(({ action }) => action);
  assert.deepEqual(actions.slice(-2), ["paused", "resumed"]);
  assert.equal(actions.filter((action) => action === "paused").length, 1);
  state.close();
});

test("Pause.set() changes nothing if the guest cannot pause", async () => {
  using home = temporaryDirectory();
  const { state, key, status } = runningSandbox(home.path);
  const guest = new FakeGuest();
  const pause = new Pause(state, key, guest.link);
  const answer = pause.set(true);
  await guest.expect("pause", { on: false, errno: ETIMEDOUT });
  assert.deepEqual(await answer, { on: false, errno: ETIMEDOUT });
  assert.equal(status(), "running");
  state.close();
});

test("Pause.set() resumes the guest of a sandbox that began to stop in the meantime", async () => {
  using home = temporaryDirectory();
  const { state, key, status } = runningSandbox(home.path);
  const guest = new FakeGuest();
  const pause = new Pause(state, key, guest.link);
  const answer = pause.set(true);
  state.transition(key, "stopping");
  await guest.expect("pause", ON);
  await guest.expect("resume", OFF);
  assert.deepEqual(await answer, { on: false, errno: EBUSY });
  assert.equal(status(), "draining");
  state.close();
});

test("Pause.set() resumes the guest if the pause cannot be recorded", async () => {
  using home = temporaryDirectory();
  const { state, key, status } = runningSandbox(home.path);
  const guest = new FakeGuest();
  const pause = new Pause(state, key, guest.link);
  const repair = failEvents(home.path);
  const answer = pause.set(true);
  await guest.expect("pause", ON);
  await guest.expect("resume", OFF);
  await assert.rejects(answer, DatabaseError);
  assert.equal(status(), "running");
  repair();
  const again = pause.set(true);
  await guest.expect("pause", ON);
  assert.deepEqual(await again, ON);
  assert.equal(status(), "paused");
  state.close();
});

test("Pause.set() can be asked again to resume when the first resume was not recorded", async () => {
  using home = temporaryDirectory();
  const { state, key, status } = runningSandbox(home.path);
  const guest = new FakeGuest();
  const pause = new Pause(state, key, guest.link);
  const paused = pause.set(true);
  await guest.expect("pause", ON);
  await paused;
  const repair = failEvents(home.path);
  const answer = pause.set(false);
  await guest.expect("resume", OFF);
  await assert.rejects(answer, DatabaseError);
  repair();
  const again = pause.set(false);
  await guest.expect("resume", OFF);
  assert.deepEqual(await again, OFF);
  assert.equal(status(), "running");
  state.close();
});

test("WriteHolds gives clients their turns, one after the other", async () => {
  const guest = new FakeGuest();
  const holds = new WriteHolds(guest.link);
  const [first, second] = [{}, {}];
  const held = holds.hold(first, 1000);
  await guest.expect("hold", ON);
  assert.deepEqual(await held, ON);
  const waiting = holds.hold(second, 1000);
  assert.deepEqual(await holds.release(second), { on: false, errno: ETIMEDOUT }); // not its own
  const renewed = holds.hold(first, 1000);
  await guest.expect("hold", ON);
  await renewed;
  const released = holds.release(first);
  await guest.expect("release", OFF);
  assert.deepEqual(await released, OFF);
  await guest.expect("hold", ON);
  assert.deepEqual(await waiting, ON);
});

test("WriteHolds takes the turn back from a client that leaves, and from one that the guest refuses", async () => {
  const guest = new FakeGuest();
  const holds = new WriteHolds(guest.link);
  const [first, second, third] = [{}, {}, {}];
  const held = holds.hold(first, 1000);
  const gone = holds.hold(second, 1000);
  const last = holds.hold(third, 1000);
  holds.left(second);
  assert.deepEqual(await gone, { on: false, errno: EBUSY });
  holds.left(first); // while the guest is still at it
  await guest.expect("hold", ON);
  await held;
  await guest.expect("release", OFF);
  await guest.expect("hold", { on: false, errno: 5 });
  assert.deepEqual(await last, { on: false, errno: 5 });
  const again = holds.hold(first, 1000);
  await guest.expect("hold", ON);
  assert.deepEqual(await again, ON);
});

test(
  "AgentClient.pause() and freeze() are answered through the relay",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    assert.deepEqual(await client.pause(true), ON);
    assert.deepEqual(await client.pause(false), OFF);
    assert.deepEqual(
      host.calls.filter(({ name }) => name === "pause"),
      [
        { name: "pause", on: true },
        { name: "pause", on: false },
      ],
    );
    assert.deepEqual(await client.freeze(true, 1000), { on: false, errno: 95 }); // a guest without a disk
    assert.deepEqual(await client.freeze(false, 0), { on: false, errno: ETIMEDOUT });
    client.close();
    await client.closed;
    await assert.rejects(client.pause(true), AgentDisconnectedError);
  },
  native,
);
