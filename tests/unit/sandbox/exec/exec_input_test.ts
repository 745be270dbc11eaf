import assert from "node:assert/strict";
import { run } from "../../../support/guest/exec_sessions.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";
import { execStart, FakeHost, script } from "../../../support/host/in_process_host.ts";

const options = { skip: nativeAgentProblem };

/** A stream of so many chunks of 64 KiB, which notes when it is cancelled. */
class Source {
  isCancelled = false;
  pulled = 0;
  readonly stream: ReadableStream<Uint8Array>;

  constructor(chunks: number) {
    this.stream = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          if (this.pulled++ === chunks) controller.close();
          else controller.enqueue(new Uint8Array(65_536).fill(97));
        },
        cancel: () => {
          this.isCancelled = true;
        },
      },
      { highWaterMark: 0 },
    );
  }
}

test(
  "exec() feeds a stream given as stdin, and its end",
  async () => {
    await using host = await FakeHost.start();
    const { stream: input } = new Source(32);
    const handle = await run(host, execStart(["wc", "-c"], { stdin: true }), { input });
    assert.equal((await handle.collect()).stdout().trim(), String(32 * 65_536));
  },
  options,
);

test(
  "exec() reads a stream given as stdin no faster than the program, and cancels it when the program ends",
  async () => {
    await using host = await FakeHost.start();
    const source = new Source(Number.POSITIVE_INFINITY);
    const start = script("head -c 10 > /dev/null; exit 3", { stdin: true });
    const handle = await run(host, start, { input: source.stream });
    assert.equal((await handle.collect()).code, 3);
    assert.equal(source.isCancelled, true);
    assert.ok(source.pulled < 32, `${source.pulled} chunks: about the two windows of wire and pipe`);
  },
  options,
);

test(
  "exec() cancels a stream given as stdin that gives nothing when the program ends",
  async () => {
    await using host = await FakeHost.start();
    const cancelled = Promise.withResolvers<void>();
    const input = new ReadableStream<Uint8Array>({ cancel: () => cancelled.resolve() });
    const handle = await run(host, script("exit 3", { stdin: true }), { input });
    assert.equal((await handle.collect()).code, 3);
    await cancelled.promise;
  },
  options,
);

test(
  "exec() kills the program and rejects if the stream given as stdin fails, or gives no bytes",
  async () => {
    await using host = await FakeHost.start();
    const failure = new Error("its own");
    const failing = new ReadableStream<Uint8Array>({ start: (controller) => controller.error(failure) });
    const words = new ReadableStream({ start: (controller) => controller.enqueue("words") });
    for (const [input, cause] of [
      [failing, /its own/],
      [words as ReadableStream<Uint8Array>, /expected a Uint8Array, got string/],
    ] as const) {
      const handle = await run(host, script("cat; sleep 600", { stdin: true }), { input });
      await assert.rejects(handle.collect(), { code: "io", message: cause });
      await handle[Symbol.asyncDispose]();
    }
  },
  options,
);
