import assert from "node:assert/strict";
import { EXEC_START_BYTES_MAX, STREAM_WINDOW_BYTES } from "../../../src/agent/protocol.ts";
import { countBytes, readText, stdoutOf } from "../../support/guest/exec_sessions.ts";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";
import { execStart, FakeHost, script } from "../../support/host/in_process_host.ts";
import { eventually } from "../../support/processes.ts";

const options = { skip: nativeAgentProblem };
const MiB = 1024 * 1024;

test(
  "ExecSession gives stdout, stderr, the pid and the exit code",
  async () => {
    await using host = await FakeHost.start();
    const session = (await host.connect()).startExec(script("echo $$; echo bad >&2; exit 7"));
    const pid = await session.started;
    assert.equal(await readText(stdoutOf(session)), `${pid}\n`);
    assert.equal(await readText(session.outputs.get("stderr")!), "bad\n");
    assert.deepEqual(await session.settled, { code: 7, signal: undefined });
    await session.finished;
  },
  options,
);

test(
  "ExecSession says by which signal a program ended",
  async () => {
    await using host = await FakeHost.start();
    const session = (await host.connect()).startExec(script("kill -TERM $$"));
    assert.deepEqual(await session.exited, { code: 143, signal: 15 });
  },
  options,
);

test(
  "ExecSession rejects with ExecFailedError where nothing can be started, and frees its number",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const cases = [
      { start: execStart(["/nonexistent/program"]), kind: "notFound" },
      { start: execStart(["/etc"]), kind: "permissionDenied" },
      { start: script("true", { cwd: "/nonexistent" }), kind: "badCwd" },
      { start: script("true", { user: "nobody-of-that-name" }), kind: "badUser" },
    ];
    for (const { start, kind } of cases) {
      const session = client.startExec(start);
      await assert.rejects(session.started, { code: "execFailed", kind, command: start.argv[0] });
      await assert.rejects(session.exited, { code: "execFailed" });
      await session.finished;
    }
  },
  options,
);

test(
  "ExecSession carries argv and environment of 1 MiB together",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    // One string is 128 KiB at most (MAX_ARG_STRLEN), hence many.
    const words = Array.from({ length: 9 }, (_, index) => `${index}`.repeat(100_000));
    const env = ["PATH=/usr/bin:/bin", `BIG=${"e".repeat(100_000)}`];
    const session = client.startExec(
      execStart(
        [
          "sh",
          "-c",
          'printf "%s %s " $# $(printf %s "$BIG" | wc -c); printf %s "$@" | cksum',
          "sh",
          ...words,
        ],
        { env },
      ),
    );
    const expected = client.startExec(
      script("for i in 0 1 2 3 4 5 6 7 8; do head -c 100000 /dev/zero | tr '\\0' $i; done | cksum"),
    );
    assert.equal(await readText(stdoutOf(session)), `9 100000 ${await readText(stdoutOf(expected))}`);
    assert.equal((await session.exited).code, 0);
  },
  options,
);

test(
  "ExecSession carries the largest execStart, and refuses one byte more before it is sent",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    // flags, rows, columns, and the counts and sizes of everything around the argument
    const fixed = 1 + 2 + 2 + 4 + "/".length + 4 + 4 + 4 + "true".length + 4 + 4 + 4;
    const ofSize = (bytes: number) => execStart(["true", "x".repeat(bytes - fixed)], { env: [] });
    const refused = client.startExec(ofSize(EXEC_START_BYTES_MAX + 1));
    await assert.rejects(refused.started, { kind: "badArguments", message: /1048577 of 1048576 bytes/ });
    // It arrives whole: that a single argument may not be so long is for the guest's kernel to say.
    const largest = client.startExec(ofSize(EXEC_START_BYTES_MAX));
    await assert.rejects(largest.started, { code: "execFailed", errno: 7 });
    assert.equal((await client.startExec(script("exit 4")).exited).code, 4);
  },
  options,
);

test(
  "ExecSession takes 8 MiB through the windows in both directions",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const session = client.startExec(execStart(["cat"], { stdin: true }));
    const data = new Uint8Array(8 * MiB);
    for (let i = 0; i < data.length; i++) data[i] = (i * 31) ^ (i >>> 8);
    const written = session.stdin.write(data).then((isWhole) => {
      session.stdin.end();
      return isWhole;
    });
    let offset = 0;
    for (
      let chunk = await stdoutOf(session).next();
      chunk !== undefined;
      chunk = await stdoutOf(session).next()
    ) {
      assert.ok(
        Buffer.from(chunk).equals(data.subarray(offset, offset + chunk.length)),
        `differs at ${offset}`,
      );
      offset += chunk.length;
    }
    assert.equal(offset, data.length);
    assert.equal(await written, true);
    assert.equal((await session.exited).code, 0);
  },
  options,
);

test(
  "ExecSession that is not read holds up its own program only",
  async () => {
    await using host = await FakeHost.start();
    const lazy = await host.connect();
    const busy = await host.connect();
    const stalled = lazy.startExec(script(`head -c ${8 * MiB} /dev/zero; echo done >&2`));
    await stalled.started;
    // Another program of the same client, and one of another: each moves far more than a window in the meantime.
    for (const client of [lazy, busy]) {
      const other = client.startExec(script(`head -c ${4 * MiB} /dev/zero`));
      assert.equal(await countBytes(stdoutOf(other)), 4 * MiB);
      assert.equal((await other.exited).code, 0);
    }
    assert.ok((await lazy.ping()) >= 0);
    assert.equal(stalled.outputs.get("stderr")!.oldest, undefined, "the program went on without its reader");
    assert.equal(await countBytes(stdoutOf(stalled)), 8 * MiB);
    assert.equal(await readText(stalled.outputs.get("stderr")!), "done\n");
  },
  options,
);

test(
  "ExecSession holds no more of what is not read than a window",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const session = client.startExec(script(`head -c ${2 * MiB} /dev/zero`));
    await session.started;
    let size = 0;
    let chunks = 0;
    const passedBytes = () => host.logged.reduce((sum, { text = "" }) => sum + text.length, 0);
    await eventually(() => assert.ok(passedBytes() >= STREAM_WINDOW_BYTES, `${passedBytes()} bytes`));
    await client.startExec(script("sleep 0.05")).finished; // time for more, if there were more to come
    for (let data = stdoutOf(session).take(); data !== undefined; data = stdoutOf(session).take()) {
      size += data.length;
      chunks++;
    }
    assert.equal(size, STREAM_WINDOW_BYTES);
    assert.ok(chunks > 0);
    assert.equal(await countBytes(stdoutOf(session)), 2 * MiB - STREAM_WINDOW_BYTES);
  },
  options,
);

test(
  "ExecSession.stdin waits for a program that does not read, and continues when it does",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const gate = client.startExec(script("kill -STOP $$; wc -c", { stdin: true }));
    const pid = await gate.started;
    let isDone = false;
    const written = gate.stdin.write(new Uint8Array(2 * MiB)).then((isWhole) => {
      isDone = true;
      gate.stdin.end();
      return isWhole;
    });
    const isStopped = `grep -q '^State:.T' /proc/${pid}/status`; // or it would stop once it was woken
    await client.startExec(script(`until ${isStopped}; do sleep 0.02; done`)).finished;
    assert.ok((await client.ping()) >= 0);
    assert.equal(isDone, false, "2 MiB went into a program that does not read");
    gate.signal(18); // SIGCONT
    assert.equal(await written, true);
    assert.equal((await readText(stdoutOf(gate))).trim(), String(2 * MiB));
  },
  options,
);

test(
  "ExecSession.stdin keeps writes that were not waited for in order, and the end behind them",
  async () => {
    await using host = await FakeHost.start();
    const session = (await host.connect()).startExec(execStart(["cat"], { stdin: true }));
    const text = (letter: string) => new TextEncoder().encode(letter.repeat(400_000));
    const writes = [
      session.stdin.write(text("a")),
      session.stdin.write(text("b")),
      session.stdin.write(text("c")),
    ];
    session.stdin.end();
    const output = await readText(stdoutOf(session));
    assert.deepEqual(await Promise.all(writes), [true, true, true]);
    assert.ok(
      output === `${"a".repeat(400_000)}${"b".repeat(400_000)}${"c".repeat(400_000)}`,
      `got ${output.length} letters: ${output.replaceAll(/(.)\1*/g, (run, letter) => `${letter}${run.length} `).slice(0, 200)}`,
    );
  },
  options,
);

test(
  "ExecSession.stdin.write() resolves with false once the program reads no more",
  async () => {
    await using host = await FakeHost.start();
    const session = (await host.connect()).startExec(
      script("exec <&-; echo closed; sleep 600", { stdin: true }),
    );
    assert.equal(new TextDecoder().decode(await stdoutOf(session).next()), "closed\n");
    let isTaken = true;
    for (let i = 0; isTaken && i < 1000; i++) isTaken = await session.stdin.write(new Uint8Array(64 * 1024));
    assert.equal(isTaken, false);
    assert.equal(session.stdin.errno, 32); // EPIPE
    session.close();
    await session.finished;
  },
  options,
);

test(
  "ExecSession.stdin.write() resolves with false when the program has exited",
  async () => {
    await using host = await FakeHost.start();
    const session = (await host.connect()).startExec(script("exit 0", { stdin: true }));
    const written = session.stdin.write(new Uint8Array(2 * MiB));
    await session.exited;
    assert.equal(await written, false);
    assert.equal(await session.stdin.write(new Uint8Array(1)), false);
    session.stdin.end();
    await session.finished;
  },
  options,
);

test(
  "ExecSession without stdin gives the program an end of input at once",
  async () => {
    await using host = await FakeHost.start();
    const session = (await host.connect()).startExec(script("cat; echo end"));
    assert.equal(await readText(stdoutOf(session)), "end\n");
  },
  options,
);
