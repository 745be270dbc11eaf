/**
 * Random lives of sandboxes against a model of them.
 *
 * Most steps use VM host processes without VMs (`host_process.ts`): the registry, the sockets, the processes and their
 * ends are real; several processes take steps at the same time (`model_driver.ts`), and are killed themselves now and
 * then. Fewer steps boot VMs. `MSB_TEST_SEED` replays the choices, and `MSB_MODEL_STEPS` and `MSB_MODEL_VM_STEPS` say how
 * many there are.
 *
 * @module
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Sandbox } from "../../mod.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { isLive } from "../../src/registry/status.ts";
import { openRegistry, reconcile, SandboxCore, sweepLeftovers } from "../../src/sandbox/core.ts";
import { replay } from "../support/event_model.ts";
import { vmTest } from "../support/harness.ts";
import { OWNER_FILE } from "../support/host_process.ts";
import { Driver, tolerantly } from "../support/model_driver.ts";
import {
  eventually,
  hostProcesses,
  kill,
  killProcessesOf,
  mountsOf,
  processesOf,
  runRoot,
} from "../support/processes.ts";
import { seededRandom } from "../support/random.ts";
import { RegistryHome } from "../support/registry_home.ts";
import { homeTest } from "../support/vm.ts";

const STEPS = Number(process.env["MSB_MODEL_STEPS"] ?? 2_000);
const VM_STEPS = Number(process.env["MSB_MODEL_VM_STEPS"] ?? 30);
/** Processes that take steps at the same time. */
const DRIVERS = 2;
/** Steps of one driver between two looks at everything, during which nothing goes on. */
const STEPS_PER_ROUND = 50;
/** In one round of so many, a driver is killed. */
const ROUNDS_PER_KILL = 3;

vmTest(
  `${STEPS} random steps of ${DRIVERS} processes: every event was possible, and nothing is left that no sandbox has`,
  async () => {
    using home = new RegistryHome();
    mkdirSync(join(home.path, "trash"), { recursive: true });
    const random = seededRandom("state machine");
    const registry = openRegistry();
    const drivers: Driver[] = [];
    try {
      let kills = 0;
      for (let done = 0; done < STEPS; ) {
        while (drivers.length < DRIVERS) drivers.push(await Driver.start());
        const victim = random.integer(1, ROUNDS_PER_KILL) === 1 ? random.integer(0, DRIVERS - 1) : undefined;
        const rounds = drivers.map((driver, index) => {
          const order = { seed: random.integer(0, 2 ** 31), steps: STEPS_PER_ROUND };
          const killAt = index === victim ? random.integer(0, STEPS_PER_ROUND - 1) : undefined;
          return driver.run(order, killAt);
        });
        for (const count of await Promise.all(rounds)) done += count;
        if (victim !== undefined) drivers.splice(victim, 1);
        if (victim !== undefined) kills++;
        await eventually(() => assertConsistent(home.path, registry)); // who has lost his owner is about to end
      }
      console.log(`${kills} drivers were killed`);
      for (const record of registry.list({})) {
        const core = new SandboxCore(registry, record);
        await tolerantly(async () => {
          await core.kill();
          await core.remove(); // a creation that hung is gone by now
        });
      }
      await eventually(() => assertConsistent(home.path, registry));
      assert.deepEqual(processesOf(home.path), []);
      assert.deepEqual(readdirSync(runRoot(home.path)), []);
    } finally {
      await Promise.all(drivers.map((driver) => driver.kill()));
      killProcessesOf(home.path);
    }
  },
  { timeoutMs: 900_000 },
);

/** Nothing goes on: the registry, the events, the processes and the directories must tell the same. */
async function assertConsistent(home: string, registry: Registry): Promise<void> {
  sweepLeftovers(registry);
  await Promise.all(registry.list({}).map((record) => reconcile(registry, record)));
  const records = registry.list({});
  const model = replay(registry.eventLog.read({ after: 0, limit: 1_000_000 }).events);
  assert.deepEqual(
    records.map(({ id, name, status, bootNumber }) => [id, name, status, bootNumber]).toSorted(),
    [...model].map(([id, { name, status, boots }]) => [id, name, status, boots]).toSorted(),
  );
  const live = records.filter(({ status }) => isLive(status));
  const pids = processesOf(home).map(({ pid }) => pid);
  assert.deepEqual(pids.toSorted(), live.map(({ host }) => host?.pid).toSorted(), "processes");
  const directories = live.map(({ runDirectory }) => runDirectory?.split("/").at(-1));
  assert.deepEqual(readdirSync(runRoot(home)).toSorted(), directories.toSorted(), "run directories");
  const owners = records.map(({ name, id }) => [name, id]);
  const found = readdirSync(join(home, "sandboxes")).map((name) => {
    return [name, readFileSync(join(home, "sandboxes", name, OWNER_FILE), "utf8")];
  });
  assert.deepEqual(found.toSorted(), owners.toSorted(), "a directory for each sandbox, its own");
  assert.deepEqual(readdirSync(join(home, "trash")), []);
  assert.deepEqual(mountsOf(home), []);
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
