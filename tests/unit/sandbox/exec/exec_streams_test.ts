import assert from "node:assert/strict";
import { run } from "../../../support/guest/exec_sessions.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";
import { execStart, FakeHost, script } from "../../../support/host/in_process_host.ts";

const options = { skip: nativeAgentProblem };
const MiB = 1024 * 1024;

test(
  "ExecHandle.stdin is a stream with back-pressure that errors with IoError and EPIPE",
  async () => {
    await using host = await FakeHost.start();
    const handle = await run(host, script("exec <&-; echo closed; sleep 600", { stdin: true }));
    await handle.stdout.getReader().read();
    const source = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
    });
    await assert.rejects(source.pipeTo(handle.stdin), {
      code: "io",
      errno: "EPIPE",
      message: /^Cannot write to the standard input of "sh"/,
    });
    await handle[Symbol.asyncDispose]();
  },
  options,
);

test(
  "ExecHandle.stdin closes the program's input when the stream is closed",
  async () => {
    await using host = await FakeHost.start();
    const handle = await run(host, execStart(["cat"], { stdin: true }));
    await new Response("through and through").body!.pipeTo(handle.stdin);
    assert.equal((await handle.collect()).stdout(), "through and through");
  },
  options,
);

test(
  "ExecHandle.takeStdin() gives the sink once, and none without a pipe",
  async () => {
    await using host = await FakeHost.start();
    const handle = await run(host, execStart(["cat"], { stdin: true }));
    const sink = await handle.takeStdin();
    assert.equal(await handle.takeStdin(), null);
    sink!.write("a".repeat(300_000)); // not awaited
    await sink!.close();
    assert.equal((await handle.collect()).stdout().length, 300_000);
    assert.equal(await (await run(host, script("true"))).takeStdin(), null);
  },
  options,
);

test(
  "ExecHandle.stdout and stderr are streams of the same program",
  async () => {
    await using host = await FakeHost.start();
    const handle = await run(host, script(`head -c ${MiB} /dev/zero & head -c ${MiB} /dev/zero >&2; wait`));
    const [stdout, stderr] = await Promise.all([
      new Response(handle.stdout).arrayBuffer(),
      new Response(handle.stderr).arrayBuffer(),
    ]);
    assert.deepEqual([stdout.byteLength, stderr.byteLength], [MiB, MiB]);
    assert.equal((await handle.wait()).success, true);
  },
  options,
);

test(
  "ExecHandle on a terminal gives its output as stdout, and no stderr",
  async () => {
    await using host = await FakeHost.start();
    const handle = await run(host, script("stty size; echo err >&2", { terminal: { rows: 5, columns: 6 } }));
    assert.equal(await new Response(handle.stderr).text(), "");
    const output = await handle.collect();
    assert.deepEqual([output.stdout(), output.stderr()], ["5 6\r\nerr\r\n", ""]);
  },
  options,
);

test(
  "ExecHandle.resize() changes the size that the program sees",
  async () => {
    await using host = await FakeHost.start();
    const handle = await run(
      host,
      script("trap 'stty size; exit' WINCH; echo up; while :; do sleep 0.02; done", {
        terminal: { rows: 5, columns: 6 },
      }),
    );
    const events = handle[Symbol.asyncIterator]();
    let text = "";
    while (!text.includes("up")) {
      const { value } = await events.next();
      if (value?.kind === "stdout") text += new TextDecoder().decode(value.data);
    }
    await handle.resize(40, 132);
    assert.match((await handle.collect()).stdout(), /40 132/);
  },
  options,
);

test(
  "ExecHandle.kill() kills the group, and does nothing after the exit",
  async () => {
    await using host = await FakeHost.start();
    const handle = await run(host, script("sleep 600 & wait"));
    await handle.kill();
    assert.deepEqual(await handle.wait(), { code: 137, success: false, signal: 9, signalName: "SIGKILL" });
    await handle.kill();
  },
  options,
);

test(
  "ExecHandle is disposed when the program is gone",
  async () => {
    await using host = await FakeHost.start();
    let pid: number;
    {
      await using handle = await run(host, script("sleep 600"));
      pid = handle.pid;
    }
    const look = await run(host, script(`kill -0 ${pid}`));
    assert.notEqual((await look.wait()).code, 0, "the program outlived its handle");
  },
  options,
);

test(
  "ExecHandle is disposed though a process that left its group holds the pipe",
  async () => {
    await using host = await FakeHost.start();
    const daemons: number[] = [];
    for (const end of ["wait", "exit 0"]) {
      // It says so itself, as it must have left the group by then.
      const daemon = "setsid sh -c 'echo $$; exec sleep 600' &";
      await using handle = await run(host, script(`${daemon} ${end}`));
      const { value } = await handle.stdout.getReader().read();
      daemons.push(Number(new TextDecoder().decode(value)));
      if (end !== "wait") await handle.wait();
    }
    assert.ok(daemons.every((pid) => pid > 0));
    const killed = await run(host, script(`kill -9 ${daemons.join(" ")}`));
    assert.equal((await killed.wait()).code, 0);
  },
  options,
);
