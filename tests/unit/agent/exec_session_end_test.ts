import assert from "node:assert/strict";
import { STREAM_WINDOW_BYTES } from "../../../src/agent/protocol.ts";
import { countBytes, readText, stdoutOf } from "../../support/guest/exec_sessions.ts";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";
import { FakeHost, script } from "../../support/host/in_process_host.ts";

const options = { skip: nativeAgentProblem };
const MiB = 1024 * 1024;

test(
  "ExecSession exits and settles though a grandchild holds the pipe",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const session = client.startExec(script("echo before; sleep 600 & echo $!"));
    assert.equal((await session.settled).code, 0);
    const data = [stdoutOf(session).take(), stdoutOf(session).take()].map((part) =>
      new TextDecoder().decode(part),
    );
    const pid = Number(data.join("").split("\n")[1]);
    assert.ok(pid > 0, JSON.stringify(data));
    assert.equal(stdoutOf(session).isFinished, false);
    await client.startExec(script(`kill -9 ${pid}`)).finished;
    await session.finished;
    assert.equal(stdoutOf(session).isFinished, true);
  },
  options,
);

test(
  "ExecSession.close() kills the whole group",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const session = client.startExec(script("sleep 600 & echo $!; wait"));
    const pid = Number(new TextDecoder().decode(await stdoutOf(session).next()));
    session.close();
    await session.finished;
    const gone = client.startExec(script(`while kill -0 ${pid} 2>/dev/null; do sleep 0.02; done`));
    assert.equal((await gone.exited).code, 0);
  },
  options,
);

test(
  "ExecSession.signal() reaches the group, or the process alone",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const body =
      "trap 'echo parent' USR1; sh -c 'trap \"echo child\" USR1; echo up; while :; do sleep 0.02; done' & while :; do wait; done";
    const group = client.startExec(script(body));
    assert.equal(new TextDecoder().decode(await stdoutOf(group).next()), "up\n");
    group.signal(10);
    let seen = "";
    while (!(seen.includes("parent") && seen.includes("child")))
      seen += new TextDecoder().decode(await stdoutOf(group).next());
    const alone = client.startExec(script(body));
    assert.equal(new TextDecoder().decode(await stdoutOf(alone).next()), "up\n");
    alone.signal(10, "process");
    assert.equal(new TextDecoder().decode(await stdoutOf(alone).next()), "parent\n");
    await client.startExec(script("sleep 0.1")).finished;
    assert.equal(stdoutOf(alone).take(), undefined, "the child was signalled too");
    for (const session of [group, alone]) session.close();
    await Promise.all([group.finished, alone.finished]);
  },
  options,
);

test(
  "ExecSession on a terminal has one channel, its size, and ^D as the end of input",
  async () => {
    await using host = await FakeHost.start();
    const session = (await host.connect()).startExec(
      script("stty size; echo err >&2; cat", { terminal: { rows: 33, columns: 101 }, stdin: true }),
    );
    assert.deepEqual([...session.outputs.keys()], ["output"]);
    session.stdin.end();
    assert.equal(await readText(session.outputs.get("output")!), "33 101\r\nerr\r\n");
    assert.equal((await session.exited).code, 0);
  },
  options,
);

test(
  "ExecSession errors its output if the connection is lost before all of it came",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    // The program has exited, and what does not fit the window waits in its pipe.
    const session = client.startExec(script(`head -c ${2 * STREAM_WINDOW_BYTES} /dev/zero`));
    await session.exited;
    client.close();
    await client.closed;
    await assert.rejects(countBytes(stdoutOf(session)), { code: "agentDisconnected" });
  },
  options,
);

test(
  "OutputChannel.toReadableStream() lets the program go on when it is cancelled",
  async () => {
    await using host = await FakeHost.start();
    const session = (await host.connect()).startExec(script(`head -c ${4 * MiB} /dev/zero; exit 3`));
    const reader = stdoutOf(session).toReadableStream().getReader();
    assert.ok((await reader.read()).value!.length > 0);
    await reader.cancel();
    assert.deepEqual(await session.settled, { code: 3, signal: undefined });
  },
  options,
);

test(
  "OutputChannel.toReadableStream() is left by its reader at once, however long the program goes on",
  async () => {
    await using host = await FakeHost.start();
    const program = script("echo one; read line; echo two; exit 3", { stdin: true });
    const session = (await host.connect()).startExec(program);
    for await (const chunk of stdoutOf(session).toReadableStream()) {
      assert.ok(chunk.length > 0);
      break;
    }
    session.stdin.end(); // the program reads until then
    assert.deepEqual(await session.settled, { code: 3, signal: undefined });
  },
  options,
);

test(
  "OutputChannel.toReadableStream() reads nothing ahead",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const session = client.startExec(script("echo one; read line; echo two", { stdin: true }));
    const stream = stdoutOf(session).toReadableStream();
    await stdoutOf(session).changed;
    assert.notEqual(stdoutOf(session).oldest, undefined, "a chunk was taken although there is no reader");
    session.stdin.end();
    assert.equal(await new Response(stream).text(), "one\ntwo\n");
  },
  options,
);
