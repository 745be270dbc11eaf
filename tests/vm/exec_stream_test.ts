/**
 * Bytes in and out of a running program: stdin in all its forms, events, streams, terminals, back-pressure.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type ExecEvent, type ExecHandle, Stdin } from "../../mod.ts";
import { eventually } from "../support/processes.ts";
import { seededRandom } from "../support/random.ts";
import { homeTest } from "../support/vm/vm.ts";

const INPUT_BYTES = 10 * 1024 * 1024;
const OUTPUT_BYTES = 8 * 1024 * 1024;

homeTest("exec() gives stdin that is at its end, bytes, or a pipe", async ({ create }) => {
  const sandbox = await create();
  assert.deepEqual(await textAndCode(sandbox.exec("cat")), ["", 0], "nothing by default");
  assert.equal((await sandbox.exec("readlink", ["/proc/self/fd/0"])).stdout(), "/dev/null\n");
  const text = Stdin.bytes("one\ntwo");
  assert.deepEqual(await textAndCode(sandbox.exec("cat", [], { stdin: text })), ["one\ntwo", 0]);
  const none = Stdin.bytes("");
  assert.deepEqual(await textAndCode(sandbox.exec("cat", [], { stdin: none })), ["", 0]);
});

homeTest("exec() carries 10 MB through stdin and stdout unharmed", async ({ create }) => {
  const sandbox = await create();
  const data = seededRandom("10 MB through a guest").bytes(INPUT_BYTES);
  const digest = createHash("sha256").update(data).digest("hex");
  const [sum, echo] = await Promise.all([
    sandbox.exec("sha256sum", [], { stdin: Stdin.bytes(data) }),
    sandbox.exec("cat", [], { stdin: Stdin.bytes(data) }),
  ]);
  assert.equal(sum.stdout(), `${digest}  -\n`);
  assert.equal(createHash("sha256").update(echo.stdoutBytes()).digest("hex"), digest);
});

homeTest(
  "ExecHandle.takeStdin() gives the pipe once; its end is the program's end of input",
  async (test) => {
    const sandbox = await test.create();
    const run = await sandbox.execStream("sh", ["-c", "while read line; do echo got $line; done; echo end"]);
    const sink = await run.takeStdin();
    assert.ok(sink);
    assert.equal(await run.takeStdin(), null);
    const reader = textReader(run.stdout);
    await sink.write("first\n");
    await reader.until("got first\n");
    await sink.write(new TextEncoder().encode("second\n"));
    await reader.until("got second\n");
    await sink.close();
    await reader.until("end\n");
    assert.equal((await run.wait()).code, 0);

    const without = await sandbox.execStream("true", [], { stdin: "null" });
    assert.equal(await without.takeStdin(), null);
  },
);

homeTest("ExecHandle.sessionId finds in the log what the program wrote", async ({ create }) => {
  const sandbox = await create();
  const [one, two] = await Promise.all([
    sandbox.execStream("sh", ["-c", "echo one; echo problem >&2"]),
    sandbox.execStream("echo", ["two"]),
  ]);
  await Promise.all([one.collect(), two.collect()]);
  const entries = await sandbox.logs();
  const textsOf = ({ sessionId }: ExecHandle) =>
    entries.filter((entry) => entry.sessionId === sessionId).map((entry) => entry.text());
  assert.deepEqual(textsOf(one).toSorted(), ["one\n", "problem\n"]);
  assert.deepEqual(textsOf(two), ["two\n"]);
});

homeTest("ExecHandle.stdin and stdout are Web Streams that can be piped", async ({ create }) => {
  const sandbox = await create();
  const source = await sandbox.execStream("seq", ["1", "100000"], { stdin: "null" });
  const sort = await sandbox.execStream("sh", ["-c", "tail -n 1; wc -c >&2"]);
  await Promise.all([source.stdout.pipeTo(sort.stdin), assertText(sort.stdout, "100000\n")]);
  assert.equal((await sort.wait()).code, 0);
});

homeTest("ExecHandle.stdin errors with EPIPE once the program reads no more", async ({ create }) => {
  const sandbox = await create();
  const run = await sandbox.execStream("sh", ["-c", "exec <&-; exec sleep 1000"]);
  const writer = run.stdin.getWriter();
  const chunk = new Uint8Array(64 * 1024);
  const flood = async () => {
    for (let count = 0; count < 1000; count++) await writer.write(chunk);
  };
  await assert.rejects(flood(), /EPIPE/);
  await run.kill();
  assert.equal((await run.wait()).signal, 9);
});

homeTest("execStream() yields events in order: started, output, exited", async ({ create }) => {
  const sandbox = await create();
  // Channels are ordered among themselves only by what the one waits for before it goes on with the other.
  const script = "for i in 1 2 3; do echo out $i; read go; echo err $i >&2; read go; done; exit 3";
  const events: string[] = [];
  const run = await sandbox.execStream("sh", ["-c", script]);
  const sink = await run.takeStdin();
  for await (const event of run) {
    events.push(describe(event));
    if (event.kind === "stdout" || event.kind === "stderr") await sink?.write("\n");
  }
  const outputs = [1, 2, 3].flatMap((number) => [`stdout out ${number}\n`, `stderr err ${number}\n`]);
  assert.deepEqual(events, [`started ${run.pid}`, ...outputs, "exited 3"]);
  assert.equal(await run.recv(), null, "nothing follows the last event");
});

homeTest("execStream() delivers all output before `exited`, however much it is", async ({ create }) => {
  const sandbox = await create();
  const run = await sandbox.execStream("head", ["-c", String(OUTPUT_BYTES), "/dev/zero"]);
  let size = 0;
  const kinds = new Set<string>();
  for await (const event of run) {
    if (event.kind === "stdout") size += event.data.length;
    kinds.add(event.kind);
  }
  assert.equal(size, OUTPUT_BYTES);
  assert.deepEqual([...kinds], ["started", "stdout", "exited"]);
});

homeTest("a program whose output nobody reads waits, and nobody else does", async ({ create }) => {
  const sandbox = await create();
  const unread = await sandbox.execStream("yes");
  const timesOf = async () => {
    const stat = (await sandbox.exec("cat", [`/proc/${unread.pid}/stat`])).stdout().split(" ");
    return { state: stat[2], ticks: `${stat[13]} ${stat[14]}` };
  };
  await eventually(async () => {
    const before = await timesOf();
    // A megabyte of somebody else's passes meanwhile.
    const other = await sandbox.exec("head", ["-c", "1000000", "/dev/zero"]);
    assert.equal(other.stdoutBytes().length, 1_000_000);
    assert.deepEqual(await timesOf(), before);
    assert.equal(before.state, "S");
  });
  assert.ok((await sandbox.ping()).latencyMs >= 0);
  await unread.kill();
  assert.equal((await unread.wait()).signal, 9);
});

homeTest("a program goes on when the reader of its output has cancelled", async ({ create }) => {
  const sandbox = await create();
  const script = `head -c ${OUTPUT_BYTES} /dev/zero; exit 5`;
  const run = await sandbox.execStream("sh", ["-c", script]);
  await run.stdout.cancel();
  assert.equal((await run.wait()).code, 5);
});

homeTest(
  "exec() on a pseudo-terminal merges output, has a size, and ends input by ^D",
  async ({ create }) => {
    const sandbox = await create();
    const script = "tty; stty size; echo err >&2; cat";
    const run = await sandbox.execStream("sh", ["-c", script], { tty: { rows: 30, columns: 100 } });
    const reader = textReader(run.stdout);
    await reader.until("err\r\n");
    const sink = await run.takeStdin();
    await sink?.write("typed\n");
    await reader.until("typed\r\ntyped\r\n"); // the terminal's echo, then cat's
    await sink?.close();
    assert.equal((await run.wait()).code, 0);
    assert.match(reader.text, /^\/dev\/pts\/\d+\r\n30 100\r\nerr\r\ntyped\r\ntyped\r\n/);
    assert.equal(await new Response(run.stderr).text(), "");
  },
);

homeTest("ExecHandle.resize() sets the size and tells the program", async ({ create }) => {
  const sandbox = await create();
  const script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done";
  const run = await sandbox.execStream("sh", ["-c", script], { tty: true });
  const reader = textReader(run.stdout);
  await reader.until("ready\r\n");
  await run.resize(41, 132);
  await reader.until("41 132\r\n");
  assert.equal((await run.wait()).code, 0);
});

homeTest(
  "ExecHandle yields stdinError if input is left over, and failed if it is asked to",
  async ({ create }) => {
    const sandbox = await create();
    const run = await sandbox.shellStream("exec <&-; sleep 600", { stdin: new Uint8Array(INPUT_BYTES) });
    const kinds: string[] = [];
    for await (const event of run) {
      kinds.push(event.kind);
      if (event.kind === "stdinError") await run.kill();
    }
    assert.deepEqual(kinds, ["started", "stdinError", "exited"]);
    const failed = await sandbox.execStream("/no/such", [], { startFailure: "event" });
    assert.deepEqual((await failed.recv())?.kind, "failed");
    assert.equal(await failed.recv(), null);
    assert.equal((await sandbox.exec("true")).code, 0);
  },
);

/** Reads a stream up to texts that are expected next. */
function textReader(stream: ReadableStream<Uint8Array>): { text: string; until(end: string): Promise<void> } {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  return {
    text: "",
    async until(end) {
      while (!this.text.endsWith(end)) {
        const { value, done } = await reader.read();
        if (done)
          assert.fail(`the stream ended with ${JSON.stringify(this.text)}, not ${JSON.stringify(end)}`);
        this.text += decoder.decode(value, { stream: true });
      }
    },
  };
}

async function assertText(stream: ReadableStream<Uint8Array>, expected: string): Promise<void> {
  assert.equal(await new Response(stream).text(), expected);
}

async function textAndCode(run: ReturnType<ExecHandle["collect"]>): Promise<[string, number]> {
  const output = await run;
  return [output.stdout(), output.code];
}

function describe(event: ExecEvent): string {
  switch (event.kind) {
    case "started":
      return `started ${event.pid}`;
    case "exited":
      return `exited ${event.code}`;
    case "stdout":
    case "stderr":
      return `${event.kind} ${new TextDecoder().decode(event.data)}`;
    default:
      return event.kind;
  }
}
