import assert from "node:assert/strict";
import type { AgentClient } from "../../../../src/agent/client.ts";
import { ExecHandle } from "../../../../src/sandbox/exec/exec_handle.ts";
import type { ExecEvent } from "../../../../src/sandbox/exec/exec_output.ts";
import { request, run } from "../../../support/guest/exec_sessions.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";
import { HeldTimer } from "../../../support/held_timer.ts";
import { execStart, FakeHost, script } from "../../../support/host/in_process_host.ts";
import { eventually } from "../../../support/processes.ts";

const options = { skip: nativeAgentProblem };
const MiB = 1024 * 1024;
const UNSIGNALLED = { signal: undefined, signalName: undefined };
/** A limit that a test lets come to its end: see {@linkcode HeldTimer}. */
const LIMIT_MS = 12_345;

function summary(events: readonly ExecEvent[]): string[] {
  const words: string[] = [];
  for (const event of events) {
    if (event.kind === "started") words.push("started");
    else if (event.kind === "exited") words.push(`exited ${event.code}`);
    else if (event.kind === "stdinError") words.push(`stdinError ${event.errno}`);
    else if (event.kind === "failed") words.push(`failed ${event.reason}`);
    else words.push(`${event.kind} ${new TextDecoder().decode(event.data)}`);
  }
  return words;
}

/** Writes a line to a program that may be gone. */
function go(handle: ExecHandle): void {
  const input = handle.stdin.getWriter();
  input.write(new TextEncoder().encode("\n")).catch(() => {});
  input.releaseLock();
}

async function eventsOf(handle: ExecHandle): Promise<ExecEvent[]> {
  const events: ExecEvent[] = [];
  for await (const event of handle) events.push(event);
  return events;
}

/** A program whose time is over when the test says so. */
class LimitedProgram implements Disposable {
  readonly handle: ExecHandle;
  readonly limit: HeldTimer;
  readonly #host: FakeHost;
  readonly #client: AgentClient;

  static async start(host: FakeHost, text: string): Promise<LimitedProgram> {
    const limit = new HeldTimer(LIMIT_MS);
    const client = await host.connect();
    const start = request(script(text, { stdin: true }), { timeoutMs: LIMIT_MS });
    const handle = await ExecHandle.start({ connect: async () => client }, start);
    return new LimitedProgram(host, client, handle, limit);
  }

  private constructor(host: FakeHost, client: AgentClient, handle: ExecHandle, limit: HeldTimer) {
    this.#host = host;
    this.#client = client;
    this.handle = handle;
    this.limit = limit;
  }

  /** Returns once the program has written this to its standard error, and its readers have it: `undefined` is its end. */
  async hasWritten(line: RegExp | undefined): Promise<void> {
    await eventually(() => {
      const texts = this.#host.logged.filter(({ source }) => source === "stderr").map(({ text }) => text);
      assert.ok(line === undefined ? texts.includes(undefined) : line.test(texts.join("")), texts.join(""));
    });
    await this.#client.ping(); // answered behind what went before
    await new Promise(setImmediate);
  }

  [Symbol.dispose](): void {
    this.limit[Symbol.dispose]();
  }
}

async function waitUntilGone(host: FakeHost, pid: number): Promise<void> {
  const watcher = await run(host, script(`while kill -0 ${pid} 2>/dev/null; do sleep 0.02; done`));
  assert.equal((await watcher.wait()).code, 0);
}

test(
  "ExecHandle yields started first, output in order, and exited last",
  async () => {
    await using host = await FakeHost.start();
    const lines = "echo a; read go; echo b >&2; read go; echo c; exit 7";
    const handle = await run(host, script(lines, { stdin: true }));
    const events: ExecEvent[] = [];
    for await (const event of handle) {
      events.push(event);
      // Channels are ordered among themselves only by what the one waits for before it continues with the other.
      if (event.kind === "stdout" || event.kind === "stderr") go(handle);
    }
    assert.deepEqual(summary(events), ["started", "stdout a\n", "stderr b\n", "stdout c\n", "exited 7"]);
    assert.equal(await handle.recv(), null);
  },
  options,
);

test(
  "ExecHandle yields exited behind all that the process wrote, however slowly it is read",
  async () => {
    await using host = await FakeHost.start();
    const handle = await run(host, script(`head -c ${MiB} /dev/zero; exit 2`));
    assert.deepEqual(await handle.wait(), { code: 2, success: false, ...UNSIGNALLED });
    let size = 0;
    let last: ExecEvent | null = null;
    for (let event = await handle.recv(); event !== null; event = await handle.recv()) {
      if (event.kind === "stdout") size += event.data.length;
      last = event;
    }
    assert.equal(size, MiB);
    assert.equal(last?.kind, "exited");
  },
  options,
);

test(
  "ExecHandle yields exited though a grandchild holds the pipe",
  async () => {
    await using host = await FakeHost.start();
    const handle = await run(host, script("sleep 600 & echo $!; exit 3"));
    const events = await eventsOf(handle);
    assert.equal(events.at(-1)?.kind, "exited");
    const pid = Number(summary(events)[1]?.split(" ")[1]);
    (await run(host, script(`kill -9 ${pid}`))).wait();
    await waitUntilGone(host, pid);
  },
  options,
);

test(
  "ExecHandle kills the program when its reader leaves the loop",
  async () => {
    await using host = await FakeHost.start();
    const handle = await run(host, script("echo up; sleep 600"));
    for await (const event of handle) if (event.kind === "stdout") break;
    await waitUntilGone(host, handle.pid);
  },
  options,
);

test(
  "ExecHandle.collect() gives the bytes, the text and the status",
  async () => {
    await using host = await FakeHost.start();
    const output = await (await run(host, script("printf 'caf\\303\\251\\377'; echo err >&2"))).collect();
    assert.deepEqual([output.code, output.success, output.stdout()], [0, true, "caf\u00e9\ufffd"]);
    assert.deepEqual([...output.stdoutBytes()], [0x63, 0x61, 0x66, 0xc3, 0xa9, 0xff]);
    assert.equal(output.stderr(), "err\n");
  },
  options,
);

test(
  "ExecHandle.collect() feeds the input and its end",
  async () => {
    await using host = await FakeHost.start();
    const input = new Uint8Array(2 * MiB).fill(0x61);
    const output = await (await run(host, execStart(["wc", "-c"], { stdin: true }), { input })).collect();
    assert.equal(output.stdout().trim(), String(2 * MiB));
  },
  options,
);

test(
  "ExecHandle.collect() gives up input that the program does not want",
  async () => {
    await using host = await FakeHost.start();
    const input = new Uint8Array(2 * MiB);
    const output = await (await run(host, script("exit 0", { stdin: true }), { input })).collect();
    assert.equal(output.code, 0);
  },
  options,
);

test(
  "ExecHandle.collect() rejects beyond outputBytesMax, takes all up to it, and kills the program",
  async () => {
    await using host = await FakeHost.start();
    const most = await run(host, script("printf 12345; printf 67890 >&2"), { outputBytesMax: 10 });
    assert.equal((await most.collect()).stdout(), "12345");
    const over = await run(host, script("printf 12345; printf 678901 >&2; sleep 600"), {
      outputBytesMax: 10,
    });
    await assert.rejects(over.collect(), { code: "execOutputLimit", outputBytesMax: 10 });
    await waitUntilGone(host, over.pid);
    await assert.rejects(over.wait(), { code: "execOutputLimit" });
  },
  options,
);

test(
  "ExecHandle.collect() rejects after timeoutMs with what was written, and kills the group",
  async () => {
    await using host = await FakeHost.start();
    using program = await LimitedProgram.start(
      host,
      "echo some; echo bad >&2; sleep 600 & echo $! >&2; wait",
    );
    const { handle, limit } = program;
    const failed = handle.collect().then(
      () => assert.fail("it resolved"),
      (reason: unknown) => reason,
    );
    await program.hasWritten(/^bad\n\d+\n$/);
    limit.fire();
    const error = await failed;
    assert(error instanceof Error && "code" in error && "stdout" in error && "stderr" in error);
    assert.equal(error.code, "execTimeout");
    assert(error.stdout instanceof Uint8Array && error.stderr instanceof Uint8Array);
    assert.equal(new TextDecoder().decode(error.stdout), "some\n");
    const [bad, pid] = new TextDecoder().decode(error.stderr).split("\n");
    assert.equal(bad, "bad");
    await waitUntilGone(host, Number(pid));
    await waitUntilGone(host, handle.pid);
  },
  options,
);

test(
  "ExecHandle.collect() rejects after timeoutMs though the program has closed its output",
  async () => {
    await using host = await FakeHost.start();
    using program = await LimitedProgram.start(host, "exec >&- 2>&-; sleep 600");
    const failed = assert.rejects(program.handle.collect(), { code: "execTimeout" });
    await program.hasWritten(undefined);
    program.limit.fire();
    await failed;
  },
  options,
);

test(
  "ExecHandle is not ended by a timeout that comes after the exit",
  async () => {
    await using host = await FakeHost.start();
    using program = await LimitedProgram.start(host, "read go; echo done");
    assert.equal(program.limit.waiting, 1);
    go(program.handle);
    await program.handle.wait();
    program.limit.fire();
    assert.equal((await program.handle.collect()).stdout(), "done\n");
    assert.equal(program.limit.waiting, 0);
  },
  options,
);

test(
  "ExecHandle rejects every reader with AbortedError when its signal fires",
  async () => {
    await using host = await FakeHost.start();
    const controller = new AbortController();
    const handle = await run(host, script("echo up; sleep 600"), { signal: controller.signal });
    const reader = handle.stdout.getReader();
    assert.equal(new TextDecoder().decode((await reader.read()).value), "up\n");
    const waiting = [handle.wait(), reader.read(), new Response(handle.stderr).text(), handle.collect()];
    controller.abort("changed my mind");
    for (const promise of waiting)
      await assert.rejects(promise, { code: "aborted", cause: "changed my mind" });
    await waitUntilGone(host, handle.pid);
  },
  options,
);

test(
  "ExecHandle.start() runs nothing if its signal had fired already",
  async () => {
    await using host = await FakeHost.start();
    await assert.rejects(run(host, script("echo ran"), { signal: AbortSignal.abort("no") }), {
      code: "aborted",
    });
    await (await host.connect()).ping();
    assert.deepEqual(host.logged, []);
  },
  options,
);

test(
  "ExecHandle of a detached program lets it go on, and kills it only if its signal fires",
  async () => {
    await using host = await FakeHost.start();
    const stop = new AbortController();
    const forever = script("exec sleep 1000", { detached: true });
    const left = await run(host, forever);
    await left[Symbol.asyncDispose](); // does not wait for its end
    const aborted = await run(host, forever, { signal: stop.signal });
    stop.abort();
    await assert.rejects(aborted.wait(), { code: "aborted" });
    await waitUntilGone(host, aborted.pid);
    const alive = await run(host, script(`kill -0 ${left.pid} && kill -9 ${left.pid}`));
    assert.equal((await alive.wait()).code, 0);
  },
  options,
);

test(
  "ExecHandle leaves no listener on a signal that outlives it",
  async () => {
    await using host = await FakeHost.start();
    const { signal } = new AbortController();
    const counts = { added: 0, removed: 0 };
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      counts.added++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      counts.removed++;
      remove(...args);
    };
    await (await run(host, script("true"), { signal })).collect();
    assert.ok(counts.added > 0);
    assert.ok(counts.removed >= counts.added, JSON.stringify(counts));
  },
  options,
);

test(
  "ExecHandle rejects with AgentDisconnectedError when the guest dies",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const handle = await ExecHandle.start({ connect: async () => client }, request(script("sleep 600")));
    const collected = handle.collect();
    client.close(); // what the end of the VM host process looks like from here
    await assert.rejects(collected, { code: "agentDisconnected" });
    await assert.rejects(handle.wait(), { code: "agentDisconnected" });
  },
  options,
);
