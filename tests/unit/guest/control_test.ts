import assert from "node:assert/strict";
import { PROTOCOL_VERSION, WireError } from "../../../src/agent/protocol.ts";
import { NativeAgent, nativeAgentProblem, processEnd } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const skip = nativeAgentProblem;

/** A frame that the codec would refuse to make. */
function rawFrame(type: number, stream: number, payload: readonly number[]): Uint8Array {
  const header = new Uint8Array(12 + payload.length);
  const view = new DataView(header.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(4, stream, true);
  header[8] = type;
  header.set(payload, 12);
  return header;
}

test(
  "hello comes first, with the version; boot is answered by ready with times in order",
  async () => {
    await using agent = await NativeAgent.start({ boot: false });
    const hello = await agent.expect("hello", 0);
    assert.equal(hello.fields.version, PROTOCOL_VERSION);
    agent.boot();
    const { fields } = await agent.expect("ready", 0);
    assert.ok(fields.agentStartMicros <= fields.bootMessageMicros);
    assert.ok(fields.bootMessageMicros <= fields.readyMicros);
    assert.notEqual(fields.kernelRelease, "");
  },
  { skip },
);

test(
  "nothing runs before boot, and boot comes once",
  async () => {
    await using agent = await NativeAgent.start({ boot: false });
    await agent.expect("hello", 0);
    agent.exec(1, ["true"]);
    assert.equal((await agent.expect("error", 1)).fields.code, WireError.notReady);
    agent.boot();
    await agent.expect("ready", 0);
    agent.boot();
    assert.equal((await agent.expect("error", 0)).fields.code, WireError.malformed);
    assert.equal((await agent.run(1, "echo works")).stdout, "works\n");
  },
  { skip },
);

test(
  "ping is answered on its own stream",
  async () => {
    await using agent = await NativeAgent.start();
    for (const stream of [0, 1, 0xffff_ffff]) {
      agent.send("ping", stream, { token: 0xdead_beef });
      assert.equal((await agent.expect("pong", stream)).fields.token, 0xdead_beef);
    }
  },
  { skip },
);

test(
  "an unknown type is answered by an error, and the connection goes on",
  async () => {
    await using agent = await NativeAgent.start();
    for (const type of [0, 0x10, 0x2f, 0xff]) {
      agent.sendBytes(rawFrame(type, 5, [1, 2, 3]));
      const { fields } = await agent.expect("error", 5);
      assert.equal(fields.code, WireError.unknownType);
      assert.equal(fields.offendingType, type);
    }
    await agent.settle();
  },
  { skip },
);

test(
  "an error is never answered",
  async () => {
    await using agent = await NativeAgent.start();
    agent.send("error", 3, { code: 1, offendingType: 1, message: "" });
    await agent.settle();
    assert.deepEqual(agent.pending(3), []);
  },
  { skip },
);

test(
  "every payload that is cut short or too long is refused as malformed",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(7, ["sleep", "1000"]);
    await agent.expect("execStarted", 7);
    const types = [
      [0x02, 0],
      [0x05, 0],
      [0x07, 0],
      [0x08, 0],
      [0x0c, 0], // boot, ping, clock, shutdown, clientGone
      [0x28, 7],
      [0x2b, 7],
      [0x2c, 7], // credit, signal, resize
    ] as const;
    for (const [type, stream] of types) {
      for (const payload of [[1], Array.from({ length: 500 }, () => 0)]) {
        agent.sendBytes(rawFrame(type, stream, payload));
        assert.equal((await agent.expect("error", stream)).fields.code, WireError.malformed, `type ${type}`);
      }
    }
    agent.sendBytes(rawFrame(0x0a, 0, [1])); // go has no fields: this one must not end anything
    assert.equal((await agent.expect("error", 0)).fields.code, WireError.malformed);
  },
  { skip },
);

test(
  "a message on the wrong kind of stream is refused",
  async () => {
    await using agent = await NativeAgent.start();
    agent.send("shutdown", 4, { graceMs: 0 });
    assert.equal((await agent.expect("error", 4)).fields.code, WireError.badStream);
    agent.exec(0, ["true"]);
    assert.equal((await agent.expect("error", 0)).fields.code, WireError.badStream);
  },
  { skip },
);

test(
  "frames are understood however they are cut",
  async () => {
    await using agent = await NativeAgent.start();
    const frame = rawFrame(0x05, 6, [1, 2, 3, 4]);
    for (const byte of frame) {
      agent.sendBytes(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal((await agent.expect("pong", 6)).fields.token, 0x04030201);
  },
  { skip },
);

for (const [what, bytes] of [
  ["a payload over the limit", [1, 0, 1, 0, 0, 0, 0, 0, 5, 0, 0, 0]],
  ["a reserved field that is not zero", [0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 1, 0]],
] as const) {
  test(
    `a header with ${what} ends the agent: it cannot find the next frame`,
    async () => {
      await using agent = await NativeAgent.start();
      agent.sendBytes(Uint8Array.from(bytes));
      assert.deepEqual(await agent.exit, { code: 1, signal: null });
    },
    { skip },
  );
}

test(
  "an agent whose host is gone kills its programs and ends",
  async () => {
    const agent = await NativeAgent.start();
    agent.exec(1, ["sleep", "1000"]);
    const { pid } = (await agent.expect("execStarted", 1)).fields;
    await agent[Symbol.asyncDispose]();
    assert.deepEqual(await agent.exit, { code: 1, signal: null });
    await processEnd(pid);
  },
  { skip },
);

/** More than all the buffers between here and there hold. */
const PINGS = 100_000;

function pings(): Uint8Array {
  const bytes = new Uint8Array(PINGS * 16);
  for (let index = 0; index < PINGS; index++) bytes.set(rawFrame(0x05, 6, [0, 0, 0, 0]), index * 16);
  return bytes;
}

test(
  "an agent whose host does not read waits, and loses nothing",
  async () => {
    await using agent = await NativeAgent.start();
    agent.pause();
    agent.sendBytes(pings());
    agent.resume();
    for (let index = 0; index < PINGS; index++) await agent.expect("pong", 6);
    await agent.settle();
    assert.deepEqual(agent.pending(6), []);
  },
  { skip },
);

test(
  "an agent whose host does not read ends when the host is gone",
  async () => {
    const agent = await NativeAgent.start();
    agent.pause();
    agent.sendBytes(pings());
    await agent[Symbol.asyncDispose]();
    assert.deepEqual(await agent.exit, { code: 1, signal: null });
  },
  { skip },
);

test(
  "go ends the agent with success",
  async () => {
    await using agent = await NativeAgent.start();
    agent.send("go", 0, {});
    assert.deepEqual(await agent.exit, { code: 0, signal: null });
  },
  { skip },
);

test(
  "pause and freeze are refused with an errno where there is neither a control group nor a disk of one's own",
  async () => {
    await using agent = await NativeAgent.start();
    const EOPNOTSUPP = 95;
    agent.send("pause", 0, { token: 7, on: 1 });
    assert.deepEqual((await agent.expect("paused", 0)).fields, { token: 7, on: 0, errno: EOPNOTSUPP });
    agent.send("freeze", 0, { token: 8, on: 1, leaseMs: 1000 });
    assert.deepEqual((await agent.expect("frozen", 0)).fields, { token: 8, on: 0, errno: EOPNOTSUPP });
    assert.equal((await agent.run(1, "echo works")).stdout, "works\n");
    agent.send("pause", 0, { token: 9, on: 0 });
    assert.deepEqual((await agent.expect("paused", 0)).fields, { token: 9, on: 0, errno: 0 });
  },
  { skip },
);
