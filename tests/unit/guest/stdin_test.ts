import assert from "node:assert/strict";
import {
  ExecFlag,
  FrameFlag,
  MESSAGES,
  STREAM_WINDOW_BYTES,
  WireError,
} from "../../../src/agent/protocol.ts";
import { NativeAgent, nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const skip = nativeAgentProblem;
const PIPE = { flags: ExecFlag.stdinPipe };

/** Takes `credit` messages until `bytes` are given back. */
async function takeCredit(agent: NativeAgent, stream: number, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; ) {
    const { channel, bytes: given } = (await agent.expect("credit", stream)).fields;
    assert.equal(channel, MESSAGES.stdin.type);
    left -= given;
    assert.ok(left >= 0, "more credit came back than was used");
  }
}

test(
  "stdin reaches the process, and its end is the process's end of file",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["cat"], PIPE);
    agent.stdin(1, "first ");
    agent.stdin(1, "second", FrameFlag.end);
    const record = await agent.collect(1);
    assert.equal(record.stdout, "first second");
    assert.deepEqual(record.exited, { code: 0, signal: 0 });
  },
  { skip },
);

test(
  "stdin of 300 KB comes back whole from cat, with credit for every byte",
  async () => {
    await using agent = await NativeAgent.start();
    const sent = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31 + (index >> 8)) & 0xff);
    agent.exec(1, ["cat"], PIPE);
    await agent.expect("execStarted", 1);
    const received: number[] = [];
    let window = STREAM_WINDOW_BYTES;
    let offset = 0;
    let credited = 0;
    while (received.length < sent.length) {
      const size = Math.min(window, 50_000, sent.length - offset);
      if (size > 0) {
        agent.stdin(
          1,
          sent.subarray(offset, offset + size),
          offset + size === sent.length ? FrameFlag.end : 0,
        );
        offset += size;
        window -= size;
      }
      const message = await agent.next(1);
      if (message.name === "credit") {
        window += message.fields.bytes;
        credited += message.fields.bytes;
      } else if (message.name === "stdout") {
        received.push(...message.fields.data);
        if (message.fields.data.length > 0)
          agent.send("credit", 1, { channel: MESSAGES.stdout.type, bytes: message.fields.data.length });
      }
    }
    assert.deepEqual(Uint8Array.from(received), sent);
    assert.equal(credited, sent.length);
    assert.ok(window <= STREAM_WINDOW_BYTES);
  },
  { skip },
);

test(
  "stdin may fill the whole window of a process that does not read, and no byte more",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sleep", "1000"], PIPE);
    await agent.expect("execStarted", 1);
    agent.stdin(1, new Uint8Array(STREAM_WINDOW_BYTES));
    await agent.settle();
    // The pipe took some of it, so as much came back; the rest of the window is used up.
    let window = 0;
    for (const message of agent.pending(1)) if (message.name === "credit") window += message.fields.bytes;
    assert.ok(window < STREAM_WINDOW_BYTES);
    agent.stdin(1, new Uint8Array(window));
    assert.equal((await agent.run(2, "echo alive")).stdout, "alive\n", "the agent is not blocked");
    assert.ok(agent.pending(1).every(({ name }) => name === "credit"));
    agent.stdin(1, new Uint8Array(STREAM_WINDOW_BYTES));
    for (;;) {
      const message = await agent.next(1);
      if (message.name === "credit") continue;
      assert.equal(message.name, "error");
      assert.equal(message.name === "error" && message.fields.code, WireError.windowExceeded);
      break;
    }
    assert.deepEqual((await agent.collect(1)).exited, { code: 0, signal: 9 });
  },
  { skip },
);

test(
  "stdin waits for a slow process and arrives whole",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sh", "-c", "read start; wc -c"], PIPE);
    agent.stdin(1, new Uint8Array(200_000).fill(0x61));
    await agent.settle();
    agent.stdin(1, "\n");
    agent.stdin(1, new Uint8Array(50_000), FrameFlag.end);
    assert.equal((await agent.collect(1)).stdout.trim(), "50000");
  },
  { skip },
);

test(
  "stdin that nobody reads any more is told once, and still gets its credit back",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sh", "-c", "exec 0<&-; echo closed; sleep 1000"], PIPE);
    await agent.expect("execStarted", 1);
    await agent.expect("stdout", 1);
    agent.stdin(1, "x".repeat(1000));
    const { fields } = await agent.expect("stdinError", 1);
    assert.equal(fields.errno, 32);
    await takeCredit(agent, 1, 1000);
    agent.stdin(1, "y".repeat(5000));
    await takeCredit(agent, 1, 5000);
  },
  { skip },
);

test(
  "stdin for a process without a pipe is dropped, with its credit given back",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sleep", "1000"]);
    await agent.expect("execStarted", 1);
    agent.stdin(1, "nobody wants this");
    await takeCredit(agent, 1, 17);
  },
  { skip },
);
