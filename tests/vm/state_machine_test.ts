/**
 * Random lives of sandboxes against a model of them.
 *
 * Most steps use VMs without a machine (`fake_qemu.ts`): the library, the state database, the sockets, the network devices, the
 * processes and their ends are real; several processes take steps at the same time (`model_driver.ts`), and are killed
 * themselves now and then. Fewer steps boot VMs. Where there are network namespaces, both have one of their own, and
 * some of the sandboxes have TAP devices in it.
 *
 * `MSB_TEST_SEED` replays the choices, and `MSB_MODEL_STEPS` and `MSB_MODEL_VM_STEPS` say how many there are.
 *
 * @module
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Sandbox, SandboxNotFoundError, Snapshot, type TapNetworkOptions } from "../../mod.ts";
import { openState } from "../../src/backend/local/local_sandbox.ts";
import { countFrom } from "../support/count.ts";
import { FakeQemu, fakeQemuProblem } from "../support/guest/fake_qemu.ts";
import { assertConsistent, recentHistory } from "../support/model/check.ts";
import { Driver, tolerantly } from "../support/model/driver.ts";
import { eventually, hostProcesses, kill, processesOf, runRoot } from "../support/processes.ts";
import { seededRandom } from "../support/random.ts";
import { isNamespaced, namespaceOrHomeTest, networkLeft } from "../support/vm/network_namespace.ts";

const STEPS = countFrom("MSB_MODEL_STEPS", 2_000);
const VM_STEPS = countFrom("MSB_MODEL_VM_STEPS", 30);
/** Processes that take steps at the same time. */
const DRIVERS = 2;
/** Steps of one driver between two looks at everything, during which nothing goes on. */
const STEPS_PER_ROUND = 50;
/** In one round of so many, a driver is killed. */
const ROUNDS_PER_KILL = 3;
const BOOTS_PER_HANG = 16;
const TAP: TapNetworkOptions = { mode: "tap", cidr: "10.9.0.0/24" };
/** Of a running sandbox: its device and three rules. */
const TAP_TRACES = 4;

namespaceOrHomeTest(
  import.meta.url,
  `${STEPS} random steps of ${DRIVERS} processes: every event was possible, and nothing is left that no sandbox has`,
  async ({ home, scratch }) => {
    using _qemu = new FakeQemu(scratch, BOOTS_PER_HANG);
    const world = { image: makeImage(scratch), hasNetworks: isNamespaced };
    const random = seededRandom("state machine");
    const state = openState();
    const drivers: Driver[] = [];
    try {
      let kills = 0;
      for (let done = 0; done < STEPS; ) {
        while (drivers.length < DRIVERS) drivers.push(await Driver.start());
        const victim = random.integer(1, ROUNDS_PER_KILL) === 1 ? random.integer(0, DRIVERS - 1) : undefined;
        const rounds = drivers.map((driver, index) => {
          const order = { seed: random.integer(0, 2 ** 31), steps: STEPS_PER_ROUND, world };
          const killAt = index === victim ? random.integer(0, STEPS_PER_ROUND - 1) : undefined;
          return driver.run(order, killAt);
        });
        for (const count of await Promise.all(rounds)) done += count;
        if (victim !== undefined) drivers.splice(victim, 1);
        if (victim !== undefined) kills++;
        await eventually(() => assertConsistent(state, isNamespaced)); // who has lost his owner is about to end
      }
      console.log(`${kills} drivers were killed`);
      for await (const handle of Sandbox.list()) await tolerantly(() => handle.destroy({ force: true }));
      for (const snapshot of await Snapshot.list()) await snapshot.remove();
      await eventually(() => assertConsistent(state, isNamespaced));
      assert.deepEqual(state.list({}), []);
      assert.deepEqual(processesOf(home), []);
      assert.deepEqual(readdirSync(runRoot(home)), []);
    } catch (error) {
      console.error(recentHistory(state));
      throw error;
    } finally {
      await Promise.all(drivers.map((driver) => driver.kill()));
    }
  },
  { timeoutMs: 900_000, missing: fakeQemuProblem },
);

/** The smallest image that there is. */
function makeImage(scratch: string): string {
  const image = join(scratch, "small");
  mkdirSync(image);
  writeFileSync(join(image, "file"), "");
  return image;
}

/** What the model knows of one sandbox with a VM. */
interface Known {
  id: string;
  status: "running" | "stopped" | "crashed";
  /** What was written to its disk, and synced. */
  token: string;
  hasTap: boolean;
}

namespaceOrHomeTest(
  import.meta.url,
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
      const found = await Sandbox.get(name).catch((error: unknown) => {
        assert.ok(error instanceof SandboxNotFoundError, String(error));
      });
      assert.deepEqual([found?.id, found?.status], [known?.id, known?.status], steps.join(" "));
      const isRunning = known?.status === "running";
      assert.equal(hostProcesses(home).length, isRunning ? 1 : 0, steps.join(" "));
      if (isNamespaced)
        assert.equal(networkLeft().length, isRunning && known?.hasTap ? TAP_TRACES : 0, steps.join(" "));
    }

    async function vmStep(action: string, before: Known | undefined): Promise<Known | undefined> {
      if (action === "create" || action === "replace") {
        const replace = action === "replace" && { graceMs: random.pick([0, 10_000]) };
        const hasTap = isNamespaced && random.pick([true, false]);
        const sandbox = await create({ name, image, replace, network: hasTap ? TAP : "none" });
        return { id: sandbox.id, status: "running", token: await write(sandbox), hasTap };
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
        return { ...before, status: "running", token: await write(sandbox) };
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
