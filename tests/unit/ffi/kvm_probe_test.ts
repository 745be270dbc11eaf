import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { judgeTrial, probeKvm } from "../../../src/ffi/kvm_probe.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

/** Stand-ins for `/dev/kvm` and `/proc/cpuinfo`. */
function machine(flags: string | undefined) {
  const directory = temporaryDirectory();
  const devicePath = join(directory.path, "kvm");
  const cpuInfoPath = join(directory.path, "cpuinfo");
  writeFileSync(devicePath, "");
  writeFileSync(
    cpuInfoPath,
    flags === undefined ? "processor\t: 0\n" : `processor\t: 0\nflags\t\t: ${flags}\n`,
  );
  return { devicePath, cpuInfoPath, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

test("probeKvm() reports a device that is not there, or is no device", async () => {
  using directory = temporaryDirectory();
  const devicePath = join(directory.path, "kvm");
  assert.equal((await probeKvm({ devicePath })).problem?.kind, "missing");
  mkdirSync(devicePath);
  const { usable, problem } = await probeKvm({ devicePath });
  assert.equal(usable, false);
  assert.equal(problem?.kind, "missing");
  assert.ok(problem?.message.includes(devicePath));
});

test("probeKvm() reads the processor's flags as words", async () => {
  if (process.arch !== "x64") return;
  for (const [flags, kind] of [
    ["fpu vmx sse", undefined],
    ["fpu svm", undefined],
    ["fpu svmx xsvm avmx vmx_ept", "noVirtualization"],
    ["fpu vmmcall hypervisor", "noVirtualization"],
    [undefined, undefined],
  ] as const) {
    using paths = machine(flags);
    const { problem } = await probeKvm({ ...paths, trial: false });
    assert.equal(problem?.kind, kind, String(flags));
  }
});

test("probeKvm() ends a trial that takes too long", async () => {
  using paths = machine("svm");
  const { usable, problem } = await probeKvm({ ...paths, trialTimeoutMs: 1 });
  assert.equal(usable, false);
  assert.deepEqual(
    [problem?.kind, problem?.message],
    ["trialFailed", "a trial run in a VM failed: it did not end in 1 ms"],
  );
});

test("probeKvm() gives one verdict for this machine, with a hint if it is bad", async () => {
  const probe = await probeKvm();
  assert.equal(probe.usable, probe.problem === undefined);
  if (probe.problem !== undefined) assert.ok(probe.problem.hint.length > 0);
});

test("judgeTrial() refuses a guest that runs as if each instruction were emulated", () => {
  const iterations = 200_000;
  assert.equal(judgeTrial({ outcome: "ran", runMs: 100, iterations }), undefined);
  assert.equal(judgeTrial({ outcome: "ran", runMs: 0, iterations: 0 }), undefined);
  assert.equal(judgeTrial({ outcome: "ran", runMs: 100.1, iterations })?.kind, "trialFailed");
  assert.match(judgeTrial({ outcome: "failed", problem: "KVM_RUN failed: EPERM" })?.message ?? "", /EPERM/);
});
