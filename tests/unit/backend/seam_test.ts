/** Faces over a backend that has nothing to do with this machine's. @module */
import assert from "node:assert/strict";
import { Sandbox, SandboxManager } from "../../../mod.ts";
import { overMemory } from "../../support/backend/over_memory.ts";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const image = "none";
const memoryMiB = 128;
const IN_GUEST = { cwd: "/", env: { PATH: "/usr/bin:/bin" } } as const;

test(
  "Sandbox runs programs, stops, starts and is removed over another backend",
  () =>
    overMemory(async () => {
      const sandbox = await Sandbox.create({ name: "web", image, memoryMiB });
      assert.equal(sandbox.ownsLifecycle, true);
      const output = await sandbox.exec("sh", ["-c", "echo out; exit 3"], IN_GUEST);
      assert.deepEqual([output.code, output.stdout()], [3, "out\n"]);
      await assert.rejects(Sandbox.create({ name: "web", image, memoryMiB }), {
        code: "sandboxAlreadyExists",
      });
      const ended = sandbox.waitUntilStopped();
      await sandbox.stop();
      assert.deepEqual((await ended).status, "stopped");
      const handle = await Sandbox.get("web");
      assert.equal(handle.status, "stopped");
      const again = await handle.start();
      assert.equal(sandbox.ownsLifecycle, false);
      await assert.rejects(Sandbox.remove("web"), { code: "sandboxStillRunning" });
      await again.destroy();
      await assert.rejects(Sandbox.get("web"), { code: "sandboxNotFound" });
    }),
  { skip: nativeAgentProblem },
);

test(
  "Sandbox.list() and Sandbox.events() page and follow over another backend",
  () =>
    overMemory(async () => {
      const events = Sandbox.events({ follow: true })[Symbol.asyncIterator]();
      const first = events.next();
      for (const name of ["one", "two", "three"]) await Sandbox.create({ name, image, memoryMiB });
      assert.deepEqual((await first).value?.action, "created");
      const page = await Sandbox.list({ limit: 2 });
      assert.deepEqual(
        page.sandboxes.map(({ name }) => name),
        ["one", "two"],
      );
      const names: string[] = [];
      for await (const { name } of Sandbox.list({ limit: 2 })) names.push(name);
      assert.deepEqual(names, ["one", "two", "three"]);
      await events.return?.();
    }),
  { skip: nativeAgentProblem },
);

test(
  "SandboxManager creates, runs in, lists and removes sandboxes over another backend",
  () =>
    overMemory(async () => {
      await using manager = new SandboxManager({ defaults: { image, memoryMiB } });
      const events = manager.subscribeEvents()[Symbol.asyncIterator]();
      const { id } = await manager.createSandbox({ name: "job" });
      while ((await events.next()).value?.action !== "ready");
      await events.return?.();
      let output = "";
      for await (const chunk of await manager.runInSandbox(id, { cmd: ["echo", "hello"], ...IN_GUEST }))
        if (chunk.stream === "stdout") output += new TextDecoder().decode(chunk.data);
      assert.equal(output, "hello\n");
      const listed = await manager.listSandboxes();
      assert.deepEqual(
        listed.map((summary) => [summary.id, summary.name]),
        [[id, "job"]],
      );
      await manager.removeSandbox(id, true);
      assert.deepEqual(await manager.listSandboxes(), []);
    }),
  { skip: nativeAgentProblem },
);
