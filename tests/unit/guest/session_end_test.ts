import assert from "node:assert/strict";
import {
  ExecFlag,
  FrameFlag,
  type Message,
  STREAM_WINDOW_BYTES,
  WireError,
} from "../../../src/agent/protocol.ts";
import { NativeAgent, nativeAgentProblem, processEnd } from "../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const skip = nativeAgentProblem;
/** As in `guest/limits.h`. */
const SESSIONS_LINGERING_MAX = 64;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The messages of `stream` until one is called `name`. */
async function until(agent: NativeAgent, stream: number, name: Message["name"]): Promise<Message[]> {
  const messages: Message[] = [];
  for (;;) {
    const message = await agent.next(stream);
    messages.push(message);
    if (message.name === name) return messages;
  }
}

/** Starts `script` and returns its process number and the first line that it prints. */
async function startScript(
  agent: NativeAgent,
  stream: number,
  script: string,
  flags = 0,
): Promise<[number, string]> {
  agent.exec(stream, ["sh", "-c", script], { flags });
  const { pid } = (await agent.expect("execStarted", stream)).fields;
  let line = "";
  while (!line.includes("\n"))
    line += new TextDecoder().decode((await agent.expect("stdout", stream)).fields.data);
  return [pid, line.trim()];
}

test(
  "signal goes to the whole group, or to the process alone",
  async () => {
    await using agent = await NativeAgent.start();
    const script =
      "trap '' TERM; sh -c 'trap \"exit 0\" TERM; echo child; while :; do sleep 0.01; done'; echo survived";
    const [, line] = await startScript(agent, 1, script);
    assert.equal(line, "child");
    agent.send("signal", 1, { signal: 15, scope: 1 }); // the leader ignores it, the child does not get it
    await agent.settle();
    assert.deepEqual(agent.pending(1), []);
    agent.send("signal", 1, { signal: 9, scope: 0 });
    assert.deepEqual((await agent.collect(1)).exited, { code: 0, signal: 9 });
  },
  { skip },
);

test(
  "signal with a number or scope that does not exist is refused",
  async () => {
    await using agent = await NativeAgent.start();
    await startScript(agent, 1, "echo ready; sleep 1000");
    for (const fields of [
      { signal: 0, scope: 0 },
      { signal: 200, scope: 0 },
      { signal: 15, scope: 2 },
    ]) {
      agent.send("signal", 1, fields);
      assert.equal((await agent.expect("error", 1)).fields.code, WireError.malformed);
    }
  },
  { skip },
);

test(
  "frames for a session that has ended are ignored",
  async () => {
    await using agent = await NativeAgent.start();
    await agent.run(1, "true");
    agent.send("signal", 1, { signal: 9, scope: 0 });
    agent.stdin(1, "late");
    agent.send("credit", 1, { channel: 0x25, bytes: 1 });
    agent.send("resize", 1, { rows: 1, columns: 1 });
    agent.send("close", 1, {});
    await agent.settle();
    assert.deepEqual(agent.pending(1), []);
  },
  { skip },
);

test(
  "close kills the whole group",
  async () => {
    await using agent = await NativeAgent.start();
    const [, line] = await startScript(agent, 1, "sleep 1000 & echo $!; wait");
    assert.ok(isAlive(Number(line)));
    agent.send("close", 1, {});
    const record = await agent.collect(1);
    assert.deepEqual(record.exited, { code: 0, signal: 9 });
    assert.equal(record.names.at(-1), "closed");
    await processEnd(Number(line));
  },
  { skip },
);

test(
  "close leaves a detached process running, and its output is for the log only",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const path = `${directory.path}/fifo`;
    const script = `mkfifo ${path}; echo ready; read line < ${path}; echo "got $line"; exit 3`;
    await startScript(agent, 1, script, ExecFlag.detached);
    agent.send("close", 1, {});
    await agent.run(2, `echo word > ${path}`);
    const messages = await until(agent, 1, "closed");
    for (const { name, flags } of messages)
      if (name !== "closed") assert.ok(flags & FrameFlag.logOnly, `${name} is for the log only`);
    const text = messages.flatMap((message) => (message.name === "stdout" ? [...message.fields.data] : []));
    assert.equal(new TextDecoder().decode(Uint8Array.from(text)), "got word\n");
    assert.ok(messages.some((message) => message.name === "exited" && message.fields.code === 3));
  },
  { skip },
);

test(
  "close after the exit leaves what runs in the background alone, and its output needs no credit",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const path = `${directory.path}/fifo`;
    const bytes = 2 * STREAM_WINDOW_BYTES;
    agent.exec(1, ["sh", "-c", `mkfifo ${path}; (read line < ${path}; head -c ${bytes} /dev/zero) & exit 0`]);
    await until(agent, 1, "settled");
    agent.send("close", 1, {});
    await agent.run(2, `echo go > ${path}`);
    const messages = await until(agent, 1, "closed");
    let taken = 0;
    for (const message of messages) if (message.name === "stdout") taken += message.fields.data.length;
    assert.equal(taken, bytes);
  },
  { skip },
);

test(
  "clientGone ends the sessions of its range that are not detached, and no other",
  async () => {
    await using agent = await NativeAgent.start();
    const first = 1 << 24;
    for (const stream of [first, first + 5, (2 << 24) - 1, 2 << 24])
      await startScript(agent, stream, "echo ready; sleep 1000");
    const [detached] = await startScript(agent, first + 6, "echo ready; sleep 1000", ExecFlag.detached);
    agent.send("clientGone", 0, { firstStream: first, lastStream: (2 << 24) - 1 });
    for (const stream of [first, first + 5, (2 << 24) - 1])
      assert.deepEqual((await agent.collect(stream)).exited, { code: 0, signal: 9 });
    await agent.settle();
    assert.deepEqual(agent.pending(2 << 24), []);
    assert.deepEqual(agent.pending(first + 6), []);
    assert.ok(isAlive(detached));
    agent.send("signal", first + 6, { signal: 15, scope: 0 });
    assert.deepEqual((await agent.collect(first + 6)).exited, { code: 0, signal: 15 });
  },
  { skip },
);

test(
  "clientGone drops an execStart of which only a part has come",
  async () => {
    await using agent = await NativeAgent.start();
    agent.sendBytes(new Uint8Array([1, 0, 0, 0, 9, 0, 0, 0, 0x20, FrameFlag.more, 0, 0, 0]));
    agent.send("clientGone", 0, { firstStream: 9, lastStream: 9 });
    assert.equal((await agent.run(9, "echo free")).stdout, "free\n");
  },
  { skip },
);

test(
  "the oldest lingering session is closed when there are too many",
  async () => {
    await using agent = await NativeAgent.start();
    for (let stream = 1; stream <= SESSIONS_LINGERING_MAX + 1; stream++) {
      agent.exec(stream, ["sh", "-c", "sleep 1000 & exit 0"]);
      await until(agent, stream, "settled");
      agent.send("close", stream, {});
    }
    assert.equal((await agent.collect(1)).names.at(-1), "closed");
    await agent.settle();
    for (let stream = 2; stream <= SESSIONS_LINGERING_MAX + 1; stream++)
      assert.deepEqual(agent.pending(stream), []);
    await agent.run(500, "pkill -KILL -P $PPID sleep");
  },
  { skip, timeoutMs: 60_000 },
);

test(
  "the agent reaps orphans that were never its own",
  async () => {
    await using agent = await NativeAgent.start();
    const isOurs = '[ "$(cut -d" " -f4 /proc/$orphan/stat)" = $PPID ]';
    const record = await agent.run(
      1,
      // A zombie can be signalled as well: whom nobody reaps is waited for without end.
      `orphan=$(sh -c 'sleep 1000 >&- & echo $!')
       ${isOurs} && echo adopted; kill -KILL $orphan
       while kill -0 $orphan 2>/dev/null; do sleep 0.01; done; echo reaped`,
    );
    assert.equal(record.stdout, "adopted\nreaped\n");
  },
  { skip },
);
