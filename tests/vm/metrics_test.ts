/**
 * Metrics of running sandboxes, beside what programs in the guest and on the host say of the same things.
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { allSandboxMetrics, Sandbox, type SandboxMetrics } from "../../mod.ts";
import { MiB } from "../../src/base/bytes.ts";
import { processesOf } from "../support/processes.ts";
import { GREETING, startGreeter } from "../support/vm/greeter.ts";
import { ownAddress, userNetworkProblem } from "../support/vm/user_network.ts";
import { homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

const WRITTEN_MIB = 50;

/** A shell that works as long as it is let. */
const BUSY = "while :; do :; done";

/** More than a VM needs for itself, in percent of a processor. */
const BUSY_PERCENT = 20;

/** The bytes of a line of /proc/meminfo. */
async function meminfo(sandbox: Sandbox, name: string): Promise<number> {
  const text = (await sandbox.exec("cat", ["/proc/meminfo"])).stdout();
  return Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(text)?.[1]) * 1024;
}

homeTest("metrics() says what programs in the guest and on the host say", async ({ create, home }) => {
  const sandbox = await create();
  const metrics = await sandbox.metrics();
  const total = await meminfo(sandbox, "MemTotal");
  const { memoryBytes, memoryAvailableBytes, memoryLimitBytes } = metrics;
  assert.equal(memoryLimitBytes, MEMORY_MIB * MiB);
  const available = await meminfo(sandbox, "MemAvailable");
  const needed = total - available;
  assert.ok(Math.abs(memoryBytes - needed) < 16 * MiB, `${memoryBytes} bytes used, not ${needed}`);
  const difference = Math.abs((memoryAvailableBytes ?? 0) - available);
  assert.ok(difference < 16 * MiB, `${difference} bytes more or less than /proc/meminfo says`);
  // df counts blocks of 1,024 bytes of the upper file system, which is what / is made of.
  const [, used, free] =
    /(\d+) +(\d+) +\d+% +\/$/m.exec((await sandbox.exec("df", ["-k", "/"])).stdout()) ?? [];
  const near = (value: number | null, kib: string | undefined) =>
    assert.ok(Math.abs((value ?? 0) - Number(kib) * 1024) < 4 * MiB, `${value} bytes, ${kib} KiB`);
  near(metrics.upperUsedBytes, used);
  near(metrics.upperFreeBytes, free);
  const du = execFileSync("du", ["--block-size=1", join(home, "sandboxes", sandbox.name, "upper.ext4")]);
  near(metrics.upperHostAllocatedBytes, String(Number(du.toString().split("\t")[0]) / 1024));
  assert.deepEqual([metrics.netRxBytes, metrics.netTxBytes], [0, 0]); // it has no network
  assert.ok(metrics.diskReadBytes > 0);
  assert.ok(metrics.uptimeMs >= 0);
  // What the host sees: its own process, and the engine's where it has one.
  const resident = () =>
    processesOf(home)
      .map(
        ({ pid }) => Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024,
      )
      .reduce((sum, bytes) => sum + bytes, 0);
  const now = (await sandbox.metrics()).memoryHostResidentBytes ?? 0;
  assert.ok(now > resident() / 2 && now < resident() * 2, `${now} is not about ${resident()}`);
  assert.ok(now > 32 * MiB);
});

homeTest("metrics() counts what is written, and what the host's disk takes for it", async ({ create }) => {
  const sandbox = await create();
  await sandbox.exec("sync");
  const before = await sandbox.metrics();
  const write = `dd if=/dev/urandom of=/root/data bs=1M count=${WRITTEN_MIB} && sync`;
  assert.equal((await sandbox.shell(write)).code, 0);
  const after = await sandbox.metrics();
  const grown = (value: (metrics: SandboxMetrics) => number | null) =>
    ((value(after) ?? 0) - (value(before) ?? 0)) / MiB;
  const figures = {
    written: grown(({ diskWriteBytes }) => diskWriteBytes),
    used: grown(({ upperUsedBytes }) => upperUsedBytes),
    free: -grown(({ upperFreeBytes }) => upperFreeBytes),
    allocated: grown(({ upperHostAllocatedBytes }) => upperHostAllocatedBytes),
  };
  for (const [name, mib] of Object.entries(figures)) {
    const isAbout = mib >= WRITTEN_MIB - 1 && mib <= WRITTEN_MIB + 16; // a journal, and other blocks of its own
    assert.ok(isAbout, `${name}: ${JSON.stringify(figures)}`);
  }
  const cache = "echo 3 > /proc/sys/vm/drop_caches && cat /root/data > /dev/null";
  assert.equal((await sandbox.shell(cache)).code, 0);
  const read = ((await sandbox.metrics()).diskReadBytes - after.diskReadBytes) / MiB;
  assert.ok(read >= WRITTEN_MIB - 1 && read <= WRITTEN_MIB + 32, `${read} MiB read`);
});

homeTest("metricsStream() sees a busy program, and one that stands still", async ({ create }) => {
  const sandbox = await create({ cpus: 2 });
  const busy = await sandbox.execStream("sh", ["-c", BUSY]);
  const stream = sandbox.metricsStream(500);
  // What the VM gets of the host's processors may be little for a while: the test's time is the limit.
  const sampleWhere = async (isWanted: (percent: number) => boolean) => {
    for (;;) {
      const sample = await stream.recv();
      assert.ok(sample !== null);
      assert.ok(sample.cpuPercent < 150, `${sample.cpuPercent} % with one of two processors busy`);
      if (isWanted(sample.cpuPercent)) return sample;
    }
  };
  const sample = await sampleWhere((percent) => percent > BUSY_PERCENT);
  const later = await stream.recv();
  const ran = ((later?.vcpuTimeNs ?? 0) - sample.vcpuTimeNs) / 1e6;
  const passed = (later?.uptimeMs ?? 0) - sample.uptimeMs;
  assert.ok(Math.abs((later?.cpuPercent ?? 0) - (ran / passed) * 100) < 5, `${ran} ms of ${passed} ms`);
  await sandbox.pause();
  await sampleWhere((percent) => percent < BUSY_PERCENT / 2);
  await sandbox.resume();
  await busy.kill();
  const stopped = sandbox.stop();
  for await (const { uptimeMs } of stream) assert.ok(uptimeMs > sample.uptimeMs);
  await stopped;
  assert.equal(await stream.recv(), null);
  await assert.rejects(sandbox.metrics(), { code: "sandboxNotRunning" });
  await assert.rejects((await Sandbox.get(sandbox.name)).metricsStream().recv(), {
    code: "sandboxNotRunning",
  });
});

homeTest("metricsStream() keeps no idle sandbox alive, and leaves nothing open", async ({ create }) => {
  const sandbox = await create();
  const descriptors = () => readdirSync("/proc/self/fd").length;
  await sandbox.metrics();
  const before = descriptors();
  for (let round = 0; round < 20; round++) {
    await using stream = sandbox.metricsStream(100);
    await stream.recv();
  }
  assert.ok(descriptors() <= before + 2, `${before} descriptors before, ${descriptors()} after`);
  const stream = sandbox.metricsStream(200);
  await stream.recv();
  await sandbox.setTimeLimits({ idleTimeoutMs: 1500 });
  for await (const { uptimeMs } of stream) assert.ok(uptimeMs > 0);
  assert.equal((await sandbox.waitUntilStopped()).reason, "idleTimeout");
});

homeTest("allSandboxMetrics() has each sandbox that runs, also of another process", async ({ create }) => {
  await create({ name: "one" });
  const two = await create({ name: "two", memoryMiB: 192 });
  const ended = await create({ name: "ended" });
  await ended.stop();
  await two.pause();
  const all = await allSandboxMetrics();
  assert.deepEqual(Object.keys(all).sort(), ["one", "two"]);
  assert.equal(all["two"]?.memoryLimitBytes, 192 * MiB);
});

homeTest(
  "metrics() counts what a network device carries",
  async ({ create }) => {
    using server = await startGreeter(ownAddress ?? "");
    const sandbox = await create({ network: { mode: "user", via: "passt" } });
    const before = await sandbox.metrics();
    const text = await sandbox.exec("timeout", ["10", "nc", ownAddress ?? "", String(server.port)]);
    assert.equal(text.stdout(), GREETING);
    const counters = await sandbox.shell("cd /sys/class/net/eth0/statistics && cat rx_bytes tx_bytes");
    const after = await sandbox.metrics();
    const [received = 0, sent = 0] = counters.stdout().trim().split("\n").map(Number);
    assert.ok(after.netRxBytes - before.netRxBytes >= GREETING.length);
    assert.ok(after.netTxBytes > before.netTxBytes);
    assert.ok(received <= after.netRxBytes && after.netRxBytes <= received + 10_000);
    assert.ok(sent <= after.netTxBytes && after.netTxBytes <= sent + 10_000);
  },
  { missing: userNetworkProblem },
);

homeTest(
  "processes() lists the programs that ps lists, and does so while they stand still",
  async ({ create }) => {
    const sandbox = await create();
    await sandbox.shell("echo 'worker:x:1234:1234::/:/bin/sh' >> /etc/passwd");
    await sandbox.execStream("sleep", ["1000"], { user: "worker", detached: true });
    await sandbox.execStream("sh", ["-c", BUSY], { detached: true });
    const { processes, total } = await sandbox.processes();
    assert.deepEqual(processes.map(({ user, command }) => [user, command]).toSorted(), [
      ["root", `sh -c ${BUSY}`],
      ["worker", "sleep 1000"],
    ]);
    assert.equal(total, 2);
    const ps = (await sandbox.exec("ps", ["-o", "pid,user,args"])).stdout();
    for (const { pid, user, command } of processes)
      assert.match(
        ps,
        new RegExp(`^ *${pid} ${user} +${command.replaceAll(/[.*+?^$()[\]{}|;]/g, "\\$&")}$`, "m"),
      );
    await sandbox.pause();
    assert.deepEqual(
      (await sandbox.processes()).processes.map(({ pid }) => pid).toSorted(),
      processes.map(({ pid }) => pid).toSorted(),
    );
  },
);
