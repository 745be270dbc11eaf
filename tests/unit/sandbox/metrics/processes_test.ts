/** Lists of programs over a backend in memory, and lists of guests that lie. @module */
import assert from "node:assert/strict";
import { Sandbox } from "../../../../mod.ts";
import type { MessageFields } from "../../../../src/agent/protocol.ts";
import type { BackendSandbox } from "../../../../src/backend/backend.ts";
import { useBackend } from "../../../../src/backend/default_backend.ts";
import { listProcesses } from "../../../../src/sandbox/metrics/processes.ts";
import { MemoryBackend } from "../../../support/backend/memory_backend.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";

/** A sandbox whose guest lists what the test says. */
function lister(answer: Partial<MessageFields<"processes">>, status = "running"): BackendSandbox {
  const fields = { token: 1, errno: 0, total: 0, processes: [], ...answer };
  const sandbox = {
    name: "web",
    connect: async () => ({ listProcesses: async () => fields }),
    record: async () => ({ status, statusReason: undefined }),
  };
  return sandbox as unknown as BackendSandbox; // what is not here would fail the test
}

test(
  "Sandbox.processes() lists a program that runs, and is no activity",
  async () => {
    await using backend = new MemoryBackend();
    using _used = useBackend(backend);
    const sandbox = await Sandbox.create({ name: "web", image: "none", memoryMiB: 128 });
    const options = { cwd: "/", env: { PATH: "/usr/bin:/bin" }, stdin: "pipe" } as const;
    const running = await sandbox.execStream("cat", ["-u"], options);
    const pid = await running.pid;
    const { activitySeq } = await sandbox.touch();
    const before = Date.now();
    const { processes, total } = await sandbox.processes();
    assert.ok(total >= processes.length);
    const found = processes.find((process) => process.pid === pid);
    assert.ok(found !== undefined);
    assert.equal(found.command, "cat -u");
    assert.ok(found.startedAt.getTime() <= before + 1000);
    assert.equal((await (await Sandbox.get("web")).processes()).processes.length > 0, true);
    assert.equal((await sandbox.touch()).activitySeq, activitySeq + 1);
    await running.kill();
    await sandbox.stop();
    await assert.rejects(sandbox.processes(), { code: "sandboxNotRunning" });
  },
  { skip: nativeAgentProblem },
);

test("listProcesses() takes an entry apart, whatever its command holds", async () => {
  const text = "7 1 1000 S 1230 4096 5000\n\nsh -c echo\nTwo \x1b[31m lines";
  const { total, processes } = await listProcesses(lister({ total: 9, processes: [text] }));
  assert.equal(total, 9);
  const { startedAt, ...rest } = processes[0] ?? {};
  assert.deepEqual(rest, {
    pid: 7,
    parentPid: 1,
    uid: 1000,
    user: undefined,
    state: "S",
    cpuTimeMs: 1230,
    memoryBytes: 4096,
    command: "sh -c echo\nTwo \x1b[31m lines",
  });
  assert.ok(Math.abs((startedAt?.getTime() ?? 0) - (Date.now() - 5000)) < 2000);
});

test("listProcesses() refuses entries that no agent writes, and takes absurd numbers for what they are", async () => {
  for (const text of [
    "",
    "1",
    "a b c",
    "-1 0 0 S 0 0 0\nroot\nsh",
    "1 0 0 SS 0 0 0\nroot\nsh",
    "1 0 0 S 0 0 0\nsh",
  ])
    await assert.rejects(listProcesses(lister({ processes: [text] })), { code: "protocol" }, text);
  const most = "9".repeat(15);
  const absurd = `4294967295 0 4294967295 R ${most} ${most} ${most}\nroot\nsh`;
  const { processes, total } = await listProcesses(lister({ total: 0, processes: [absurd] }));
  assert.equal(total, 1);
  assert.ok(!Number.isNaN(processes[0]?.startedAt.getTime()));
});

test("listProcesses() says why there is no list", async () => {
  await assert.rejects(listProcesses(lister({ errno: 110 })), { code: "metricsUnavailable", errno: 110 });
  await assert.rejects(listProcesses(lister({ errno: 95 }, "stopped")), { code: "sandboxNotRunning" });
});
