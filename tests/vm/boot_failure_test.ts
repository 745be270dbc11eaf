/**
 * Boots that cannot succeed, or are not wanted any more: each ends with its own error, and leaves nothing.
 *
 * @module
 */
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  AbortedError,
  BootStartError,
  type CreateStep,
  doctor,
  EngineUnavailableError,
  Sandbox,
  SandboxNotFoundError,
} from "../../mod.ts";
import { buildErofsImage } from "../../src/image/build.ts";
import { copyDisk } from "../../src/snapshot/disk_copy.ts";
import { assertNothingLeft } from "../support/processes.ts";
import { discard, homeTest, type TestHome } from "../support/vm/vm.ts";

const NAME = "subject";
const GARBAGE = new Uint8Array(64 * 1024).fill(0xa5);
/** Enough for a guest to come as far as its agent, and too little for a test to be slow. */
const HANG_TIMEOUT_MS = 20_000;
const STEPS: readonly CreateStep[] = ["image", "kernel", "engine", "agent", "root"];

homeTest("create() names an image that the guest cannot mount, with the kernel's words", async (test) => {
  await fillCache(test);
  overwrite(onlyFile(join(test.home, "cache", "images"), ".erofs"), GARBAGE);
  const error = await assertBootFails(test.create());
  assert.equal(error.step, "agent");
  assert.match(error.message, /mount image/);
  assert.match(error.consoleTail, /erofs/);
  await assertGone(test);
});

homeTest(
  "start() names a writable disk that the guest cannot mount; the sandbox is crashed",
  async (test) => {
    const sandbox = await test.create();
    await sandbox.stop();
    const disk = join(test.home, "sandboxes", NAME, "upper.ext4");
    const kept = join(test.scratch, "kept");
    await copyDisk({ from: disk, to: kept });
    overwrite(disk, GARBAGE);
    const error = await assertBootFails(Sandbox.start(NAME));
    assert.match(error.message, /mount upper/);
    const handle = await Sandbox.get(NAME);
    assert.equal(handle.status, "crashed");
    assert.match(handle.statusReason ?? "", /mount upper/);

    rmSync(disk);
    await copyDisk({ from: kept, to: disk });
    const repaired = await handle.start();
    assert.equal((await repaired.exec("true")).code, 0);
  },
);

homeTest("create() of a guest whose kernel panics rejects with the panic", async (test) => {
  await fillCache(test);
  await replaceAgent(test, undefined);
  const error = await assertBootFails(test.create());
  assert.equal(error.step, "engine");
  assert.match(error.consoleTail, /Kernel panic|Requested init \/agent failed/);
  await assertGone(test);
});

homeTest("create() of a guest whose agent dies rejects with its last words", async (test) => {
  await fillCache(test);
  await replaceAgent(test, "echo I give up; sleep 1; exit 3");
  const error = await assertBootFails(test.create());
  assert.equal(error.step, "engine");
  // libkrunfw's kernel does not panic at the end of PID 1: it reboots, which ends the VM.
  assert.match(error.message, /hung up|the VM ended/);
  assert.match(error.consoleTail, /I give up/);
  await assertGone(test);
});

homeTest("create() of a guest whose agent is silent rejects after bootTimeoutMs", async (test) => {
  await fillCache(test);
  await replaceAgent(test, "echo no agent here; while :; do sleep 1; done");
  const error = await assertBootFails(test.create({ bootTimeoutMs: HANG_TIMEOUT_MS }));
  assert.match(error.message, new RegExp(`Timed out after ${HANG_TIMEOUT_MS} ms`));
  assert.match(error.consoleTail, /no agent here/);
  await assertGone(test);
});

homeTest("create() gives up at bootTimeoutMs, however early", async (test) => {
  const error = await assertBootFails(test.create({ bootTimeoutMs: 1 }));
  assert.match(error.message, /Timed out after 1 ms/);
  await assertGone(test);
});

homeTest("create() says what is missing where no engine can run", async (test) => {
  const cases = [
    { variables: { MSB_LIBKRUNFW: join(test.scratch, "nowhere") }, engine: "qemu", says: /libkrunfw/ },
    { variables: { PATH: test.scratch, MSB_QEMU: undefined }, engine: "qemu", says: /qemu/ },
    { variables: { MSB_LIBKRUN: join(test.scratch, "nowhere") }, engine: "krun", says: /libkrun/ },
  ] as const;
  for (const { variables, engine, says } of cases) {
    await withEnvironment(variables, async () => {
      await assert.rejects(test.create({ engine }), (error: unknown) => {
        assert.ok(error instanceof EngineUnavailableError, String(error));
        assert.equal(error.code, "engineUnavailable");
        assert.match(error.message, says);
        assert.ok(error.hint);
        return true;
      });
    });
    await assertGone(test);
  }
});

homeTest(
  "create() refuses `krun` by name where KVM cannot run guests, and says why",
  async (test) => {
    const report = await doctor();
    await assert.rejects(test.create({ engine: "krun" }), (error: unknown) => {
      assert.ok(error instanceof EngineUnavailableError);
      const reasons = report.problems.filter(
        ({ kind }) => kind.startsWith("kvm") || kind === "noVirtualization",
      );
      assert.ok(reasons.some(({ message }) => error.message.includes(message)));
      return true;
    });
  },
  { skip: process.env["MSB_ONLY_IGNORED"] === "1" && (await doctor()).kvm ? "KVM works here" : undefined },
);

for (const step of STEPS) {
  homeTest(`create() that is aborted at step ${step} leaves nothing`, async (test) => {
    const controller = new AbortController();
    const reason = new Error("not wanted any more");
    const seen: CreateStep[] = [];
    const onStep = (reached: CreateStep) => {
      seen.push(reached);
      if (reached === step) controller.abort(reason);
    };
    const options = { name: NAME, image: test.image, memoryMiB: 128 };
    const creating = Sandbox.create(options, { signal: controller.signal, onStep });
    await assert.rejects(creating, (error: unknown) => {
      assert.ok(error instanceof AbortedError, String(error));
      assert.equal(error.cause, reason);
      return true;
    });
    assert.deepEqual(seen, STEPS.slice(0, STEPS.indexOf(step) + 1));
    await assertGone(test);
    if (step === "agent")
      assert.equal((await (await test.create()).exec("true")).code, 0, "the name is free");
  });
}

homeTest(
  "create() of a detached sandbox that is aborted while it boots never becomes ready",
  async (test) => {
    const controller = new AbortController();
    const onStep = (step: CreateStep) => step === "engine" && controller.abort();
    const options = { name: NAME, image: test.image, memoryMiB: 128, detached: true };
    await assert.rejects(Sandbox.create(options, { signal: controller.signal, onStep }), AbortedError);
    await assertGone(test);
    const actions: string[] = [];
    for await (const { action } of Sandbox.events({ name: NAME })) actions.push(action);
    assert.deepEqual(actions, ["created", "starting", "failed"]);
  },
);

homeTest("create() with a signal that has fired begins nothing", async (test) => {
  const signal = AbortSignal.abort();
  await assert.rejects(Sandbox.builder(NAME).image(test.image).create({ signal }), AbortedError);
  await assertGone(test);
});

homeTest("start() that is aborted leaves a sandbox that can be started", async (test) => {
  await (await test.create()).stop();
  const controller = new AbortController();
  const onStep = (step: string) => step === "engine" && controller.abort();
  await assert.rejects(Sandbox.start(NAME, { signal: controller.signal, onStep }), AbortedError);
  const { status } = await Sandbox.get(NAME);
  assert.ok(status === "stopped" || status === "crashed", status);
  assert.equal((await (await Sandbox.start(NAME)).exec("true")).code, 0);
});

/** Has image, kernel and boot disk made, and leaves no sandbox. */
async function fillCache(test: TestHome): Promise<void> {
  await test.create();
  await discard(NAME);
}

/** Puts a shell script in the agent's place; nothing at all if there is none. */
async function replaceAgent(test: TestHome, script: string | undefined): Promise<void> {
  const root = join(test.scratch, "boot");
  for (const name of ["bin", "dev", "proc", "sys", "image", "upper", "root"])
    mkdirSync(join(root, name), { recursive: true });
  copyFileSync("/bin/busybox", join(root, "bin", "busybox"));
  chmodSync(join(root, "bin", "busybox"), 0o755);
  if (script !== undefined) {
    const path = "#!/bin/busybox sh\nPATH=/bin; alias sleep='busybox sleep'; exec >/dev/console 2>&1\n";
    writeFileSync(join(root, "agent"), `${path}${script}\n`, { mode: 0o755 });
  }
  const disk = onlyFile(join(test.home, "cache", "boot"), ".erofs");
  rmSync(disk);
  await buildErofsImage({ source: { directory: root }, outputPath: disk });
}

async function assertBootFails(booting: Promise<Sandbox>): Promise<BootStartError> {
  const outcome = await booting.catch((error: unknown) => error);
  assert.ok(outcome instanceof BootStartError, String(outcome));
  assert.equal(outcome.code, "bootStart");
  assert.equal(outcome.sandbox, NAME);
  return outcome;
}

async function assertGone({ home }: TestHome): Promise<void> {
  await assert.rejects(Sandbox.get(NAME), SandboxNotFoundError);
  await assertNothingLeft(home);
}

async function withEnvironment(
  variables: Readonly<Record<string, string | undefined>>,
  body: () => Promise<void>,
): Promise<void> {
  const before = new Map(Object.keys(variables).map((name) => [name, process.env[name]]));
  const set = (name: string, value: string | undefined) => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  try {
    for (const [name, value] of Object.entries(variables)) set(name, value);
    await body();
  } finally {
    for (const [name, value] of before) set(name, value);
  }
}

function onlyFile(directory: string, suffix: string): string {
  const names = readdirSync(directory).filter((name) => name.endsWith(suffix));
  assert.equal(names.length, 1, `${directory}: ${names}`);
  return join(directory, names[0] ?? "");
}

function overwrite(path: string, bytes: Uint8Array): void {
  chmodSync(path, 0o600);
  writeFileSync(path, bytes, { flag: "r+" });
}
