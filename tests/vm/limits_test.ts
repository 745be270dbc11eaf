/**
 * Time limits and drains of real VMs: each ends a sandbox in order, and says why.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import {
  AgentDisconnectedError,
  ExecFailedError,
  InvalidConfigError,
  Sandbox,
  SandboxNotFoundError,
  SandboxNotRunningError,
} from "../../mod.ts";
import { eventually } from "../support/processes.ts";
import { homeTest } from "../support/vm/vm.ts";

const LONG_MS = 600_000;
const IDLE_SECONDS = 4;
/** Ten times as long as between two touches: what a busy machine may need for one. */
const IDLE_MS = IDLE_SECONDS * 1000;

async function actions(name: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { action } of Sandbox.events({ name })) found.push(action);
  return found;
}

homeTest(
  "maxDurationMs ends a busy sandbox in order, and nothing that was written is lost",
  async ({ create }) => {
    const sandbox = await create({ name: "limited", maxDurationMs: LONG_MS });
    const script = 'trap "echo got TERM > /root/end; exit 0" TERM; echo begun; while :; do sleep 0.1; done';
    const run = await sandbox.execStream("sh", ["-c", script]);
    assert.equal((await run.recv())?.kind, "started");
    assert.equal((await run.recv())?.kind, "stdout", "the trap is set");
    await sandbox.setTimeLimits({ maxDurationMs: 1 });
    const end = await sandbox.waitUntilStopped();
    assert.deepEqual(
      [end.name, end.status, end.reason, end.exitCode],
      ["limited", "stopped", "maxDuration", 0],
    );
    assert.equal((await Sandbox.get("limited")).statusReason, "maxDuration");
    const again = await Sandbox.start("limited");
    assert.equal((await again.exec("cat", ["/root/end"])).stdout(), "got TERM\n");
  },
);

homeTest(
  "idleTimeoutMs spares a sandbox that is used or touched, not one that is only pinged",
  async ({ create }) => {
    const sandbox = await create({ name: "idle" });
    await sandbox.setTimeLimits({ idleTimeoutMs: IDLE_MS });
    // A program that runs for longer than the limit is use.
    assert.equal((await sandbox.exec("sleep", [String(1.5 * IDLE_SECONDS)])).code, 0);
    const first = await sandbox.touch();
    assert.equal(first.name, "idle");
    for (const begin = performance.now(); performance.now() - begin < 1.5 * IDLE_MS; ) {
      await delay(IDLE_MS / 10);
      assert.ok((await sandbox.touch()).activitySeq > first.activitySeq);
    }
    const handle = await Sandbox.get("idle");
    assert.equal(handle.status, "running");
    const pinging = (async () => {
      for (;;) {
        await sandbox.ping();
        await delay(100);
      }
    })();
    const ended = assert.rejects(pinging, (error: unknown) => {
      return error instanceof AgentDisconnectedError || error instanceof SandboxNotRunningError;
    });
    const { status, reason } = await handle.waitUntilStopped();
    assert.deepEqual([status, reason], ["stopped", "idleTimeout"]);
    await ended;
  },
);

homeTest("setTimeLimits() extends and lifts what the sandbox was created with", async ({ create }) => {
  const sandbox = await create({ name: "extended", maxDurationMs: 6_000, idleTimeoutMs: 6_000 });
  await sandbox.setTimeLimits({ maxDurationMs: LONG_MS, idleTimeoutMs: null });
  await delay(7_000);
  assert.equal((await sandbox.exec("true")).code, 0);
  await assert.rejects(sandbox.setTimeLimits({ maxDurationMs: 0 }), InvalidConfigError);
  await assert.rejects(sandbox.setTimeLimits({ idleTimeoutMs: 1.5 }), InvalidConfigError);
  const negative = Sandbox.builder("x").image("y").maxDuration(-1);
  await assert.rejects(negative.create(), InvalidConfigError);
});

homeTest("requestDrain() lets programs finish, refuses new ones, and stops", async ({ create }) => {
  const sandbox = await create({ name: "drained" });
  const run = sandbox.execStream("sh", ["-c", "read line; echo got $line"]);
  const handle = await run;
  await sandbox.requestDrain();
  assert.equal((await Sandbox.get("drained")).status, "draining");
  const refused = (error: unknown) => error instanceof ExecFailedError && error.kind === "shuttingDown";
  await assert.rejects(sandbox.exec("true"), refused);
  await assert.rejects(sandbox.exec("true", ["x".repeat(200_000)]), refused, "one of several frames");
  const sink = await handle.takeStdin();
  await sink?.write("word\n");
  assert.equal((await handle.collect()).stdout(), "got word\n");
  const { status, reason } = await sandbox.waitUntilStopped();
  assert.deepEqual([status, reason], ["stopped", "drained"]);
  assert.deepEqual((await actions("drained")).slice(-4), ["running", "stopping", "idle", "stopped"]);
});

homeTest("requestDrain() lets the programs of a paused sandbox end", async ({ create }) => {
  const sandbox = await create({ name: "drained-paused" });
  const handle = await sandbox.execStream("sh", ["-c", "read line; echo got $line"]);
  await sandbox.pause();
  const sink = await handle.takeStdin();
  await sink?.write("word\n");
  await sandbox.requestDrain();
  assert.equal((await handle.collect()).stdout(), "got word\n");
  const { status, reason } = await sandbox.waitUntilStopped();
  assert.deepEqual([status, reason], ["stopped", "drained"]);
});

homeTest(
  "requestDrain() stops an idle sandbox at once, and stop() one that drains for too long",
  async ({ create }) => {
    const idle = await create({ name: "drained-idle" });
    await idle.requestDrain();
    assert.equal((await idle.waitUntilStopped()).reason, "drained");
    const busy = await create({ name: "drained-busy" });
    const run = busy.exec("sleep", ["1000"]);
    await eventually(async () => assert.ok((await actions("drained-busy")).includes("running")));
    await busy.requestDrain();
    await busy.stop();
    assert.equal((await run).status.signal, 15);
    assert.equal((await busy.waitUntilStopped()).reason, "requested");
  },
);

homeTest("an ephemeral sandbox is removed when it ends, in order or not", async ({ image }) => {
  const options = { image, memoryMiB: 128, ephemeral: true };
  const stopped = await Sandbox.create({ ...options, name: "ephemeral" });
  await stopped.stop();
  await assert.rejects(Sandbox.get("ephemeral"), SandboxNotFoundError);
  const { status, reason, source } = await stopped.waitUntilStopped();
  assert.deepEqual([status, reason, source], ["stopped", "requested", "events"]);

  const killed = await Sandbox.create({ ...options, name: "ephemeral" });
  await killed.kill();
  await assert.rejects(Sandbox.get("ephemeral"), SandboxNotFoundError);
});
