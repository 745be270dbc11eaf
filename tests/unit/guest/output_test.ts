import assert from "node:assert/strict";
import { FrameFlag, MESSAGES, STREAM_WINDOW_BYTES, WireError } from "../../../src/agent/protocol.ts";
import { NativeAgent, nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const skip = nativeAgentProblem;
const STDOUT = MESSAGES.stdout.type;
const STDERR = MESSAGES.stderr.type;

/** Takes stdout frames without giving credit, until `bytes` have come. */
async function takeStdout(agent: NativeAgent, stream: number, bytes: number): Promise<void> {
  for (let taken = 0; taken < bytes; ) {
    const { data } = (await agent.expect("stdout", stream)).fields;
    taken += data.length;
    assert.ok(taken <= bytes, `${taken} bytes came, ${bytes} were allowed`);
  }
}

test(
  "stdout of 300 KB arrives whole",
  async () => {
    await using agent = await NativeAgent.start();
    const record = await agent.run(1, "head -c 300000 /dev/zero");
    assert.equal(record.outputBytes, 300_000);
    assert.deepEqual(record.exited, { code: 0, signal: 0 });
  },
  { skip },
);

test(
  "stdout stops at the window exactly, and goes on by exactly the credit given",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sh", "-c", "exec cat /dev/zero"]);
    await agent.expect("execStarted", 1);
    await takeStdout(agent, 1, STREAM_WINDOW_BYTES);
    await agent.settle();
    assert.deepEqual(agent.pending(1), []);
    for (const bytes of [1, 100_000, STREAM_WINDOW_BYTES]) {
      agent.send("credit", 1, { channel: STDOUT, bytes });
      await takeStdout(agent, 1, bytes);
      await agent.settle();
      assert.deepEqual(agent.pending(1), []);
    }
  },
  { skip },
);

test(
  "stdout without credit holds back neither stderr nor other sessions",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sh", "-c", "cat /dev/zero & read wait; echo told >&2; kill $!; read wait"], { flags: 2 });
    await agent.expect("execStarted", 1);
    await takeStdout(agent, 1, STREAM_WINDOW_BYTES);
    assert.equal((await agent.run(2, "echo free")).stdout, "free\n");
    agent.stdin(1, "\n");
    assert.equal((await agent.expect("credit", 1)).fields.bytes, 1);
    assert.equal(new TextDecoder().decode((await agent.expect("stderr", 1)).fields.data), "told\n");
  },
  { skip },
);

test(
  "credit beyond a whole window is refused",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sleep", "1000"]);
    await agent.expect("execStarted", 1);
    agent.send("credit", 1, { channel: STDERR, bytes: 1 });
    assert.equal((await agent.expect("error", 1)).fields.code, WireError.windowExceeded);
    agent.send("credit", 1, { channel: MESSAGES.exited.type, bytes: 1 });
    assert.equal((await agent.expect("error", 1)).fields.code, WireError.malformed);
  },
  { skip },
);

test(
  "each channel ends with its own frame, before closed",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sh", "-c", "exec 1>&-; read wait; exit 3"], { flags: 2 });
    await agent.expect("execStarted", 1);
    const ended = await agent.expect("stdout", 1);
    assert.equal(ended.flags, FrameFlag.end);
    assert.equal(ended.fields.data.length, 0);
    await agent.settle();
    assert.deepEqual(agent.pending(1), [], "stderr is still open");
    agent.stdin(1, "\n");
    const record = await agent.collect(1);
    assert.deepEqual(record.exited, { code: 3, signal: 0 });
    assert.ok(record.names.includes("stderr"));
  },
  { skip },
);

test(
  "exited does not wait for output that has no credit, and settled does",
  async () => {
    await using agent = await NativeAgent.start();
    const more = 10_000;
    agent.exec(1, ["sh", "-c", `head -c ${STREAM_WINDOW_BYTES + more} /dev/zero; exit 5`]);
    await agent.expect("execStarted", 1);
    let taken = 0;
    let hasExited = false;
    while (taken < STREAM_WINDOW_BYTES || !hasExited) {
      const message = await agent.next(1);
      if (message.name === "exited") hasExited = true;
      else if (message.name === "stdout") taken += message.fields.data.length;
      else if (message.name !== "stderr") assert.fail(`${message.name} came before all the output`);
    }
    await agent.settle();
    assert.ok(!agent.pending(1).some(({ name }) => name === "settled"));
    agent.send("credit", 1, { channel: STDOUT, bytes: more });
    const record = await agent.collect(1);
    assert.equal(record.outputBytes, more);
    assert.ok(record.names.indexOf("settled") > record.names.indexOf("stdout"));
  },
  { skip },
);

test(
  "a grandchild that holds the pipes delays neither exited nor settled, and its output still comes",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const path = `${directory.path}/fifo`;
    agent.exec(3, ["sh", "-c", `mkfifo ${path}; (read wait < ${path}; echo after) & echo before; exit 4`]);
    await agent.expect("execStarted", 3);
    const names: string[] = [];
    let text = "";
    for (;;) {
      const message = await agent.next(3);
      names.push(message.name);
      if (message.name === "stdout") text += new TextDecoder().decode(message.fields.data);
      if (message.name === "exited") assert.equal(message.fields.code, 4);
      if (message.name === "settled") break;
    }
    assert.equal(text, "before\n", "all that was written before the exit is there when it settles");
    assert.ok(names.includes("exited"));
    assert.deepEqual((await agent.run(4, `echo go > ${path}`)).exited, { code: 0, signal: 0 });
    const rest = await agent.collect(3);
    assert.equal(rest.stdout, "after\n");
    assert.equal(rest.names.at(-1), "closed");
  },
  { skip },
);

test(
  "a busy grandchild cannot keep a session from settling",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sh", "-c", "cat /dev/zero & echo; exit 0"]);
    await agent.expect("execStarted", 1);
    for (;;) {
      const message = await agent.next(1);
      if (message.name === "settled") break;
      if (message.name === "stdout")
        agent.send("credit", 1, { channel: STDOUT, bytes: message.fields.data.length });
    }
  },
  { skip },
);

test(
  "many sessions at once each get their own bytes, and none is starved",
  async () => {
    await using agent = await NativeAgent.start();
    const sessions = 40;
    const bytes = 200_000;
    agent.exec(1000, ["cat", "/dev/zero"]); // wants the wire for itself
    agent.exec(1001, ["cat", "/dev/zero"]);
    const hungry = [drain(agent, 1000), drain(agent, 1001)];
    for (let stream = 1; stream <= sessions; stream++)
      agent.exec(stream, ["sh", "-c", `echo ${stream}; head -c ${bytes} /dev/zero | tr '\\0' x`]);
    const records = await Promise.all(
      Array.from({ length: sessions }, (_, index) => agent.collect(index + 1)),
    );
    for (const [index, record] of records.entries())
      assert.equal(record.stdout, `${index + 1}\n${"x".repeat(bytes)}`);
    agent.send("close", 1000, {});
    agent.send("close", 1001, {});
    const [first, second] = await Promise.all(hungry);
    assert.ok(first !== undefined && second !== undefined && first > 0 && second > 0);
  },
  { skip, timeoutMs: 60_000 },
);

/** Takes and credits stdout until `closed`; the bytes that came. */
async function drain(agent: NativeAgent, stream: number): Promise<number> {
  return (await agent.collect(stream)).outputBytes;
}
