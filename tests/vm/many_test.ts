/**
 * Many sandboxes at once. `MSB_MANY_COUNT` says how many; `bench/many.ts` measures.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type SandboxEvent, SandboxManager } from "../../mod.ts";
import { countFrom } from "../support/count.ts";
import { collectChunks } from "../support/guest/output_chunks.ts";
import { hostProcesses, processesOf } from "../support/processes.ts";
import { homeTest } from "../support/vm/vm.ts";

const COUNT = countFrom("MSB_MANY_COUNT", 8);
const MEMORY_MIB = 64;
/** By which a guest keeps time without being woken for it. */
const GOOD_CLOCKS = ["tsc", "tsc-early", "kvm-clock", "arch_sys_counter"]; // early: the TSC, until the kernel registers it for good
const SANDBOX_TIMEOUT_MS = 30_000;

homeTest(
  `${COUNT} sandboxes at once: all become ready, all answer, all are gone after they were stopped`,
  async ({ home, image }) => {
    await using manager = new SandboxManager({ defaults: { image, memoryMiB: MEMORY_MIB } });
    const events = manager.subscribeEvents();
    const created = await Promise.all(
      Array.from({ length: COUNT }, (_, index) => manager.createSandbox({ name: `box${index}` })),
    );
    const ids = created.map(({ id }) => id);
    await allReady(events, ids);
    assert.equal((await manager.listSandboxes("ready")).length, COUNT);
    assert.equal(hostProcesses(home).length, COUNT);

    const answers = await Promise.all(ids.map((id) => output(manager, id, ["hostname"])));
    assert.deepEqual(
      answers,
      ids.map((_, index) => `box${index}\n`),
    );

    const clock = ["cat", "/sys/devices/system/clocksource/clocksource0/current_clocksource"];
    const clocks = await Promise.all(ids.map((id) => output(manager, id, clock)));
    assert.ok(
      clocks.every((name) => GOOD_CLOCKS.includes(name.trim())),
      `a guest that booted on a busy host wakes all the time: ${clocks.join(" ")}`,
    );

    await Promise.all(ids.map((id) => manager.stopSandbox(id)));
    assert.equal((await manager.listSandboxes("stopped")).length, COUNT, "in order, each of them");
    assert.deepEqual(processesOf(home), []);
    await Promise.all(ids.map((id) => manager.removeSandbox(id)));
    assert.deepEqual(await manager.listSandboxes(), []);
  },
  { timeoutMs: 120_000 + COUNT * SANDBOX_TIMEOUT_MS },
);

/** Resolves when each of them has been ready. */
async function allReady(events: ReadableStream<SandboxEvent>, ids: readonly string[]): Promise<void> {
  const waiting = new Set(ids);
  for await (const { sandboxId, action, attributes } of events) {
    assert.ok(action !== "failed" && action !== "crashed", JSON.stringify(attributes));
    if (action === "ready") waiting.delete(sandboxId);
    if (waiting.size === 0) return;
  }
  assert.fail(`the events ended before ${waiting.size} were ready`);
}

async function output(manager: SandboxManager, id: string, cmd: readonly string[]): Promise<string> {
  const { text, exit } = await collectChunks(await manager.runInSandbox(id, { cmd }));
  assert.equal(exit.exitCode, 0);
  return text;
}
