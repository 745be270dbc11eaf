import assert from "node:assert/strict";
import { chmodSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EngineUnavailableError } from "../../../../src/vmm/errors.ts";
import {
  chooseEngine,
  type DoctorProblem,
  type DoctorReport,
  doctor,
  selectEngine,
} from "../../../../src/vmm/launch/doctor.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

type Found = Omit<DoctorReport, "engine" | "reason" | "checks">;

const ALL: Found = {
  kvm: true,
  libkrun: "/lib/libkrun.so",
  libkrunfw: "/lib/libkrunfw.so",
  qemu: "/bin/qemu",
  problems: [],
};

function problem(engine: "krun" | "qemu", kind: DoctorProblem["kind"]): DoctorProblem {
  return { engine, kind, message: `${kind}!`, hint: `fix ${kind}` };
}

const NO_KVM: Found = { ...ALL, kvm: false, problems: [problem("krun", "kvmMissing")] };
const NO_LIBKRUN: Found = { ...ALL, libkrun: undefined, problems: [problem("krun", "libkrunMissing")] };
const NO_QEMU: Found = { ...ALL, qemu: undefined, problems: [problem("qemu", "qemuMissing")] };
const NO_KERNEL: Found = {
  ...ALL,
  libkrunfw: undefined,
  problems: [problem("krun", "libkrunfwMissing"), problem("qemu", "libkrunfwMissing")],
};
const NOTHING: Found = {
  kvm: false,
  libkrun: undefined,
  libkrunfw: undefined,
  qemu: undefined,
  problems: [
    problem("krun", "libkrunMissing"),
    problem("krun", "libkrunfwMissing"),
    problem("qemu", "libkrunfwMissing"),
    problem("krun", "noVirtualization"),
    problem("qemu", "qemuMissing"),
  ],
};

type Row = readonly [name: string, found: Found, auto: string, krun: string, qemu: string];

/** What is there, and the engine for each wish. */
const DECISIONS: readonly Row[] = [
  ["everything", ALL, "krun", "krun", "qemu"],
  ["no KVM", NO_KVM, "qemu", "none", "qemu"],
  ["no libkrun", NO_LIBKRUN, "qemu", "none", "qemu"],
  ["no QEMU", NO_QEMU, "krun", "krun", "none"],
  ["no kernel", NO_KERNEL, "none", "none", "none"],
  ["nothing", NOTHING, "none", "none", "none"],
];

for (const [name, found, auto, krun, qemu] of DECISIONS) {
  test(`chooseEngine() with ${name} is ${auto} by itself, ${krun} for krun, ${qemu} for qemu`, () => {
    const chosen = (["auto", "krun", "qemu"] as const).map(
      (wanted) => chooseEngine(wanted, found).engine ?? "none",
    );
    assert.deepEqual(chosen, [auto, krun, qemu]);
  });
}

test("chooseEngine() says why, with every problem of the engines that are out", () => {
  assert.equal(chooseEngine("auto", ALL).reason, "krun: KVM and libkrun are there");
  assert.equal(chooseEngine("auto", NO_KVM).reason, "qemu by emulation, which is slow, as kvmMissing!");
  assert.equal(chooseEngine("auto", NO_LIBKRUN).reason, "qemu with KVM, as libkrunMissing!");
  assert.equal(chooseEngine("qemu", NO_KVM).reason, "qemu was asked for: by emulation, which is slow");
  assert.equal(chooseEngine("krun", NO_KVM).reason, "krun was asked for, but kvmMissing!");
  const { reason } = chooseEngine("auto", NOTHING);
  for (const { kind } of NOTHING.problems) assert.ok(reason.includes(kind), `${kind} is not in: ${reason}`);
});

test("doctor() names what is missing, each with a way to mend it", async () => {
  using directory = temporaryDirectory();
  const none = join(directory.path, "none");
  const report = await doctor({
    engine: "krun",
    libkrunPath: none,
    libkrunfwPath: none,
    qemuPath: none,
    trial: false,
  });
  assert.equal(report.engine, undefined);
  assert.deepEqual([report.libkrun, report.libkrunfw, report.qemu], [undefined, undefined, undefined]);
  const kinds = report.problems.map(({ engine, kind }) => `${engine} ${kind}`);
  for (const expected of [
    "krun libkrunMissing",
    "krun libkrunfwMissing",
    "qemu libkrunfwMissing",
    "qemu qemuMissing",
  ])
    assert.ok(kinds.includes(expected), kinds.join());
  for (const { hint, message } of report.problems)
    assert.ok(hint.length > 0 && !message.includes("\n"), message);
});

test("doctor() lists every thing that it looked for, with what is wrong with it", async () => {
  using directory = temporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  writeFileSync(at("qemu"), "", { mode: 0o755 });
  const { checks } = await doctor({ libkrunPath: at("none"), qemuPath: at("qemu"), trial: false });
  assert.deepEqual(new Set(checks.map(({ name }) => name)), new Set(["KVM", "libkrunfw", "libkrun", "qemu"]));
  const of = (wanted: string) => checks.find(({ name }) => name === wanted);
  assert.deepEqual(of("qemu"), { name: "qemu", found: at("qemu"), problem: undefined });
  assert.equal(of("libkrun")?.found, undefined);
  assert.equal(of("libkrun")?.problem?.kind, "libkrunMissing");
  for (const { found, problem } of checks) assert.equal(found === undefined, problem !== undefined);
});

test("doctor() takes a program for QEMU, and no directory", async () => {
  using directory = temporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  mkdirSync(at("directory"));
  writeFileSync(at("qemu"), "", { mode: 0o755 });
  assert.equal((await doctor({ qemuPath: at("qemu"), trial: false })).qemu, at("qemu"));
  assert.equal((await doctor({ qemuPath: at("directory"), trial: false })).qemu, undefined);
});

test("doctor() gives the whole path of a QEMU that was named by a part of it", async () => {
  using directory = temporaryDirectory();
  writeFileSync(join(directory.path, "qemu"), "", { mode: 0o755 });
  const before = process.cwd();
  process.chdir(directory.path);
  try {
    const { qemu } = await doctor({ qemuPath: "./qemu", trial: false });
    assert.equal(qemu, join(realpathSync(directory.path), "qemu"));
  } finally {
    process.chdir(before);
  }
});

test("doctor() takes no library and no program that others could have put there, and says which", async () => {
  using directory = temporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  mkdirSync(at("open"));
  for (const name of ["libkrun.so.1", "libkrunfw.so.5", "qemu"])
    writeFileSync(at(`open/${name}`), "", { mode: 0o755 });
  chmodSync(at("open"), 0o777);
  const report = await doctor({
    libkrunPath: at("open"),
    libkrunfwPath: at("open"),
    qemuPath: at("open/qemu"),
    trial: false,
  });
  assert.deepEqual([report.libkrun, report.libkrunfw, report.qemu], [undefined, undefined, undefined]);
  const told = report.problems.filter(({ message }) => message.includes("can be written by every user"));
  assert.deepEqual(
    told.map(({ engine, kind }) => `${engine} ${kind}`),
    ["krun libkrunMissing", "qemu qemuMissing", "krun libkrunfwMissing", "qemu libkrunfwMissing"],
  );
  for (const { hint } of told) assert.match(hint, /chmod go-w/);
});

test("doctor() says which releases of libkrun it works with where another one is", async () => {
  using directory = temporaryDirectory();
  writeFileSync(join(directory.path, "libkrun.so.2"), "");
  const { libkrun, problems } = await doctor({ libkrunPath: directory.path, trial: false });
  assert.equal(libkrun, undefined);
  const found = problems.find(({ kind }) => kind === "libkrunMissing");
  assert.match(found?.message ?? "", /libkrun\.so\.2.* 1\.17 to 1\.19/);
});

test("selectEngine() has a line for each problem of the engines that could have been used, and a hint", async () => {
  using directory = temporaryDirectory();
  const none = join(directory.path, "none");
  const files = { libkrunPath: none, libkrunfwPath: none, qemuPath: none };
  for (const engine of ["auto", "krun", "qemu"] as const) {
    const error: unknown = await selectEngine({ engine, ...files }).catch((thrown) => thrown);
    assert.ok(error instanceof EngineUnavailableError);
    const [first, ...lines] = error.summary.split("\n");
    assert.equal(first, "No engine can run VMs here:");
    assert.deepEqual(
      lines.map((line) => line.trim()),
      error.problems,
    );
    assert.equal(new Set(lines).size, lines.length, error.message);
    for (const line of lines)
      assert.match(line, engine === "auto" ? /^ {2}(?:krun|qemu)/ : RegExp(`^  ${engine}: `));
    assert.ok(error.hint);
    assert.ok(error.message.length < 2_000, error.message);
  }
});

test("doctor() refuses an engine that is none, and holds an empty variable for none", async () => {
  const before = process.env["MSB_ENGINE"];
  try {
    process.env["MSB_ENGINE"] = "xen";
    await assert.rejects(doctor({ trial: false }), { code: "invalidConfig", message: /engine: .*xen/ });
    process.env["MSB_ENGINE"] = "";
    await doctor({ trial: false });
  } finally {
    if (before === undefined) delete process.env["MSB_ENGINE"];
    else process.env["MSB_ENGINE"] = before;
  }
});
