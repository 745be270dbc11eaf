/** The lock of a sandbox as a sign of life, where pids and sockets say nothing. @module */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Sandbox } from "../../../../mod.ts";
import { killHost } from "../../../../src/backend/local/host_liveness.ts";
import { sweepLeftovers } from "../../../../src/backend/local/reconcile.ts";
import { findProgram } from "../../../../src/platform/find_program.ts";
import { homePaths } from "../../../../src/platform/home.ts";
import type { ProcessIdentity } from "../../../../src/platform/process_identity.ts";
import { holdSandboxLock } from "../../../../src/vmm/run_directory/sandbox_lock.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";
import { startVmlessHost } from "../../../support/host/vmless_host.ts";
import { eventually, runRoot } from "../../../support/processes.ts";

const RUN = "Deno" in globalThis ? ["run", "--allow-all", "--quiet"] : [];
const LOOKING_PROGRAM = fileURLToPath(new URL("../../../support/host/looking_program.ts", import.meta.url));

/** A home with a sandbox called `x` that runs, without a VM, in a process of its own. */
class RunningHome extends StateHome {
  readonly id = randomUUID();
  readonly host: ProcessIdentity;

  static async start(): Promise<RunningHome> {
    const home = new RunningHome();
    await startVmlessHost({ home: home.path, id: home.id, name: "x" });
    const { host } = home.state.get("x");
    assert.ok(host !== undefined);
    return Object.assign(home, { host });
  }

  constructor() {
    super();
    this.host = { pid: 0, startTime: "" }; // until it is started
  }

  /** Has the record name a process and sockets that cannot be seen from here, as from another PID and mount namespace. */
  hide(): void {
    using raw = new DatabaseSync(homePaths(this.path).state);
    raw.exec(
      `UPDATE sandbox SET host_pid = ${2 ** 30}, host_start_time = '1.none', run_directory = '/no/such'`,
    );
  }

  override [Symbol.dispose](): void {
    killHost({ host: this.host });
    super[Symbol.dispose]();
  }
}

const lockOf = (home: StateHome, id: string) => join(homePaths(home.path).locks, `${id}.lock`);

test("Sandbox.list() and get() take a sandbox for running while its lock is held, and for crashed once it is not", async () => {
  using home = await RunningHome.start();
  home.hide();
  const listed = await Sandbox.list({ status: "running" });
  assert.deepEqual(
    listed.sandboxes.map(({ name }) => name),
    ["x"],
  );
  assert.equal((await Sandbox.get("x")).status, "running");
  killHost({ host: home.host });
  await eventually(async () => assert.equal((await Sandbox.get("x")).status, "crashed"));
});

test("SandboxHandle.kill() refuses what it cannot reach, and leaves it running", async () => {
  using home = await RunningHome.start();
  home.hide();
  await assert.rejects(
    Sandbox.get("x").then((handle) => handle.kill()),
    {
      code: "unsupported",
      message: /another PID namespace/,
    },
  );
  assert.equal(home.state.get("x").status, "running");
});

test("holdSandboxLock() lets no second VM host process have the sandbox's disk", async () => {
  using home = await RunningHome.start();
  assert.equal(await holdSandboxLock(home.path, home.id, () => false), undefined);
  killHost({ host: home.host });
  using lock = await holdSandboxLock(home.path, home.id, () => true); // waits until the kernel has taken it back
  assert.equal(lock?.mode, "exclusive");
});

test("Sandbox.remove() removes the lock, and sweepLeftovers() those of sandboxes that were never created", async () => {
  using home = await RunningHome.start();
  const path = lockOf(home, home.id);
  assert.ok(existsSync(path));
  await (await Sandbox.get("x")).kill();
  assert.ok(existsSync(path), "it can be started again");
  const [old, fresh] = ["old", "fresh"];
  for (const id of [old, fresh]) (await holdSandboxLock(home.path, id, () => true))?.[Symbol.dispose]();
  for (const id of [old, home.id]) utimesSync(lockOf(home, id), new Date(0), new Date(0));
  sweepLeftovers(home.state);
  assert.deepEqual(
    [old, fresh, home.id].map((id) => existsSync(lockOf(home, id))),
    [false, true, true],
  );
  await Sandbox.remove("x");
  assert.ok(!existsSync(path));
});

test(
  "Sandbox.list() in another PID namespace, with a /tmp of its own, takes a running sandbox for running",
  async () => {
    using home = await RunningHome.start();
    const script = 'mount -t tmpfs none "$1" && shift && exec "$@"';
    const inside = ["sh", "-c", script, "sh", runRoot(home.path), process.execPath, ...RUN, LOOKING_PROGRAM];
    const { stdout } = await promisify(execFile)("unshare", ["--pid", "--fork", "--mount-proc", ...inside]);
    assert.deepEqual(JSON.parse(stdout), { x: "running" });
    assert.equal(home.state.get("x").status, "running");
  },
  {
    skip: process.getuid?.() === 0 ? undefined : "only root can make a PID namespace",
    missing: findProgram("unshare") === undefined ? "unshare is not installed" : undefined,
  },
);
