/** `msb top`, over a backend in memory whose guest lists this machine's programs. @module */
import assert from "node:assert/strict";
import { Sandbox, type SandboxProcess } from "../../../mod.ts";
import { useBackend } from "../../../src/backend/default_backend.ts";
import { formatCpuTime, type TimedList, toRows } from "../../../src/cli/process_table.ts";
import { MemoryBackend } from "../../support/backend/memory_backend.ts";
import { runCli } from "../../support/cli/cli.ts";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const skip = nativeAgentProblem;
const STARTED = new Date(1_000_000);

function process(pid: number, cpuTimeMs: number, startedAt = STARTED): SandboxProcess {
  const rest = { parentPid: 1, uid: 0, user: "root", state: "S", memoryBytes: 1, command: `p${pid}` };
  return { pid, cpuTimeMs, startedAt, ...rest };
}

function list(atMs: number, ...processes: readonly SandboxProcess[]): TimedList {
  return { atMs, total: processes.length, processes };
}

test("toRows() gives the busiest first, by what each has used since the list before", () => {
  const before = list(1000, process(1, 5000), process(2, 100), process(3, 700));
  const reused = process(3, 40, new Date(STARTED.getTime() + 60_000));
  const now = list(3000, process(1, 5100), process(2, 1100, new Date(STARTED.getTime() + 900)), reused);
  const percents = toRows(before, now).map(({ pid, cpuPercent }) => [pid, cpuPercent]);
  assert.deepEqual(percents, [
    [2, 50],
    [1, 5],
    [3, 2], // another program has its number now
  ]);
  assert.deepEqual(
    toRows(before, list(1000, process(1, 5000))).map(({ cpuPercent }) => cpuPercent),
    [0],
  );
});

test("formatCpuTime() gives minutes and seconds", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0:00.00"],
    [7_255, "0:07.25"],
    [59_999, "0:59.99"],
    [4_980_000, "83:00.00"],
  ];
  for (const [cpuTimeMs, text] of cases) assert.equal(formatCpuTime(cpuTimeMs), text);
});

async function withSandbox(body: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  await using backend = new MemoryBackend();
  using _used = useBackend(backend);
  await body(await Sandbox.create({ name: "box", image: "none", memoryMiB: 128 }));
}

test(
  "top shows programs once where no person reads, as rows or as JSON",
  () =>
    withSandbox(async (sandbox) => {
      const options = { cwd: "/", env: { PATH: "/usr/bin:/bin" }, stdin: "pipe" } as const;
      const running = await sandbox.execStream("cat", ["-u"], options);
      const pid = await running.pid;
      const rows = (await runCli(["top", "--interval", "100ms", "box"])).stdout.split("\n");
      const row = rows.find((line) => line.startsWith(`${pid}\t`))?.split("\t") ?? [];
      assert.equal(row.length, 7);
      assert.equal(row[6], "cat -u");
      const { stdout, status } = await runCli(["top", "--json", "--interval", "100ms", "box"], {
        isTTY: true,
      });
      assert.equal(status, 0);
      const { name, total, processes } = JSON.parse(stdout);
      assert.equal(name, "box");
      assert.ok(total >= processes.length);
      const found = processes.find((candidate: SandboxProcess) => candidate.pid === pid);
      assert.equal(found.command, "cat -u");
      assert.ok(found.cpuPercent >= 0);
      await running.kill();
    }),
  { skip },
);

test(
  "top draws on a screen of its own until the sandbox has ended",
  () =>
    withSandbox(async (sandbox) => {
      const running = runCli(["top", "--interval", "100ms", "box"], {
        isTTY: true,
        environment: { NO_COLOR: "1" },
      });
      for (let sample = 0; sample < 5; sample++) await sandbox.metrics();
      await sandbox.stop();
      const { status, stdout } = await running;
      assert.equal(status, 0);
      assert.match(stdout, /box, up \d+s: \d+ programs?(?:, \d+ shown)?, CPU \d+\.\d %, memory /);
      assert.match(stdout, /PID +USER +S +CPU % +MEMORY +TIME +COMMAND/);
      assert.equal(stdout.split("\x1b[?1049l").length, 2);
    }),
  { skip },
);

test(
  "top refuses a sandbox that is not there or does not run",
  () =>
    withSandbox(async (sandbox) => {
      await sandbox.stop();
      const stopped = await runCli(["top", "box"], { isTTY: true });
      assert.deepEqual([stopped.status, stopped.stdout], [1, ""]);
      assert.match(stopped.stderr, /sandboxNotRunning/);
      assert.match((await runCli(["top", "none"])).stderr, /sandboxNotFound/);
      assert.equal((await runCli(["top", "--interval", "1ms", "box"])).status, 2);
    }),
  { skip },
);
