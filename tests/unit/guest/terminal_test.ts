import assert from "node:assert/strict";
import { ExecFlag, FrameFlag } from "../../../src/agent/protocol.ts";
import { NativeAgent, nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const skip = nativeAgentProblem;
const TTY = { flags: ExecFlag.tty, rows: 30, columns: 100 };

/** Takes output until it holds `text`; what came. */
async function outputUntil(agent: NativeAgent, stream: number, text: string): Promise<string> {
  let output = "";
  while (!output.includes(text)) {
    const message = await agent.next(stream);
    if (message.name === "output") output += new TextDecoder().decode(message.fields.data);
    else assert.equal(message.name, "credit", `${message.name} came before "${text}": ${output}`);
  }
  return output;
}

test(
  "a terminal session has a controlling terminal of the size asked for, and TERM",
  async () => {
    await using agent = await NativeAgent.start();
    const record = await agent.run(
      1,
      'tty; stty size; echo "$TERM"; echo err >&2; : > /dev/tty && echo controls',
      TTY,
    );
    assert.match(record.output, /^\/dev\/pts\/\d+\r\n30 100\r\nxterm\r\nerr\r\ncontrols\r\n$/);
    assert.deepEqual(record.exited, { code: 0, signal: 0 });
    assert.equal(record.stdout + record.stderr, "");
  },
  { skip },
);

test(
  "resize changes the size and tells the process",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(
      1,
      ["sh", "-c", 'trap "stty size; exit 0" WINCH; echo ready; while :; do sleep 0.01; done'],
      TTY,
    );
    await agent.expect("execStarted", 1);
    await outputUntil(agent, 1, "ready");
    agent.send("resize", 1, { rows: 50, columns: 200 });
    assert.match((await agent.collect(1)).output, /50 200/);
  },
  { skip },
);

test(
  "what is typed is echoed and read, and ^C interrupts",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(
      1,
      [
        "sh",
        "-c",
        'trap "echo interrupted; exit 9" INT; read line; echo "got $line"; while :; do sleep 0.01; done',
      ],
      TTY,
    );
    await agent.expect("execStarted", 1);
    agent.stdin(1, "typed\n");
    assert.match(await outputUntil(agent, 1, "got typed"), /typed\r\n/);
    agent.stdin(1, "\u0003");
    const record = await agent.collect(1);
    assert.match(record.output, /interrupted/);
    assert.deepEqual(record.exited, { code: 9, signal: 0 });
  },
  { skip },
);

test(
  "the end of a terminal's stdin is an end of file for its reader, also in an open line",
  async () => {
    await using agent = await NativeAgent.start();
    for (const [stream, text] of [
      [1, "whole line\n"],
      [2, "open line"],
      [3, ""],
    ] as const) {
      agent.exec(stream, ["sh", "-c", "stty -echo; echo ready; cat | wc -c"], TTY);
      await agent.expect("execStarted", stream);
      await outputUntil(agent, stream, "ready");
      agent.stdin(stream, text, FrameFlag.end);
      assert.equal((await agent.collect(stream)).output.trim(), String(text.length));
    }
  },
  { skip },
);

test(
  "a terminal's output without credit waits and is whole",
  async () => {
    await using agent = await NativeAgent.start();
    const record = await agent.run(1, "head -c 400000 /dev/zero | tr '\\0' x", TTY);
    assert.equal(record.output, "x".repeat(400_000));
  },
  { skip },
);

test(
  "a terminal that is closed hangs its programs up",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sh", "-c", "sleep 1000"], TTY);
    await agent.expect("execStarted", 1);
    agent.send("close", 1, {});
    const record = await agent.collect(1);
    assert.deepEqual(record.exited, { code: 0, signal: 9 });
  },
  { skip },
);
