import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { GuestErrno } from "../../../../src/agent/guest_errno.ts";
import { Measured, type MessageFields } from "../../../../src/agent/protocol.ts";
import { MiB } from "../../../../src/base/bytes.ts";
import { TimeoutError } from "../../../../src/base/errors.ts";
import { type MeasuredVm, Metrics } from "../../../../src/vmm/host/metrics.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

type Usage = MessageFields<"usage">;

const USAGE: Usage = {
  token: 1,
  errno: 0,
  upper: 1,
  memoryTotalBytes: 100 * MiB,
  memoryAvailableBytes: 60 * MiB,
  diskReadBytes: 1,
  diskWriteBytes: 2,
  netRxBytes: 3,
  netTxBytes: 4,
  upperUsedBytes: 5,
  upperFreeBytes: 6,
};
const MOST = Number.MAX_SAFE_INTEGER;

/** A VM that this process stands for, with a guest that says `usage`. */
function vmOf(usage: () => Promise<Usage>, changes: Partial<MeasuredVm> = {}): MeasuredVm {
  return {
    vm: { pid: process.pid, cpuThreadName: /./ },
    request: { cpus: 2, memoryMiB: 128, disks: [], network: undefined },
    usage,
    processes: () => Promise.reject(new Error("not asked for")),
    ...changes,
  };
}

test("Metrics.measure() joins what the guest says with what the host sees", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "upper");
  writeFileSync(path, new Uint8Array(64 * 1024).fill(1));
  const disks = [
    { id: "image", path: "/nowhere", readOnly: true },
    { id: "upper", path, readOnly: false, sizeBytes: 4096 * MiB },
  ];
  const request = { cpus: 2, memoryMiB: 128, disks, network: undefined };
  const metrics = new Metrics(vmOf(async () => USAGE, { request }));
  const before = Date.now();
  const measured = await metrics.measure();
  const { vcpuMicros, uptimeMicros, timestampMs, memoryHostResidentBytes, ...rest } = measured;
  assert.deepEqual(rest, {
    errno: 0,
    message: "",
    known: Measured.upper | Measured.hostResident | Measured.upperHostAllocated,
    cpus: 2,
    memoryBytes: 40 * MiB,
    memoryAvailableBytes: 60 * MiB,
    memoryLimitBytes: 128 * MiB,
    diskReadBytes: 1,
    diskWriteBytes: 2,
    netRxBytes: 3,
    netTxBytes: 4,
    upperUsedBytes: 5,
    upperFreeBytes: 6,
    upperHostAllocatedBytes: 64 * 1024,
  });
  assert.ok(timestampMs >= before && timestampMs <= Date.now());
  assert.ok(memoryHostResidentBytes > 10 * MiB, String(memoryHostResidentBytes));
  const again = await metrics.measure();
  assert.ok(again.vcpuMicros >= vcpuMicros && vcpuMicros > 0);
  assert.ok(again.uptimeMicros > uptimeMicros && uptimeMicros >= 0);
});

test("Metrics.measure() takes no more from a guest that lies than its sandbox has", async () => {
  const disks = [{ id: "upper", path: "/nowhere", readOnly: false, sizeBytes: 10 * MiB }];
  const request = { cpus: 1, memoryMiB: 128, disks, network: undefined };
  const lie = {
    ...USAGE,
    memoryTotalBytes: MOST,
    memoryAvailableBytes: MOST,
    upperUsedBytes: MOST,
    upperFreeBytes: MOST,
  };
  const measured = await new Metrics(vmOf(async () => lie, { request })).measure();
  assert.deepEqual([measured.memoryBytes, measured.memoryAvailableBytes], [0, 128 * MiB]);
  assert.deepEqual([measured.upperUsedBytes, measured.upperFreeBytes], [10 * MiB, 10 * MiB]);
  assert.equal(measured.known, Measured.upper | Measured.hostResident);
  const none = await new Metrics(vmOf(async () => ({ ...lie, memoryAvailableBytes: 0 }))).measure();
  assert.deepEqual([none.memoryBytes, none.memoryAvailableBytes], [128 * MiB, 0]);
});

test("Metrics.measure() says why there are no numbers, and never rejects", async () => {
  const answer = async (vm: MeasuredVm) => {
    const { errno, message } = await new Metrics(vm).measure();
    return [errno, message] as const;
  };
  const silent = () => Promise.reject(new TimeoutError("waiting for the guest", 7));
  assert.deepEqual(await answer(vmOf(silent)), [
    GuestErrno.ETIMEDOUT,
    "Timed out after 7 ms while waiting for the guest",
  ]);
  const unable = async () => ({ ...USAGE, errno: GuestErrno.EOPNOTSUPP });
  assert.equal((await answer(vmOf(unable)))[0], GuestErrno.EOPNOTSUPP);
  const guest = async () => USAGE;
  const nameless = vmOf(guest, { vm: { pid: process.pid, cpuThreadName: /^none$/ } });
  assert.match((await answer(nameless))[1], /has no thread named/);
  assert.match((await answer(vmOf(guest, { vm: { pid: undefined, cpuThreadName: /./ } })))[1], /is gone/);
});

test("Metrics.measure() has one question on its way, and answers none with what was asked before it", async () => {
  const questions: PromiseWithResolvers<Usage>[] = [];
  const metrics = new Metrics(
    vmOf(() => {
      const question = Promise.withResolvers<Usage>();
      questions.push(question);
      return question.promise;
    }),
  );
  const first = metrics.measure();
  const late = [metrics.measure(), metrics.measure(), metrics.measure()];
  assert.equal(questions.length, 1);
  questions[0]?.resolve({ ...USAGE, diskWriteBytes: 10 });
  assert.equal((await first).diskWriteBytes, 10);
  assert.equal(questions.length, 2);
  const latest = metrics.measure();
  questions[1]?.resolve({ ...USAGE, diskWriteBytes: 20 });
  for (const measured of await Promise.all(late)) assert.equal(measured.diskWriteBytes, 20);
  assert.equal(questions.length, 3);
  questions[2]?.reject(new TimeoutError("waiting", 1));
  assert.equal((await latest).errno, GuestErrno.ETIMEDOUT);
  const again = metrics.measure();
  questions[3]?.resolve(USAGE);
  assert.equal((await again).errno, 0);
  assert.equal(questions.length, 4);
});

test("Metrics.processes() passes the guest's list on, and says why there is none", async () => {
  const list = { token: 3, errno: 0, total: 1, processes: ["1 0 0 S 0 0 0\nroot\ninit"] };
  const usage = async () => USAGE;
  assert.deepEqual(await new Metrics(vmOf(usage, { processes: async () => list })).processes(), list);
  const silent = () => Promise.reject(new TimeoutError("waiting for the guest", 7));
  assert.deepEqual(await new Metrics(vmOf(usage, { processes: silent })).processes(), {
    errno: GuestErrno.ETIMEDOUT,
    total: 0,
    processes: [],
  });
});
