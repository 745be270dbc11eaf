/**
 * A VM host process that hangs, as SIGSTOP makes it: callers wait as long as they said, and its end is its callers' to
 * bring about.
 *
 * @module
 */
import assert from "node:assert/strict";
import { BootStartError, type CreateStep, Sandbox, SandboxNotFoundError } from "../../mod.ts";
import { assertNothingLeft, hostProcesses } from "../support/processes.ts";
import { homeTest } from "../support/vm/vm.ts";

const NAME = "subject";
const SHORT_MS = 500;
/** Enough for a guest to come as far as any step here. */
const BOOT_TIMEOUT_MS = 10_000;

homeTest("A sandbox whose host hangs keeps no caller waiting, and can be killed", async (test) => {
  const sandbox = await test.create();
  assert.equal((await sandbox.exec("true")).code, 0);
  stopHost(test.home);
  await assert.rejects(sandbox.exec("true", [], { timeoutMs: SHORT_MS }), { code: "execTimeout" });
  const signal = AbortSignal.timeout(SHORT_MS);
  await assert.rejects(sandbox.exec("true", [], { signal }), { code: "aborted" });
  await assert.rejects(sandbox.connect(80, { timeoutMs: SHORT_MS }), { code: "connectFailed" });
  await assert.rejects(sandbox.fetch(80, "/", { connectTimeoutMs: SHORT_MS }), { code: "connectFailed" });
  await sandbox.kill();
  const handle = await Sandbox.get(NAME);
  assert.deepEqual([handle.status, handle.statusReason], ["stopped", "killed"]);
  const marks = await handle.logs({ sources: ["system"] });
  assert.match(marks.at(-1)?.text() ?? "", /^--- sandbox stopped ---/, "its log says so, too");
  const again = await Sandbox.start(NAME);
  assert.equal((await again.exec("true")).code, 0);
});

homeTest("requestKill() ends a sandbox whose host hangs", async (test) => {
  const sandbox = await test.create();
  stopHost(test.home);
  const ended = sandbox.waitUntilStopped();
  await sandbox.requestKill();
  assert.equal((await ended).reason, "killed");
});

for (const at of ["kernel", "engine"] satisfies CreateStep[]) {
  homeTest(
    `create() of a sandbox whose host hangs at step ${at} rejects, and leaves nothing`,
    async (test) => {
      let isStopped = false;
      const onStep = (step: CreateStep) => {
        if (step !== at) return;
        stopHost(test.home);
        isStopped = true;
      };
      const options = { name: NAME, image: test.image, bootTimeoutMs: BOOT_TIMEOUT_MS };
      await assert.rejects(Sandbox.create(options, { onStep }), BootStartError);
      assert.ok(isStopped, "it came as far as that step");
      await assert.rejects(Sandbox.get(NAME), SandboxNotFoundError);
      await assertNothingLeft(test.home);
    },
  );
}

function stopHost(home: string): void {
  for (const { pid } of hostProcesses(home)) process.kill(pid, "SIGSTOP");
}
