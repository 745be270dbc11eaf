/** Streams of metrics: their pace on a clock of the test's own, and their ends. @module */
import assert from "node:assert/strict";
import { Sandbox } from "../../../../mod.ts";
import { AgentDisconnectedError } from "../../../../src/agent/errors.ts";
import type { BackendSandbox } from "../../../../src/backend/backend.ts";
import { useBackend } from "../../../../src/backend/default_backend.ts";
import {
  MetricsFeed,
  MetricsStream,
  openMetricsStream,
} from "../../../../src/sandbox/metrics/metrics_stream.ts";
import { SandboxNotRunningError } from "../../../../src/state/errors.ts";
import { unmeasured } from "../../../../src/vmm/host/metrics.ts";
import { MemoryBackend } from "../../../support/backend/memory_backend.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";

const skip = nativeAgentProblem;

/** A sandbox that can be measured and nothing else, and says how often it was. */
class Measured {
  readonly name = "web";
  measured = 0;
  connected = 0;
  bootNumber = 1;
  failure: Error | undefined;
  status = "running";
  /** Held back until the test lets it go. */
  gate: Promise<void> | undefined;

  async connect(): Promise<unknown> {
    this.connected++;
    if (this.status !== "running") throw new SandboxNotRunningError(this.name, "stopped");
    const { bootNumber } = this;
    return { bootNumber, measure: () => this.#measure() };
  }

  async record(): Promise<unknown> {
    return { status: this.status };
  }

  async #measure(): Promise<unknown> {
    this.measured++;
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    const fields = { ...unmeasured(0, ""), token: 0, cpus: 1, diskWriteBytes: this.measured };
    return { ...fields, vcpuMicros: this.measured * 1000, uptimeMicros: this.measured * 4000 };
  }

  /** As a backend's: what is not here would fail the test. */
  get sandbox(): BackendSandbox {
    return this as unknown as BackendSandbox;
  }
}

/** Lets everything run that waits for nothing. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

test("MetricsFeed.next() compares two readings at first, and then measures once an interval", async () => {
  const clock = new FakeClock();
  const guest = new Measured();
  const feed = new MetricsFeed(guest.sandbox, 500, clock);
  const first = feed.next();
  await settle();
  assert.equal(guest.measured, 1);
  clock.advance(99);
  await settle();
  assert.equal(guest.measured, 1);
  clock.advance(1);
  assert.deepEqual([(await first)?.diskWriteBytes, (await first)?.cpuPercent], [2, 25]);
  const second = feed.next();
  await settle();
  clock.advance(499);
  await settle();
  assert.equal(guest.measured, 2);
  clock.advance(1);
  assert.equal((await second)?.diskWriteBytes, 3);
  assert.equal(clock.alarms, 0);
});

test("MetricsFeed.next() measures at once for a reader that was slow, and makes up for nothing", async () => {
  const clock = new FakeClock();
  const guest = new Measured();
  const feed = new MetricsFeed(guest.sandbox, 500, clock);
  const first = feed.next();
  await settle();
  clock.advance(100);
  await first;
  clock.advance(60_000);
  await settle();
  assert.equal(guest.measured, 2); // nothing while no one reads
  assert.equal((await feed.next())?.diskWriteBytes, 3);
  const next = feed.next();
  await settle();
  assert.equal(guest.measured, 3);
  clock.advance(500);
  assert.equal((await next)?.diskWriteBytes, 4);
});

test("MetricsFeed.next() ends with the sandbox, within a second of a long interval", async () => {
  const clock = new FakeClock();
  const guest = new Measured();
  const feed = new MetricsFeed(guest.sandbox, 3_600_000, clock);
  const first = feed.next();
  await settle();
  clock.advance(100);
  await first;
  const next = feed.next();
  await settle();
  clock.advance(1000);
  await settle();
  guest.status = "stopped";
  clock.advance(1000);
  assert.equal(await next, undefined);
  assert.equal(guest.measured, 2);
  assert.equal(await feed.next(), undefined);
  assert.equal(clock.alarms, 0);
});

test("MetricsFeed.next() ends when a connection breaks with its sandbox, and when another boot has begun", async () => {
  for (const end of [
    (guest: Measured) => {
      guest.failure = new AgentDisconnectedError("gone");
      guest.status = "crashed";
    },
    (guest: Measured) => {
      guest.bootNumber = 2;
    },
  ]) {
    const clock = new FakeClock();
    const guest = new Measured();
    const feed = new MetricsFeed(guest.sandbox, 100, clock);
    const first = feed.next();
    await settle();
    clock.advance(100);
    await first;
    const next = feed.next();
    await settle();
    end(guest);
    guest.connect = async () => ({
      bootNumber: guest.bootNumber,
      measure: async () => {
        if (guest.failure !== undefined) throw guest.failure;
        return { ...unmeasured(0, ""), token: 0 };
      },
    });
    clock.advance(100);
    assert.equal(await next, undefined);
  }
});

test("MetricsFeed.next() rejects for a sandbox that never ran, and while one that runs cannot be measured", async () => {
  const clock = new FakeClock();
  const stopped = new Measured();
  stopped.status = "stopped";
  await assert.rejects(new MetricsFeed(stopped.sandbox, 100, clock).next(), { code: "sandboxNotRunning" });
  const broken = new Measured();
  broken.failure = new AgentDisconnectedError("the connection was cut");
  await assert.rejects(new MetricsFeed(broken.sandbox, 100, clock).next(), { code: "agentDisconnected" });
});

test("MetricsFeed.close() ends a wait, and drops a sample that is on its way", async () => {
  const clock = new FakeClock();
  const guest = new Measured();
  const waiting = new MetricsFeed(guest.sandbox, 500, clock);
  const first = waiting.next();
  await settle();
  waiting.close();
  assert.equal(await first, undefined);
  assert.equal(clock.alarms, 0);

  const gate = Promise.withResolvers<void>();
  const measuring = new MetricsFeed(guest.sandbox, 500, clock);
  const sample = measuring.next();
  await settle();
  guest.gate = gate.promise;
  clock.advance(100);
  await settle();
  measuring.close();
  gate.resolve();
  assert.equal(await sample, undefined);
});

test("openMetricsStream() refuses intervals and options that it cannot have", () => {
  const { sandbox } = new Measured();
  for (const intervalMs of [99, 0, -1, 100.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, "1000" as never])
    assert.throws(
      () => openMetricsStream(sandbox, intervalMs, {}),
      { code: "invalidConfig" },
      `${intervalMs}`,
    );
  for (const options of [{ timeout: 1 }, null, 7])
    assert.throws(() => openMetricsStream(sandbox, 100, options as never), { code: "invalidConfig" });
});

test(
  "Sandbox.metricsStream() gives samples to recv(), to a reader and to a loop, and ends with the sandbox",
  async () => {
    await using backend = new MemoryBackend();
    using _used = useBackend(backend);
    const sandbox = await Sandbox.create({ name: "web", image: "none", memoryMiB: 128 });
    const stream = sandbox.metricsStream(100);
    assert.ok(stream instanceof ReadableStream);
    const times: number[] = [];
    times.push((await stream.recv())?.uptimeMs ?? 0);
    const pending = stream.recv();
    await assert.rejects(stream.recv(), TypeError);
    times.push((await pending)?.uptimeMs ?? 0);
    const reader = stream.getReader();
    times.push((await reader.read()).value?.uptimeMs ?? 0);
    reader.releaseLock();
    for await (const { uptimeMs } of stream) {
      times.push(uptimeMs);
      if (times.length === 5) await sandbox.stop();
    }
    assert.ok(times.length >= 5);
    for (const [index, time] of times.entries())
      if (index > 0) assert.ok(time >= (times[index - 1] ?? 0) + 99, String(times));
    assert.equal(await stream.recv(), null);
  },
  { skip },
);

test("MetricsStream ends when it is cancelled, disposed of, left or aborted, and measures no more", async () => {
  const ended = async (end: (stream: MetricsStream, abort: AbortController) => Promise<unknown>) => {
    const clock = new FakeClock();
    const guest = new Measured();
    const abort = new AbortController();
    const stream = new MetricsStream(new MetricsFeed(guest.sandbox, 100, clock), abort.signal);
    const first = stream.recv();
    await settle();
    clock.advance(100);
    await first;
    await end(stream, abort);
    clock.advance(10_000);
    await settle();
    assert.equal(guest.measured, 2);
    assert.equal(clock.alarms, 0);
  };
  await ended(async (stream) => {
    await stream.cancel();
    assert.equal(await stream.recv(), null);
  });
  await ended(async (stream) => {
    const waiting = stream.recv();
    await settle();
    await stream[Symbol.asyncDispose]();
    assert.equal(await waiting, null);
    await stream[Symbol.asyncDispose]();
  });
  await ended(async (stream, abort) => {
    const waiting = stream.recv();
    await settle();
    abort.abort("enough");
    await assert.rejects(waiting, { code: "aborted", cause: "enough" });
    await assert.rejects(stream.recv(), { code: "aborted" });
  });
  await ended(async (stream) => {
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.return?.();
    assert.equal(stream.locked, false);
  });
});

test("MetricsStream with a signal that has fired measures nothing", async () => {
  const guest = new Measured();
  const signal = AbortSignal.abort("before");
  const stream = openMetricsStream(guest.sandbox, 100, { signal });
  await assert.rejects(stream.recv(), { code: "aborted", cause: "before" });
  assert.equal(guest.connected, 0);
});

test("MetricsFeed.next() asks again over another connection when one breaks", async () => {
  const clock = new FakeClock();
  const guest = new Measured();
  const feed = new MetricsFeed(guest.sandbox, 100, clock);
  const first = feed.next();
  await settle();
  clock.advance(100);
  await first;
  const next = feed.next();
  await settle();
  guest.failure = new AgentDisconnectedError("cut");
  const { connect } = guest;
  guest.connect = async () => {
    if (guest.measured === 3) guest.failure = undefined; // the second connection
    return await connect.call(guest);
  };
  clock.advance(100);
  assert.equal((await next)?.diskWriteBytes, 4);
});
