/**
 * SIGKILL at random moments, of the VM host process and of the process that uses it: whatever was going on, nothing is
 * stuck, and the name can be used again. `MSB_TEST_SEED` replays a run's moments.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import {
  AgentDisconnectedError,
  BootStartError,
  MicrosandboxError,
  Sandbox,
  SandboxAlreadyExistsError,
  SandboxNotFoundError,
  SandboxNotRunningError,
  type SandboxStatus,
} from "../../mod.ts";
import { openState } from "../../src/backend/local/local_sandbox.ts";
import { sweepLeftovers } from "../../src/backend/local/reconcile.ts";
import { isSandboxLocked } from "../../src/vmm/run_directory/sandbox_lock.ts";
import { eventually, hostProcesses, kill, processesOf, runDirectories } from "../support/processes.ts";
import { type SeededRandom, seededRandom } from "../support/random.ts";
import { Peer } from "../support/vm/peer.ts";
import { discard, homeTest, MEMORY_MIB, type TestHome } from "../support/vm/vm.ts";

const NAME = "victim";
/** Moments of each kind; 20 for each victim. */
const CREATE_ROUNDS = 8;
const EXEC_ROUNDS = 6;
const STOP_ROUNDS = 6;
/** A stop takes about this long, and an exec less. */
const STOP_MS = 600;
const EXEC_MS = 300;
const TEST_TIMEOUT_MS = 600_000;
const options = { timeoutMs: TEST_TIMEOUT_MS };

homeTest(
  "the VM host process holds the sandbox's lock while the VM runs, until it is killed",
  async (test) => {
    const sandbox = await test.create({ name: NAME });
    assert.ok(isSandboxLocked(test.home, sandbox.id));
    assert.equal((await sandbox.exec("true")).code, 0);
    assert.ok(isSandboxLocked(test.home, sandbox.id), "the engine has not taken it away");
    killHosts(test.home);
    await eventually(() => assert.ok(!isSandboxLocked(test.home, sandbox.id)));
    await Sandbox.start(NAME).then((again) => again.kill()); // the lock is free for the next boot
  },
  options,
);

homeTest(
  "SIGKILL of the VM host process during create() leaves nothing of the sandbox",
  async (test) => {
    const random = seededRandom("host killed during create");
    const bootMs = await measureBoot(test);
    let interrupted = 0;
    for (const [round, moment] of moments(random, CREATE_ROUNDS, bootMs).entries()) {
      const creating = attempt(test.create({ name: NAME }));
      await eventually(() => assert.equal(hostProcesses(test.home).length, 1));
      await delay(moment);
      killHosts(test.home);
      const created = await creating;
      if (created instanceof Error) assert.ok(created instanceof BootStartError, String(created));
      if (created instanceof Error) interrupted++;
      await assertUsable(test, created instanceof Error ? [] : ["crashed"], round);
    }
    assert.ok(interrupted > 0, "every kill came too late");
  },
  options,
);

homeTest(
  "SIGKILL of the VM host process during exec() leaves a crashed sandbox",
  async (test) => {
    const random = seededRandom("host killed during exec");
    for (const [round, moment] of moments(random, EXEC_ROUNDS, EXEC_MS).entries()) {
      const sandbox = await test.create({ name: NAME });
      const running = attempt(sandbox.shell("head -c 3000000 /dev/zero; sleep 1000"));
      await delay(moment);
      killHosts(test.home);
      const error = await running;
      // Before the connection was made it is a sandbox that does not run, after that a connection that was lost.
      const isExpected = error instanceof AgentDisconnectedError || error instanceof SandboxNotRunningError;
      assert.ok(isExpected, String(error));
      await assertUsable(test, ["crashed"], round);
    }
  },
  options,
);

homeTest(
  "SIGKILL of the VM host process during stop() leaves a sandbox that has ended",
  async (test) => {
    const random = seededRandom("host killed during stop");
    for (const [round, moment] of moments(random, STOP_ROUNDS, STOP_MS).entries()) {
      const sandbox = await test.create({ name: NAME });
      const stopping = sandbox.stop();
      await delay(moment);
      killHosts(test.home);
      await stopping;
      await assertUsable(test, ["crashed", "stopped"], round);
    }
  },
  options,
);

homeTest(
  "SIGKILL of the creator during create() leaves a sandbox that stops, or none",
  async (test) => {
    const random = seededRandom("creator killed during create");
    const bootMs = await measureBoot(test);
    // Its own start takes a while, too.
    for (const [round, moment] of moments(random, CREATE_ROUNDS, bootMs * 2).entries()) {
      await using creator = new Peer();
      creator.send({ action: "create", options: optionsOf(test) });
      await delay(moment);
      await creator.kill();
      await assertUsable(test, ["stopped"], round);
    }
    assert.ok((await unfinishedCreations()) > 0, "every kill came too early or too late");
  },
  options,
);

homeTest(
  "SIGKILL of the owner during exec() and stop() leaves a sandbox that stops",
  async (test) => {
    const random = seededRandom("owner killed during exec and stop");
    const whens = [...moments(random, EXEC_ROUNDS, EXEC_MS), ...moments(random, STOP_ROUNDS, STOP_MS)];
    for (const [round, moment] of whens.entries()) {
      await using owner = new Peer();
      await owner.ask({ action: "create", options: optionsOf(test) });
      if (round < EXEC_ROUNDS)
        owner.send({ action: "exec", name: NAME, argv: ["sh", "-c", "yes | head -c 3000000"] });
      else owner.send({ action: "stop", name: NAME });
      await delay(moment);
      await owner.kill();
      await assertUsable(test, ["stopped"], round);
    }
  },
  options,
);

/** A random moment in each of `count` equal parts of `spanMs`: so there are early ones and late ones in every run. */
function moments(random: SeededRandom, count: number, spanMs: number): number[] {
  return Array.from(
    { length: count },
    (_, part) => ((part + random.integer(0, 999) / 1000) * spanMs) / count,
  );
}

/**
 * Asserts that the victim is gone or, if there is a choice of `statuses`, in one of those; that no process and no socket
 * is left; and that the name can be taken: in turns with `replace` and, where the victim is still there, without.
 */
async function assertUsable(
  test: TestHome,
  statuses: readonly SandboxStatus[],
  round: number,
): Promise<void> {
  const left = await settledStatus(test.home);
  assert.ok(left === undefined || statuses.includes(left), `round ${round}: it is ${left}`);
  const replace = round % 2 === 0;
  if (left !== undefined) {
    await assert.rejects(test.create({ name: NAME }), SandboxAlreadyExistsError);
    if (!replace) await Sandbox.remove(NAME);
  }
  const next = await test.create({ name: NAME, replace });
  assert.equal((await next.exec("echo", ["alive"])).stdout(), "alive\n");
  await discard(NAME);
}

/** The victim's status once everything has come to rest; `undefined` if it is gone. */
async function settledStatus(home: string): Promise<SandboxStatus | undefined> {
  await eventually(async () => {
    await presentStatus(); // whoever looks clears away what was left of the sandbox
    sweepLeftovers(openState()); // and whoever creates one next, what did not come to be one
    assert.deepEqual({ processes: processesOf(home), run: runDirectories(home) }, { processes: [], run: [] });
  }, 60_000);
  return await presentStatus(); // not the one before: its process may have ended since
}

async function presentStatus(): Promise<SandboxStatus | undefined> {
  const handle = await Sandbox.get(NAME).catch((error: unknown) => {
    assert.ok(error instanceof SandboxNotFoundError, String(error));
  });
  return handle?.status;
}

/** How long a create takes here and now, in milliseconds, where image and kernel are there already. */
async function measureBoot(test: TestHome): Promise<number> {
  await test.create({ name: NAME });
  await discard(NAME);
  const begin = performance.now();
  await test.create({ name: NAME });
  const bootMs = Math.ceil(performance.now() - begin);
  await discard(NAME);
  return bootMs;
}

/** How many creations had begun, and came to nothing. */
async function unfinishedCreations(): Promise<number> {
  const ids = new Set<string>();
  for await (const { sandboxId, action } of Sandbox.events({ name: NAME })) {
    if (action === "created") ids.add(sandboxId);
    if (action === "ready") ids.delete(sandboxId);
  }
  return ids.size;
}

function optionsOf(test: TestHome) {
  return { name: NAME, image: test.image, memoryMiB: MEMORY_MIB };
}

function killHosts(home: string): void {
  for (const { pid } of hostProcesses(home)) kill(pid);
}

/** The outcome, whichever it is; what was thrown must be ours. */
async function attempt<T>(promise: Promise<T>): Promise<T | Error> {
  try {
    return await promise;
  } catch (error) {
    assert.ok(MicrosandboxError.is(error), String(error));
    return error;
  }
}
