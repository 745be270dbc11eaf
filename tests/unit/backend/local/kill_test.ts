/** The end of sandboxes whose VM host process hangs: real ones, without a VM, that are stopped by SIGSTOP. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { killHost } from "../../../../src/backend/local/host_liveness.ts";
import { BootableSandbox } from "../../../../src/backend/local/local_backend.ts";
import { waitUntilStopped } from "../../../../src/sandbox/lifecycle.ts";
import { test } from "../../../support/harness.ts";
import { failEvents } from "../../../support/home/fail_events.ts";
import { StateHome } from "../../../support/home/state_home.ts";
import { startVmlessHost } from "../../../support/host/vmless_host.ts";
import { assertNothingLeft } from "../../../support/processes.ts";
import { within } from "../../../support/within.ts";

/** Longer than a test may take: whoever waits as long fails. */
const LONG_MS = 600_000;
const HOSTS = 4;
/** Each of them was waited for for 5 s: together longer than this. What starts them may take as long as it needs. */
const KILLS_TIMEOUT_MS = 18_000;

/** A home and its sandboxes, whose host processes end with the test. */
class Hosts extends StateHome implements AsyncDisposable {
  async start(name: string): Promise<BootableSandbox> {
    const id = randomUUID();
    await startVmlessHost({ home: this.path, id, name });
    return new BootableSandbox(this.state, { id, name });
  }

  /** What stops it stops it where it is. */
  stop({ id }: BootableSandbox): void {
    const pid = this.state.findById(id)?.host?.pid;
    assert.ok(pid);
    process.kill(pid, "SIGSTOP");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const record of this.state.list({})) killHost(record);
    this[Symbol.dispose]();
  }
}

function assertKilled(hosts: Hosts, { id }: BootableSandbox): void {
  const { status, statusReason } = hosts.state.findById(id) ?? {};
  assert.deepEqual([status, statusReason], ["stopped", "killed"]);
}

test("LocalSandbox.kill() of a host that runs has it say so itself", async () => {
  await using hosts = new Hosts();
  const core = await hosts.start("x");
  const client = await core.connect();
  await core.kill();
  assertKilled(hosts, core);
  assert.deepEqual(client.stopped, { clean: false }, "it was told by the host");
});

test("LocalSandbox.kill() waits for no last records of a host that hangs, however long it may wait", async () => {
  await using hosts = new Hosts();
  const core = await hosts.start("x");
  await core.connect();
  hosts.stop(core);
  await core.kill(LONG_MS);
  assertKilled(hosts, core);
});

test("LocalSandbox.kill() gives a host that hangs no more time to greet than it has itself", async () => {
  await using hosts = new Hosts();
  const cores: BootableSandbox[] = [];
  for (let index = 0; index < HOSTS; index++) cores.push(await hosts.start(`x${index}`));
  await within(KILLS_TIMEOUT_MS, "the kills", async () => {
    for (const core of cores) {
      hosts.stop(core);
      await core.kill(500);
      assertKilled(hosts, core);
    }
  });
  for (const core of cores) await core.remove();
  await assertNothingLeft(hosts.path);
});

test("LocalSandbox.requestStop() with no grace ends a host that hangs, too", async () => {
  await using hosts = new Hosts();
  for (const isConnected of [true, false]) {
    const core = await hosts.start(`x${isConnected}`);
    if (isConnected) await core.connect();
    hosts.stop(core);
    const ended = waitUntilStopped(core);
    await core.requestStop(0);
    assert.equal((await ended).reason, "killed");
  }
});

test("LocalSandbox.kill() resolves though the end cannot be recorded, and the next look records it", async () => {
  await using hosts = new Hosts();
  const core = await hosts.start("x");
  const warnings: string[] = [];
  const { emitWarning } = process;
  process.emitWarning = (warning: string | Error) => void warnings.push(String(warning));
  const repair = failEvents(hosts.path);
  try {
    await core.kill();
  } finally {
    repair();
    process.emitWarning = emitWarning;
  }
  assert.match(warnings.join("\n"), /x has ended, which cannot be recorded yet/);
  const record = await core.record();
  assert.deepEqual([record.status, record.statusReason], ["stopped", "killed"]);
});
