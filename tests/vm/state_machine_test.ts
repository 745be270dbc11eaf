/**
 * Random lives of sandboxes against a model of them.
 *
 * Most steps use VM host processes without VMs (`host_process.ts`): the registry, the sockets, the processes and their
 * ends are real, and several steps go on at a time. Fewer steps boot VMs. `MSB_TEST_SEED` replays the choices, and
 * `MSB_MODEL_STEPS` and `MSB_MODEL_VM_STEPS` say how many there are.
 *
 * @module
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { MicrosandboxError, Sandbox } from "../../mod.ts";
import { killProcess } from "../../src/platform/process_identity.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { isLive } from "../../src/registry/status.ts";
import { openRegistry, reconcile, SandboxCore } from "../../src/sandbox/core.ts";
import { replay } from "../support/event_model.ts";
import { vmTest } from "../support/harness.ts";
import { OWNER_FILE, startHost } from "../support/host_process.ts";
import {
  eventually,
  hostProcesses,
  kill,
  killProcessesOf,
  processesOf,
  runRoot,
} from "../support/processes.ts";
import { type SeededRandom, seededRandom } from "../support/random.ts";
import { RegistryHome } from "../support/registry_home.ts";
import { homeTest } from "../support/vm.ts";

const STEPS = Number(process.env["MSB_MODEL_STEPS"] ?? 2_000);
const VM_STEPS = Number(process.env["MSB_MODEL_VM_STEPS"] ?? 30);
/** Steps that go on at the same time. */
const WORKERS = 4;
/** Steps between two looks at everything, during which nothing goes on. */
const STEPS_PER_ROUND = 100;
const NAMES = ["a", "b", "c"];
/** What may be said to those who come too late. */
const EXPECTED_CODES = ["sandboxNotFound", "sandboxReplaced", "sandboxStillRunning", "sandboxAlreadyExists"];

vmTest(
  `${STEPS} random steps, ${WORKERS} at a time: every event was possible, and nothing is left that no sandbox has`,
  async () => {
    using home = new RegistryHome();
    mkdirSync(join(home.path, "trash"), { recursive: true });
    const random = seededRandom("state machine");
    const registry = openRegistry();
    try {
      for (let step = 0; step < STEPS; step += STEPS_PER_ROUND) {
        let left = Math.min(STEPS_PER_ROUND, STEPS - step);
        const work = async () => {
          while (left-- > 0) await tolerantly(() => randomStep(home.path, registry, random));
        };
        await Promise.all(Array.from({ length: WORKERS }, work));
        await assertConsistent(home.path, registry);
      }
      for (const record of registry.list({})) {
        const core = new SandboxCore(registry, record);
        await tolerantly(async () => {
          await core.kill();
          await core.remove(); // a creation that hung is gone by now
        });
      }
      await assertConsistent(home.path, registry);
      assert.deepEqual(processesOf(home.path), []);
      assert.deepEqual(readdirSync(runRoot(home.path)), []);
    } finally {
      killProcessesOf(home.path);
    }
  },
  { timeoutMs: 900_000 },
);

async function tolerantly(step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!MicrosandboxError.is(error) || !EXPECTED_CODES.includes(error.code)) throw error;
  }
}

async function randomStep(home: string, registry: Registry, random: SeededRandom): Promise<void> {
  const name = random.pick(NAMES);
  const action = random.pick([
    "create",
    "create",
    "hang",
    "start",
    "start",
    "stop",
    "stop",
    "kill",
    "killHost",
    "killHost",
    "remove",
    "replace",
    "look",
  ]);
  const record = registry.find(name);
  if (action === "create" || action === "hang") return await create(home, name, action === "hang");
  if (record === undefined) return;
  const core = new SandboxCore(registry, record);
  if (action === "start") {
    if (isLive(record.status)) return;
    await core.settle(record);
    await startHost({ home, sandbox: { kind: "start", id: record.id }, hangs: random.integer(0, 9) === 0 });
  } else if (action === "stop") {
    // One that hangs in its boot does not listen to reason.
    await (record.status === "creating" ? core.kill() : core.stop(100));
  } else if (action === "kill") {
    await core.kill();
  } else if (action === "killHost") {
    if (record.host !== undefined) killProcess(record.host);
  } else if (action === "remove") {
    await core.remove();
  } else if (action === "replace") {
    await core.kill();
    await core.remove();
    await create(home, name, false);
  } else {
    await reconcile(registry, record);
  }
}

async function create(home: string, name: string, hangs: boolean): Promise<void> {
  await startHost({ home, sandbox: { kind: "create", id: randomUUID(), name }, hangs });
}

/** Nothing goes on: the registry, the events, the processes and the directories must tell the same. */
async function assertConsistent(home: string, registry: Registry): Promise<void> {
  await Promise.all(registry.list({}).map((record) => reconcile(registry, record)));
  const records = registry.list({});
  const model = replay(registry.eventLog.read({ after: 0, limit: 1_000_000 }).events);
  assert.deepEqual(
    records.map(({ id, name, status, bootNumber }) => [id, name, status, bootNumber]).toSorted(),
    [...model].map(([id, { name, status, boots }]) => [id, name, status, boots]).toSorted(),
  );
  const live = records.filter(({ status }) => isLive(status));
  await eventually(() => {
    const pids = processesOf(home).map(({ pid }) => pid);
    assert.deepEqual(pids.toSorted(), live.map(({ host }) => host?.pid).toSorted(), "processes");
    const directories = live.map(({ runDirectory }) => runDirectory?.split("/").at(-1));
    assert.deepEqual(readdirSync(runRoot(home)).toSorted(), directories.toSorted(), "run directories");
  });
  const owners = records.map(({ name, id }) => [name, id]);
  const found = readdirSync(join(home, "sandboxes")).map((name) => {
    return [name, readFileSync(join(home, "sandboxes", name, OWNER_FILE), "utf8")];
  });
  assert.deepEqual(found.toSorted(), owners.toSorted(), "a directory for each sandbox, its own");
  assert.deepEqual(readdirSync(join(home, "trash")), []);
}

/** What the model knows of one sandbox with a VM. */
interface Known {
  id: string;
  status: "running" | "stopped" | "crashed";
  /** What was written to its disk, and synced. */
  token: string;
}

homeTest(
  `${VM_STEPS} random steps with VMs: status, identity and disk are what the model says`,
  async ({ home, create, image }) => {
    const random = seededRandom("state machine with VMs");
    let known: Known | undefined;
    const name = "subject";
    const steps: string[] = [];
    for (let step = 0; step < VM_STEPS; step++) {
      const action = random.pick(possible(known));
      steps.push(action);
      known = await vmStep(action, known);
      const found = await Sandbox.get(name).catch(() => undefined);
      assert.deepEqual([found?.id, found?.status], [known?.id, known?.status], steps.join(" "));
      assert.equal(hostProcesses(home).length, known?.status === "running" ? 1 : 0, steps.join(" "));
    }

    async function vmStep(action: string, before: Known | undefined): Promise<Known | undefined> {
      if (action === "create" || action === "replace") {
        const replace = action === "replace" && { graceMs: random.pick([0, 10_000]) };
        const sandbox = await create({ name, image, replace });
        return { id: sandbox.id, status: "running", token: await write(sandbox) };
      }
      const handle = await Sandbox.get(name);
      assert.ok(before !== undefined);
      if (action === "remove") await handle.remove();
      else if (action === "stop") await handle.stop();
      else if (action === "kill") await handle.kill();
      else if (action === "killHost") await killHosts();
      else {
        const sandbox = action === "restart" ? await handle.restart() : await handle.connectOrStart();
        assert.equal((await sandbox.exec("cat", ["/root/token"])).stdout(), before.token, steps.join(" "));
        return { id: before.id, status: "running", token: await write(sandbox) };
      }
      if (action === "remove") return undefined;
      return { ...before, status: action === "killHost" ? "crashed" : "stopped" };
    }

    async function killHosts(): Promise<void> {
      for (const { pid } of hostProcesses(home)) kill(pid);
      // A process that is dying takes connections for a little while yet.
      await eventually(async () => assert.equal((await Sandbox.get(name)).status, "crashed"));
    }

    async function write(sandbox: Sandbox): Promise<string> {
      const token = String(random.integer(0, 2 ** 31));
      assert.equal((await sandbox.shell(`printf %s ${token} > /root/token && sync`)).code, 0);
      return token;
    }
  },
  { timeoutMs: 900_000 },
);

function possible(known: Known | undefined): readonly string[] {
  if (known === undefined) return ["create"];
  if (known.status === "running") return ["stop", "kill", "killHost", "replace", "restart", "use"];
  return ["use", "use", "restart", "remove", "replace"];
}
