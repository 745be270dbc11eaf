/**
 * `SandboxPool` with real VMs.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Sandbox, SandboxPool } from "../../mod.ts";
import { eventually, hostProcesses, kill } from "../support/processes.ts";
import { homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

const BOOTS_TIMEOUT_MS = 120_000;

async function names(): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of Sandbox.list()) found.push(name);
  return found;
}

homeTest(
  "SandboxPool gives sandboxes that answer, boots others in their place, and leaves nothing",
  async (test) => {
    const pool = new SandboxPool({
      spec: { image: test.image, memoryMiB: MEMORY_MIB, maxDurationMs: 3_600_000 },
      size: 2,
      namePrefix: "warm",
    });
    await eventually(() => assert.equal(pool.available, 2), BOOTS_TIMEOUT_MS);
    const begin = performance.now();
    const sandbox = await pool.claim();
    console.log(`claim() of a warm sandbox took ${(performance.now() - begin).toFixed(1)} ms`);
    assert.match(sandbox.name, /^warm-/);
    assert.equal((await sandbox.exec("echo", ["hello"])).stdout(), "hello\n");
    await eventually(() => assert.equal(pool.available, 2), BOOTS_TIMEOUT_MS);
    assert.equal((await names()).length, 3);

    await pool.close();
    assert.deepEqual(await names(), [sandbox.name], "what was claimed goes on");
    assert.equal((await sandbox.exec("true")).code, 0);
    await sandbox.stop();
    assert.deepEqual(await names(), [], "and is removed when it ends");
  },
);

homeTest("SandboxPool replaces a sandbox whose host was killed", async ({ home, image }) => {
  await using pool = new SandboxPool({
    spec: { image, memoryMiB: MEMORY_MIB },
    size: 1,
    checkIntervalMs: 100,
  });
  await eventually(() => assert.equal(pool.available, 1), BOOTS_TIMEOUT_MS);
  const [before] = await names();
  for (const { pid } of hostProcesses(home)) kill(pid);
  const sandbox = await pool.claim();
  assert.notEqual(sandbox.name, before);
  assert.equal((await sandbox.exec("true")).code, 0);
  await sandbox.destroy({ force: true });
});
