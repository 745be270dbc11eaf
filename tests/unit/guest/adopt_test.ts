/** `execAdopt`: a detached program goes on under another stream number. @module */
import assert from "node:assert/strict";
import { encodeFrame } from "../../../src/agent/frame.ts";
import {
  AdoptFlag,
  ExecFailure,
  ExecFlag,
  FrameFlag,
  MESSAGES,
  STREAM_WINDOW_BYTES,
  WireError,
} from "../../../src/agent/protocol.ts";
import {
  type MessageOf,
  NativeAgent,
  type NativeExecOptions,
  nativeAgentProblem,
} from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const skip = nativeAgentProblem;
const DETACHED: NativeExecOptions = { flags: ExecFlag.detached };
const WITH_INPUT = { flags: ExecFlag.detached | ExecFlag.stdinPipe | ExecFlag.keepInput };

/** Starts a detached program on `stream`; returns its process number. */
async function start(
  agent: NativeAgent,
  stream: number,
  script: string,
  options = DETACHED,
): Promise<number> {
  agent.exec(stream, ["sh", "-c", script], options);
  return (await agent.expect("execStarted", stream)).fields.pid;
}

async function adopt(
  agent: NativeAgent,
  source: number,
  stream: number,
): Promise<MessageOf<"adopted">["fields"]> {
  agent.send("execAdopt", stream, { source });
  return (await agent.expect("adopted", stream)).fields;
}

/** Takes data of `stream` until there are `size` bytes; returns them. */
async function take(agent: NativeAgent, stream: number, size: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let left = size; left > 0; ) {
    const { data } = (await agent.expect("stdout", stream)).fields;
    parts.push(data);
    left -= data.length;
    assert.ok(left >= 0, "more than was asked for");
  }
  return Buffer.concat(parts);
}

async function expectRefusal(agent: NativeAgent, source: number, stream: number): Promise<void> {
  agent.send("execAdopt", stream, { source });
  const { kind } = (await agent.expect("execFailed", stream)).fields;
  assert.equal(kind, ExecFailure.notFound);
  await agent.expect("closed", stream);
}

test(
  "execAdopt lets an abandoned program go on under another number, with its input",
  async () => {
    await using agent = await NativeAgent.start();
    const pid = await start(agent, 1, "while read line; do echo got $line; done; exit 5", WITH_INPUT);
    agent.send("close", 1, {});
    assert.deepEqual(await adopt(agent, 1, 9), {
      pid,
      flags: AdoptFlag.input,
      inputWindow: STREAM_WINDOW_BYTES,
    });
    assert.equal((await agent.expect("closed", 1)).flags, 0); // the number is free; nobody is there to be told more
    agent.stdin(9, "one\ntwo\n", FrameFlag.end);
    const record = await agent.collect(9);
    assert.equal(record.stdout, "got one\ngot two\n");
    assert.deepEqual(record.exited, { code: 5, signal: 0 });
    assert.deepEqual(agent.pending(1), []);
  },
  { skip },
);

test(
  "execAdopt takes the program from a client that is there, and tells it so",
  async () => {
    await using agent = await NativeAgent.start();
    await start(agent, 1, "cat", WITH_INPUT);
    agent.stdin(1, "to the first\n");
    await agent.expect("credit", 1);
    assert.equal(Buffer.from(await take(agent, 1, 13)).toString(), "to the first\n");
    await adopt(agent, 1, 2);
    await agent.expect("handedOver", 1);
    await agent.expect("closed", 1);
    // What the first client still sends is dropped: it cannot know yet.
    agent.stdin(1, "late\n");
    agent.send("signal", 1, { signal: 9, scope: 0 });
    agent.send("close", 1, {});
    agent.stdin(2, "to the second\n", FrameFlag.end);
    const record = await agent.collect(2);
    assert.equal(record.stdout, "to the second\n");
    assert.deepEqual(record.exited, { code: 0, signal: 0 });
    assert.deepEqual(agent.pending(1), []);
  },
  { skip },
);

test(
  "execAdopt loses and repeats no byte while output flows, and starts with whole windows",
  async () => {
    await using agent = await NativeAgent.start();
    const size = 16 * STREAM_WINDOW_BYTES; // more than the pipe holds: the program runs on
    await start(agent, 1, `head -c ${size} /dev/zero`);
    const first = await take(agent, 1, STREAM_WINDOW_BYTES); // its window is used up: it stands still
    await agent.settle();
    assert.deepEqual(agent.pending(1), []);
    await adopt(agent, 1, 2);
    const second = await take(agent, 2, STREAM_WINDOW_BYTES);
    await agent.settle();
    assert.deepEqual(agent.pending(2), []);
    await adopt(agent, 2, 3);
    const rest = await agent.collect(3);
    assert.equal(first.length + second.length + rest.outputBytes, size);
    assert.equal(rest.names.at(-1), "closed");
  },
  { skip },
);

test(
  "execAdopt says how much input may be sent while what was sent before still waits",
  async () => {
    await using agent = await NativeAgent.start();
    await start(agent, 1, "read line; sleep 0.01; cat >/dev/null; exit 3", WITH_INPUT);
    const waiting = 200_000; // beyond what a pipe takes
    agent.stdin(1, new Uint8Array(waiting).fill(120));
    await agent.settle();
    agent.send("close", 1, {});
    const { inputWindow } = await adopt(agent, 1, 2);
    assert.ok(inputWindow < STREAM_WINDOW_BYTES && inputWindow >= STREAM_WINDOW_BYTES - waiting);
    agent.stdin(2, "\n");
    // Bytes of the window and those that wait are given back as they are written, and no more than that.
    let window = inputWindow - 1;
    agent.stdin(2, new Uint8Array(window)); // the whole window is good
    window = 0;
    while (window < STREAM_WINDOW_BYTES) window += (await agent.expect("credit", 2)).fields.bytes;
    assert.equal(window, STREAM_WINDOW_BYTES);
    agent.stdin(2, "", FrameFlag.end);
    assert.deepEqual((await agent.collect(2)).exited, { code: 3, signal: 0 });
  },
  { skip },
);

test(
  "execAdopt hands a terminal over, which goes on with its size and its input",
  async () => {
    await using agent = await NativeAgent.start();
    const flags = ExecFlag.detached | ExecFlag.tty;
    agent.exec(1, ["sh", "-c", "stty -echo; read line; echo got $line; stty size"], {
      flags,
      rows: 10,
      columns: 20,
    });
    await agent.expect("execStarted", 1);
    agent.send("close", 1, {});
    const { flags: state } = await adopt(agent, 1, 2);
    assert.equal(state, AdoptFlag.tty | AdoptFlag.input);
    agent.send("resize", 2, { rows: 30, columns: 40 });
    agent.stdin(2, "hello\n");
    const record = await agent.collect(2);
    assert.match(record.output, /got hello\r\n30 40\r\n$/);
    assert.deepEqual(record.exited, { code: 0, signal: 0 });
  },
  { skip },
);

test(
  "execAdopt tells the new client again which channels have ended",
  async () => {
    await using agent = await NativeAgent.start();
    await start(agent, 1, "exec 2>&-; read line; echo $line", WITH_INPUT);
    for (let ended = false; !ended; ) {
      const message = await agent.next(1);
      ended = message.name === "stderr" && (message.flags & FrameFlag.end) !== 0;
    }
    await adopt(agent, 1, 2);
    const { flags } = await agent.expect("stderr", 2);
    assert.equal(flags, FrameFlag.end);
    agent.stdin(2, "done\n");
    assert.equal((await agent.collect(2)).stdout, "done\n");
  },
  { skip },
);

test(
  "clientGone abandons an adopted program again, and ends one without keepInput by its input",
  async () => {
    await using agent = await NativeAgent.start();
    await start(agent, 1, "read line; echo got $line; cat >/dev/null", WITH_INPUT);
    await adopt(agent, 1, 20);
    agent.send("clientGone", 0, { firstStream: 20, lastStream: 29 });
    await agent.settle();
    await adopt(agent, 20, 30);
    agent.stdin(30, "on\n", FrameFlag.end);
    assert.equal((await agent.collect(30)).stdout, "got on\n");

    await start(agent, 2, "cat; exit 4", { flags: ExecFlag.detached | ExecFlag.stdinPipe });
    agent.send("close", 2, {});
    assert.deepEqual((await agent.collect(2)).exited, { code: 4, signal: 0 });
  },
  { skip },
);

test(
  "execAdopt refuses what has ended, never was, is not detached, or is no program",
  async () => {
    await using agent = await NativeAgent.start();
    await expectRefusal(agent, 77, 2);
    await expectRefusal(agent, 3, 3); // itself

    agent.exec(4, ["sleep", "1000"]);
    await agent.expect("execStarted", 4);
    await expectRefusal(agent, 4, 5);

    await start(agent, 6, "exit 0");
    await agent.collect(6);
    await expectRefusal(agent, 6, 7);

    agent.send("udpOpen", 8, { port: 9 });
    await expectRefusal(agent, 8, 9);

    agent.exec(10, ["x".repeat(100)], DETACHED, 50); // one whose parts still come
    await expectRefusal(agent, 12, 13);
  },
  { skip },
);

test(
  "execAdopt refuses a program that has exited while something in the background holds its pipes",
  async () => {
    await using agent = await NativeAgent.start();
    await start(agent, 1, "sleep 1000 & exit 0");
    await agent.expect("exited", 1);
    await expectRefusal(agent, 1, 2);
  },
  { skip },
);

test(
  "execAdopt refuses a number that is in use, and a payload that is none",
  async () => {
    await using agent = await NativeAgent.start();
    await start(agent, 1, "sleep 1000");
    await start(agent, 2, "sleep 1000");
    agent.send("execAdopt", 2, { source: 1 });
    assert.equal((await agent.expect("error", 2)).fields.code, WireError.badStream);
    for (const payload of [new Uint8Array(0), new Uint8Array(3), new Uint8Array(5)]) {
      agent.sendBytes(encodeFrame({ stream: 3, type: MESSAGES.execAdopt.type, flags: 0, payload }));
      assert.equal((await agent.expect("error", 3)).fields.code, WireError.malformed);
    }
    agent.send("execAdopt", 0, { source: 1 });
    assert.equal((await agent.expect("error", 0)).fields.code, WireError.badStream);
    await adopt(agent, 1, 3); // and nothing of that has touched it
  },
  { skip },
);
