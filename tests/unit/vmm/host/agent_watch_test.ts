import assert from "node:assert/strict";
import { AgentWatch } from "../../../../src/vmm/host/agent_watch.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { test } from "../../../support/harness.ts";

const TIMEOUT_MS = 4_000;

/** A watch over an agent that answers while `isWell`. */
function watched() {
  const clock = new FakeClock();
  const agent = {
    signsOfLife: 0,
    isWell: true,
    pings: 0,
    ping() {
      this.pings++;
      if (this.isWell) this.signsOfLife++;
    },
  };
  const watch = new AgentWatch(clock);
  const hangs: number[] = [];
  watch.begin(agent, TIMEOUT_MS, () => hangs.push(clock.now()));
  return { clock, agent, watch, hangs };
}

test("AgentWatch lets an agent live that answers", () => {
  const { clock, agent, hangs } = watched();
  clock.advance(100 * TIMEOUT_MS);
  assert.deepEqual(hangs, []);
  assert.ok(agent.pings > 0);
});

test("AgentWatch finds one that has not answered for the timeout, once", () => {
  const { clock, agent, hangs } = watched();
  clock.advance(TIMEOUT_MS);
  agent.isWell = false;
  const begin = clock.now();
  clock.advance(TIMEOUT_MS);
  assert.deepEqual(hangs, [], "not before it was asked for as long");
  clock.advance(TIMEOUT_MS);
  assert.equal(hangs.length, 1);
  assert.ok((hangs[0] ?? 0) - begin <= 1.5 * TIMEOUT_MS);
  clock.advance(10 * TIMEOUT_MS);
  assert.equal(hangs.length, 1);
  assert.equal(clock.alarms, 0);
});

test("AgentWatch takes whatever the guest says for a sign of life, and then does not ask", () => {
  const { clock, agent, hangs } = watched();
  agent.isWell = false;
  for (let turn = 0; turn < 100; turn++) {
    agent.signsOfLife++;
    clock.advance(TIMEOUT_MS / 4);
  }
  assert.deepEqual(hangs, []);
  assert.equal(agent.pings, 0);
});

test("AgentWatch counts answers that came late, after fewer questions than it takes", () => {
  const { clock, agent, hangs } = watched();
  agent.isWell = false;
  for (let turn = 0; turn < 10; turn++) {
    clock.advance(TIMEOUT_MS);
    agent.signsOfLife++;
  }
  assert.deepEqual(hangs, []);
});

test("AgentWatch.close() ends it, and may come before begin()", () => {
  const { clock, agent, watch, hangs } = watched();
  agent.isWell = false;
  watch.close();
  clock.advance(10 * TIMEOUT_MS);
  assert.deepEqual(hangs, []);
  assert.equal(clock.alarms, 0);
  new AgentWatch(clock).close();
});
