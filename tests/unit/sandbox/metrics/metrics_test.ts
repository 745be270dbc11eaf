/** Metrics of sandboxes over a backend in memory, whose guests are processes of this machine. @module */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import {
  AgentHandshakeError,
  allSandboxMetrics,
  InternalError,
  MetricsUnavailableError,
  Sandbox,
  type SandboxMetrics,
  TimeoutError,
} from "../../../../mod.ts";
import { useBackend } from "../../../../src/backend/default_backend.ts";
import { MiB } from "../../../../src/base/bytes.ts";
import { compare, type Reading } from "../../../../src/sandbox/metrics/metrics.ts";
import { unmeasured } from "../../../../src/vmm/host/metrics.ts";
import { MemoryBackend } from "../../../support/backend/memory_backend.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";

const skip = nativeAgentProblem;
const options = (name: string) => ({ name, image: "none", memoryMiB: 128 });
const READING: Reading = { ...unmeasured(0, ""), token: 0, bootNumber: 1, cpus: 2 };

function memoryTotalBytes(): number {
  return Number(/MemTotal:\s*(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]) * 1024;
}

function checkMachine(metrics: SandboxMetrics): void {
  const { memoryBytes, memoryAvailableBytes, memoryLimitBytes, memoryHostResidentBytes } = metrics;
  assert.equal(memoryBytes + (memoryAvailableBytes ?? 0), memoryTotalBytes());
  assert.equal(memoryLimitBytes, Math.ceil(totalmem() / MiB) * MiB);
  assert.ok((memoryHostResidentBytes ?? 0) > 0);
  assert.deepEqual([metrics.upperUsedBytes, metrics.upperHostAllocatedBytes], [null, null]);
  assert.ok(metrics.cpuPercent >= 0 && metrics.cpuPercent <= 100, String(metrics.cpuPercent));
  assert.ok(metrics.vcpuTimeNs > 0);
}

test(
  "Sandbox.metrics() and SandboxHandle.metrics() measure a running sandbox, and are no activity",
  async () => {
    await using backend = new MemoryBackend();
    using _used = useBackend(backend);
    const sandbox = await Sandbox.create(options("web"));
    const before = Date.now();
    const first = await sandbox.metrics();
    checkMachine(first);
    assert.ok(first.timestamp.getTime() >= before && first.timestamp.getTime() <= Date.now());
    const { activitySeq } = await sandbox.touch();
    const second = await (await Sandbox.get("web")).metrics();
    checkMachine(second);
    assert.equal((await sandbox.touch()).activitySeq, activitySeq + 1);
    assert.ok(second.uptimeMs >= first.uptimeMs + 100);
    assert.ok(second.vcpuTimeNs >= first.vcpuTimeNs);
    await sandbox.stop();
    await assert.rejects(sandbox.metrics(), { code: "sandboxNotRunning" });
  },
  { skip },
);

test(
  "allSandboxMetrics() has the running sandboxes by name",
  async () => {
    await using backend = new MemoryBackend();
    using _used = useBackend(backend);
    assert.deepEqual(await allSandboxMetrics(), {});
    for (const name of ["one", "two", "ended"]) await Sandbox.create(options(name));
    await (await Sandbox.get("ended")).stop();
    const all = await allSandboxMetrics();
    assert.deepEqual(Object.keys(all).sort(), ["one", "two"]);
    for (const metrics of Object.values(all)) checkMachine(metrics);
  },
  { skip },
);

test(
  "allSandboxMetrics() leaves out a sandbox that does not answer, and shows an error that is not its own",
  async () => {
    await using backend = new MemoryBackend();
    using _used = useBackend(backend);
    for (const name of ["one", "two"]) await Sandbox.create(options(name));
    const two = backend.sandboxes.get("two");
    assert.ok(two !== undefined);
    for (const reason of [
      new TimeoutError("connecting to the sandbox", 10_000),
      new MetricsUnavailableError("two", "the guest is silent", 110),
      new AgentHandshakeError("The VM host process hung up"),
    ]) {
      two.connect = () => Promise.reject(reason);
      assert.deepEqual(Object.keys(await allSandboxMetrics()), ["one"]);
    }
    two.connect = () => Promise.reject(new InternalError("a fault of the library"));
    await assert.rejects(allSandboxMetrics(), { code: "internal" });
  },
  { skip },
);

test("compare() gives the processors' use since the reading before, within what there are", () => {
  const later = (vcpuMicros: number, bootNumber = 1): Reading => ({
    ...READING,
    vcpuMicros: 1_000_000 + vcpuMicros,
    uptimeMicros: 3_000_000,
    bootNumber,
  });
  const before = { ...READING, vcpuMicros: 1_000_000, uptimeMicros: 1_000_000 };
  assert.equal(compare(before, later(1_000_000)).cpuPercent, 50);
  assert.equal(compare(before, later(4_000_000)).cpuPercent, 200);
  assert.equal(compare(before, later(9_000_000)).cpuPercent, 200);
  assert.equal(compare(before, later(-1)).cpuPercent, 0);
  assert.equal(compare(before, later(1_000_000, 2)).cpuPercent, 0);
  assert.equal(compare(before, before).cpuPercent, 0);
  assert.equal(compare(before, later(1_000_000)).vcpuTimeNs, 2_000_000_000);
  assert.equal(compare(before, later(0)).uptimeMs, 3000);
});

test("MetricsUnavailableError says what could not be measured, and why", () => {
  const error = new MetricsUnavailableError("web", "the guest is silent", 110);
  assert.deepEqual([error.code, error.sandbox, error.errno], ["metricsUnavailable", "web", 110]);
  assert.equal(error.message, 'Cannot measure the sandbox "web": the guest is silent');
});
