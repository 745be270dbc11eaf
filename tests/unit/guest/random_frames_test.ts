import assert from "node:assert/strict";
import { ExecFlag, FrameFlag, MESSAGES } from "../../../src/agent/protocol.ts";
import { NativeAgent, nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";
import { type SeededRandom, seededRandom } from "../../support/random.ts";

const ROUNDS = 20;
const FRAMES_A_ROUND = 300;
const STREAMS = 6;

/** Those that end the agent, or everything in it, are left out. */
const TYPES = Array.from({ length: 0x7a }, (_, type) => type).filter(
  (type) => type !== MESSAGES.shutdown.type && type !== MESSAGES.go.type && type !== MESSAGES.execStart.type,
);

/** A header in order, the rest as it comes. */
function randomFrame(random: SeededRandom): Uint8Array {
  const payload = random.bytes(random.pick([0, 1, 2, 4, 5, 8, random.integer(0, 2000)]));
  const frame = new Uint8Array(12 + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(4, random.integer(0, STREAMS), true);
  frame[8] = random.pick(TYPES);
  frame[9] = random.pick([0, FrameFlag.end, FrameFlag.more, random.integer(0, 255)]);
  frame.set(payload, 12);
  return frame;
}

function randomExec(agent: NativeAgent, random: SeededRandom): void {
  const script = random.pick([
    "true",
    "cat",
    "echo out; echo err >&2",
    "sleep 0.01 & exit 1",
    "head -c 300000 /dev/zero",
  ]);
  const flags = random.pick([0, ExecFlag.stdinPipe, ExecFlag.tty, ExecFlag.stdinPipe | ExecFlag.detached]);
  agent.exec(random.integer(1, STREAMS), ["sh", "-c", script], { flags }, random.pick([7, 64 * 1024]));
}

test(
  "the agent survives random frames among random sessions, and still serves",
  async () => {
    const random = seededRandom("random frames");
    await using agent = await NativeAgent.start();
    for (let round = 0; round < ROUNDS; round++) {
      for (let frame = 0; frame < FRAMES_A_ROUND; frame++) {
        if (random.integer(0, 19) === 0) randomExec(agent, random);
        else agent.sendBytes(randomFrame(random));
      }
      await agent.settle();
    }
    agent.send("clientGone", 0, { firstStream: 0, lastStream: STREAMS });
    assert.equal((await agent.run(1000, "echo served")).stdout, "served\n");
  },
  { skip: nativeAgentProblem, timeoutMs: 60_000 },
);
