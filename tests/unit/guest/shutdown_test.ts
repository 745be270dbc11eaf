import assert from "node:assert/strict";
import { ExecFailure, STREAM_WINDOW_BYTES } from "../../../src/agent/protocol.ts";
import { NativeAgent, nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const skip = nativeAgentProblem;
const LONG_MS = 60_000;

async function start(agent: NativeAgent, stream: number, script: string, flags = 0): Promise<void> {
  agent.exec(stream, ["sh", "-c", script], { flags });
  await agent.expect("execStarted", stream);
  const message = await agent.next(stream);
  assert.ok(message.name === "stdout" || message.name === "output");
}

test(
  "shutdown asks every program to end, and sends its last output before flushed",
  async () => {
    await using agent = await NativeAgent.start();
    await start(agent, 1, "trap 'echo bye; exit 6' TERM; echo ready; while :; do sleep 0.01; done");
    await start(agent, 2, "echo ready; exec sleep 1000");
    agent.send("shutdown", 0, { graceMs: LONG_MS });
    const [polite, plain] = await Promise.all([agent.collect(1), agent.collect(2)]);
    assert.equal(polite.stdout, "bye\n");
    assert.deepEqual(polite.exited, { code: 6, signal: 0 });
    assert.deepEqual(plain.exited, { code: 0, signal: 15 });
    assert.equal((await agent.expect("flushed", 0)).fields.clean, 1);
    agent.send("go", 0, {});
    assert.deepEqual(await agent.exit, { code: 0, signal: null });
  },
  { skip },
);

test(
  "shutdown kills what ignores it once the grace is over",
  async () => {
    await using agent = await NativeAgent.start();
    await start(agent, 1, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
    agent.send("shutdown", 0, { graceMs: 50 });
    assert.deepEqual((await agent.collect(1)).exited, { code: 0, signal: 9 });
    await agent.expect("flushed", 0);
  },
  { skip },
);

test(
  "shutdown with no grace kills at once",
  async () => {
    await using agent = await NativeAgent.start();
    await start(agent, 1, "trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done");
    agent.send("shutdown", 0, { graceMs: 0 });
    assert.deepEqual((await agent.collect(1)).exited, { code: 0, signal: 9 });
    await agent.expect("flushed", 0);
  },
  { skip },
);

test(
  "shutdown wakes a stopped program and hangs up a terminal",
  async () => {
    await using agent = await NativeAgent.start();
    await start(agent, 1, "echo ready; kill -STOP $$; sleep 1000");
    await start(agent, 2, "trap '' TERM; echo ready; exec sleep 1000", 1);
    agent.send("shutdown", 0, { graceMs: LONG_MS });
    assert.deepEqual((await agent.collect(1)).exited, { code: 0, signal: 15 });
    assert.deepEqual((await agent.collect(2)).exited, { code: 0, signal: 1 });
    await agent.expect("flushed", 0);
  },
  { skip },
);

test(
  "shutdown refuses new programs",
  async () => {
    await using agent = await NativeAgent.start();
    await start(agent, 1, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
    agent.send("shutdown", 0, { graceMs: LONG_MS });
    agent.exec(2, ["true"]);
    assert.equal((await agent.expect("execFailed", 2)).fields.kind, ExecFailure.shuttingDown);
    await agent.expect("closed", 2);
  },
  { skip },
);

test(
  "shutdown does not wait for ever for a client that takes nothing: the rest goes to the log",
  async () => {
    await using agent = await NativeAgent.start();
    const bytes = STREAM_WINDOW_BYTES + 50_000;
    agent.exec(1, ["sh", "-c", `head -c ${bytes} /dev/zero; echo >&2; sleep 1000`]);
    await agent.expect("execStarted", 1);
    let taken = 0;
    let hasWritten = false; // all of it: what the client does not take waits in the pipe
    while (taken < STREAM_WINDOW_BYTES || !hasWritten) {
      const message = await agent.next(1);
      if (message.name === "stdout") taken += message.fields.data.length;
      else hasWritten = message.name === "stderr";
    }
    agent.send("shutdown", 0, { graceMs: LONG_MS });
    for (;;) {
      const message = await agent.next(1);
      if (message.name === "stdout") taken += message.fields.data.length;
      if (message.name === "closed") break;
    }
    assert.equal(taken, bytes);
    await agent.expect("flushed", 0);
  },
  { skip },
);

test(
  "shutdown with nothing running is flushed right away; a second one changes nothing",
  async () => {
    await using agent = await NativeAgent.start();
    agent.send("shutdown", 0, { graceMs: LONG_MS });
    agent.send("shutdown", 0, { graceMs: LONG_MS });
    await agent.expect("flushed", 0);
    await agent.settle();
    assert.deepEqual(agent.pending(0), []);
  },
  { skip },
);
