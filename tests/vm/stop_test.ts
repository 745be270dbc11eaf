/**
 * What is on disk after a kill, and after programs that do not want to end; of a plain stop, see `stop_cycles_test.ts`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ExecFailedError, Sandbox } from "../../mod.ts";
import { AgentClient } from "../../src/agent/client.ts";
import { RELAY_CLIENTS_MAX } from "../../src/agent/protocol.ts";
import { StateStore } from "../../src/state/state_store.ts";
import { relayPath } from "../../src/vmm/run_directory/dead_boot.ts";
import { assertCleanDisk } from "../support/home/disks.ts";
import { Peer } from "../support/vm/peer.ts";
import { homeTest } from "../support/vm/vm.ts";

/** Longer than a test may take. */
const LONG_MS = 600_000;

homeTest(
  "kill() is a power cut: what was synced survives, and the disk recovers",
  async ({ home, create }) => {
    const sandbox = await create();
    await sandbox.shell("echo safe > /root/synced; sync; (while :; do echo x >> /root/growing; done) &");
    await sandbox.kill();
    assert.equal((await Sandbox.get(sandbox.name)).status, "stopped");

    const again = await Sandbox.start(sandbox.name);
    assert.equal((await again.exec("cat", ["/root/synced"])).stdout(), "safe\n");
    assert.equal((await again.shell("echo more > /root/more && rm -f /root/growing")).code, 0);
    await again.stop();
    assertCleanDisk(home, sandbox.name);
  },
);

homeTest("stop() gives programs their grace, and ends those that ignore it", async ({ home, create }) => {
  const sandbox = await create();
  const slow =
    "trap 'sleep 1; echo finished > /root/slow; exit 0' TERM; echo up; while :; do sleep 0.05; done";
  const deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done";
  for (const script of [slow, deaf]) {
    const run = await sandbox.execStream("sh", ["-c", script]);
    assert.equal((await run.stdout.getReader().read()).value?.length, 3);
  }
  await sandbox.stopWithTimeout(5_000);
  assert.equal((await Sandbox.get(sandbox.name)).status, "stopped");
  assertCleanDisk(home, sandbox.name);

  const again = await Sandbox.start(sandbox.name);
  assert.equal((await again.exec("cat", ["/root/slow"])).stdout(), "finished\n");
});

homeTest("stop() is done once however often it is asked for, and takes no new work", async ({ create }) => {
  const sandbox = await create();
  const deaf = await sandbox.execStream("sh", ["-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"]);
  await deaf.stdout.getReader().read();
  const handle = await Sandbox.get(sandbox.name);
  const stops = [sandbox.stopWithTimeout(LONG_MS), handle.stop(), sandbox.stop()];
  while ((await Sandbox.get(sandbox.name)).status === "running") await sandbox.ping();
  await assert.rejects(sandbox.exec("true"), (error: unknown) => {
    assert.ok(error instanceof ExecFailedError, String(error));
    assert.equal(error.kind, "shuttingDown");
    return true;
  });
  await deaf.kill(); // which they have all waited for
  await Promise.all(stops);
  assert.equal((await handle.refresh()).status, "stopped");
  await sandbox.stop();
  await handle.kill();
  assert.equal((await handle.refresh()).status, "stopped");
});

homeTest("stopAndWait() returns the final status; stopWithTimeout(0) does not ask", async ({ create }) => {
  const sandbox = await create();
  assert.equal((await sandbox.stopAndWait()).status, "stopped");
  const again = await Sandbox.start(sandbox.name);
  const script = "trap 'echo asked > /root/asked; sync' TERM; echo up; while :; do sleep 0.05; done";
  const run = await again.execStream("sh", ["-c", script]);
  await run.stdout.getReader().read();
  await again.stopWithTimeout(0);
  const last = await Sandbox.start(sandbox.name);
  assert.equal((await last.exec("test", ["-e", "/root/asked"])).code, 1);
});

homeTest("stop() is in order though the sandbox has no connection to spare", async ({ home, create }) => {
  const sandbox = await create();
  await using peer = new Peer();
  await sandbox.shell("echo kept > /root/kept");
  const state = new StateStore(home);
  const relay = relayPath(state.get(sandbox.name).runDirectory ?? "");
  state.close();
  const clients: AgentClient[] = [];
  for (;;) {
    const client = await AgentClient.connect(relay).catch(() => undefined);
    if (client === undefined) break;
    clients.push(client);
  }
  assert.ok(clients.length >= RELAY_CLIENTS_MAX - 2, `${clients.length} connections`);
  await peer.ask({ action: "stop", name: sandbox.name }); // another process, which gets none
  for (const client of clients) await client.closed;
  assert.equal((await Sandbox.get(sandbox.name)).statusReason, "requested");
  assertCleanDisk(home, sandbox.name);
  const again = await Sandbox.start(sandbox.name);
  assert.equal((await again.exec("cat", ["/root/kept"])).stdout(), "kept\n");
});
