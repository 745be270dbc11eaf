/**
 * Events of real VMs, as other processes and slow readers see them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { AgentDisconnectedError, doctor, Sandbox, type SandboxEvent } from "../../mod.ts";
import { eventually, hostProcesses, kill, processesOf } from "../support/processes.ts";
import { Peer } from "../support/vm/peer.ts";
import { homeTest } from "../support/vm/vm.ts";

const engine = process.env["MSB_ONLY_IGNORED"] === "1" ? (await doctor({ trial: false })).engine : undefined;
/** What a guest's root can do to its agent; the kernel lets nobody stop PID 1 by a signal. */
const FREEZE_AGENT =
  "cd /sys/fs/cgroup && mkdir hung && echo 1 > hung/cgroup.procs && echo 1 > hung/cgroup.freeze && sleep 1000";

/** For a guest that is busy on a host that is: the default is for hosts that are not. */
const PATIENT_MS = 60_000;

async function until(
  events: ReadableStream<SandboxEvent>,
  action: SandboxEvent["action"],
): Promise<readonly SandboxEvent[]> {
  const seen: SandboxEvent[] = [];
  for await (const event of events.values({ preventCancel: true })) {
    seen.push(event);
    if (event.action === action) return seen;
  }
  throw new Error(`the events ended after ${actions(seen).join(" ") || "none"}, without ${action}`);
}

const actions = (events: readonly SandboxEvent[]) => events.map(({ action }) => action);

homeTest(
  "events() tells the life of a sandbox, whoever acts on it, to every subscriber alike",
  async ({ create }) => {
    const subscribers = [1, 2, 3].map(() => Sandbox.events({ name: "told", follow: true }));
    const sandbox = await create({ name: "told" });
    await sandbox.shell("exit 5");
    await eventually(async () => {
      const [last] = (await collect(Sandbox.events({ id: sandbox.id }))).slice(-1);
      assert.equal(last?.action, "idle");
    });
    await using other = new Peer();
    await other.ask({ action: "stop", name: "told" });
    await Sandbox.remove("told");
    for (const stream of subscribers) {
      const events = await until(stream, "removed");
      assert.deepEqual(actions(events), [
        "created",
        "starting",
        "ready",
        "running",
        "idle",
        "stopping",
        "stopped",
        "removed",
      ]);
      assert.deepEqual(events[4]?.attributes, { exitCode: 5 });
      assert.deepEqual(events[5]?.attributes, { cause: "requested" });
      assert.ok(events.every(({ sandboxId }) => sandboxId === sandbox.id));
      const sequences = events.map(({ sequence }) => sequence);
      assert.deepEqual(
        sequences,
        sequences.toSorted((a, b) => a - b),
      );
      await stream.cancel();
    }
    assert.deepEqual(actions(await collect(Sandbox.events({ name: "told" }))).at(-1), "removed");
  },
);

homeTest(
  "events() tells of a host that was killed though nobody looks at the sandbox",
  async ({ home, create }) => {
    const sandbox = await create({ name: "victim" });
    const events = Sandbox.events({ id: sandbox.id, follow: true });
    for (const { pid } of hostProcesses(home)) kill(pid);
    const [crash] = await until(events, "crashed");
    assert.match(String(crash?.attributes["reason"]), /ended without a word/);
    await events.cancel();
    const { status, reason } = await sandbox.waitUntilStopped();
    assert.equal(status, "crashed");
    assert.match(reason ?? "", /ended without a word/);
    const again = await (await Sandbox.get("victim")).start();
    assert.equal((await again.exec("true")).code, 0);
  },
);

homeTest(
  "events() are few however many programs run, and a reader that sleeps delays nothing",
  async ({ create }) => {
    const sandbox = await create({ name: "busy" });
    const sleeping = Sandbox.events({ name: "busy", follow: true });
    const before = (await collect(Sandbox.events({ name: "busy" }))).length;
    const begin = Date.now();
    for (let i = 0; i < 100; i++) assert.equal((await sandbox.exec("true")).code, 0);
    const elapsedMs = Date.now() - begin;
    await sandbox.stop();
    const events = (await collect(Sandbox.events({ name: "busy" }))).slice(before);
    const pairs = events.filter(({ action }) => action === "running" || action === "idle");
    assert.ok(pairs.length <= 2 * (elapsedMs / 200 + 2), `${pairs.length} events in ${elapsedMs} ms`);
    assert.equal(pairs.at(-1)?.action, "idle");
    assert.deepEqual(
      actions(await until(sleeping, "stopped")),
      actions(events),
      "and it still gets all of them",
    );
    await sleeping.cancel();
  },
);

homeTest(
  "checkHealth() finds a guest that hangs, and one that does not run, and spares one that is busy",
  async (test) => {
    const sandbox = await test.create({ name: "checked" });
    const busy = assert.rejects(sandbox.shell("while :; do :; done"), AgentDisconnectedError);
    assert.equal(await sandbox.checkHealth(PATIENT_MS), true, "a busy guest still answers");
    assert.equal((await Sandbox.get("checked")).status, "running");
    // What stands still is the guest's agent: the host process goes on, and accepts connections.
    const hanging = assert.rejects(sandbox.shell(FREEZE_AGENT), AgentDisconnectedError);
    await eventually(async () => assert.equal(await sandbox.checkHealth(1_000), false));
    await Promise.all([busy, hanging]);
    const handle = await Sandbox.get("checked");
    assert.equal(handle.status, "crashed");
    assert.match(handle.statusReason ?? "", /no sign of life/);
    assert.equal(await handle.checkHealth(), false);
    assert.deepEqual(hostProcesses(test.home), []);
  },
);

homeTest("a guest whose agent hangs is crashed without anybody looking", async ({ create, home }) => {
  const sandbox = await create({ name: "hung", hangTimeoutMs: 2_000 });
  const ended = sandbox.waitUntilStopped();
  await assert.rejects(sandbox.shell(FREEZE_AGENT), { code: "agentDisconnected" });
  const { status, reason } = await ended;
  assert.equal(status, "crashed");
  assert.match(reason ?? "", /^the guest's agent gave no sign of life for 2000 ms(; last seen:\n|$)/);
  // It is said before the machine is killed.
  await eventually(() => assert.deepEqual(processesOf(home), []));
  const [last] = await sandbox.logs({ tail: 1, sources: ["system"] });
  assert.match(last?.text() ?? "", /crashed: the guest's agent gave no sign of life/);
  await using again = await (await Sandbox.get("hung")).start();
  assert.equal((await again.exec("true")).code, 0);
});

homeTest(
  "a VM whose engine is killed is crashed, and says how it ended",
  async ({ create, home }) => {
    const sandbox = await create({ name: "bereft" });
    // The VM host process names it, too, but later in its command line.
    const machine = processesOf(home).find(({ commandLine }) => /^\S*qemu-system/.test(commandLine));
    assert.ok(machine !== undefined);
    const ended = sandbox.waitUntilStopped();
    kill(machine.pid);
    const { status, reason } = await ended;
    assert.equal(status, "crashed");
    assert.match(reason ?? "", /^QEMU ended with SIGKILL/);
  },
  { skip: engine === "krun" ? "krun's VM is its host process" : undefined },
);

async function collect(stream: ReadableStream<SandboxEvent>): Promise<SandboxEvent[]> {
  const events: SandboxEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}
