/** Starts of VM host processes that come to nothing: real ones, that are stopped by SIGSTOP before they boot. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AbortedError, TimeoutError } from "../../../../src/base/errors.ts";
import { BootStartError } from "../../../../src/vmm/errors.ts";
import type { BootRequest } from "../../../../src/vmm/host_protocol.ts";
import { launchVm } from "../../../../src/vmm/launch/launch_vm.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";
import { assertNothingLeft } from "../../../support/processes.ts";

/** What no boot gets as far as to look at. */
const REQUEST: Omit<BootRequest, "type"> = {
  cpus: 1,
  memoryMiB: 64,
  disks: [],
  kvm: false,
  enginePath: "/bin/qemu",
  libkrunfwPath: "/lib/libkrunfw.so",
  guest: {
    imageDevice: "",
    imageType: "",
    upperDevice: "",
    upperType: "tmpfs",
    upperOptions: "",
    upperFlags: 0,
    hostname: "",
    hosts: "",
    resolvConf: "",
  },
  logDirectory: "/nonexistent",
  bootTimeoutMs: 1,
  stopGraceMs: 0,
  limits: { maxDurationMs: undefined, idleTimeoutMs: undefined },
  hangTimeoutMs: null,
  ports: [],
  mounts: [],
  isPrepared: false,
};

/** Longer than a test may take. */
const LONG_MS = 600_000;

interface Hanging {
  /** How long the process is waited for, beside the time that is for its own answers. */
  readonly bootTimeoutMs: number;
  readonly onHang?: () => void;
  readonly signal?: AbortSignal;
}

/** Launches a VM whose host process hangs once it has claimed its sandbox. */
async function launchHanging(home: StateHome, { bootTimeoutMs, onHang, signal }: Hanging): Promise<unknown> {
  const id = randomUUID();
  const sandbox = { kind: "create", id, name: "x", configJson: "{}", imageDigest: "d", labels: {} } as const;
  const prepare = async () => {
    const pid = home.state.findById(id)?.host?.pid;
    assert.ok(pid);
    process.kill(pid, "SIGSTOP");
    onHang?.();
    return REQUEST;
  };
  const claim = { home: home.path, sandbox, engine: "qemu", detached: false } as const;
  try {
    return await launchVm({ name: "x", claim, engineStart: REQUEST, bootTimeoutMs, prepare, signal });
  } finally {
    home.state.abandonCreate(
      { id, bootNumber: 1 },
      { reason: "", move: { from: `${home.path}/none`, to: `${home.path}/none` } },
    );
  }
}

test("launchVm() gives up on a host process that hangs, and leaves nothing of it", async () => {
  using home = new StateHome();
  await assert.rejects(launchHanging(home, { bootTimeoutMs: 1 }), (error) => {
    assert.ok(error instanceof BootStartError);
    assert.ok(error.cause instanceof TimeoutError);
    assert.equal(error.step, "claim");
    return true;
  });
  await assertNothingLeft(home.path);
});

test("launchVm() ends a host process that hangs when its signal fires", async () => {
  using home = new StateHome();
  const controller = new AbortController();
  const launching = launchHanging(home, {
    bootTimeoutMs: LONG_MS,
    onHang: () => controller.abort("enough"),
    signal: controller.signal,
  });
  await assert.rejects(launching, (error) => error instanceof AbortedError && error.cause === "enough");
  await assertNothingLeft(home.path);
});

test("launchVm() runs nothing that lies in the home or in the working directory", async () => {
  using home = new StateHome();
  using directory = temporaryDirectory();
  const marker = join(directory.path, "marker");
  writeFileSync(
    join(directory.path, "planted.ts"),
    `import { writeFileSync } from "node:fs"; writeFileSync(${JSON.stringify(marker)}, "");`,
  );
  for (const place of [home.path, directory.path]) {
    writeFileSync(
      join(place, "bunfig.toml"),
      `preload = [${JSON.stringify(join(directory.path, "planted.ts"))}]`,
    );
    writeFileSync(join(place, ".env"), "NODE_OPTIONS=--import=/nonexistent");
    writeFileSync(join(place, "package.json"), "{ damaged");
    writeFileSync(join(place, "deno.json"), "{ damaged");
  }
  const before = process.cwd();
  process.chdir(directory.path);
  try {
    const controller = new AbortController();
    const onHang = () => controller.abort();
    const launching = launchHanging(home, { bootTimeoutMs: LONG_MS, onHang, signal: controller.signal });
    await assert.rejects(launching, AbortedError);
  } finally {
    process.chdir(before);
  }
  assert.equal(existsSync(marker), false);
});
