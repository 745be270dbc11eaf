/**
 * Jobs in real VMs: found again by other processes, after restarts and after crashes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { type Job, type LogEntry, logStream, Sandbox } from "../../mod.ts";
import { homePaths } from "../../src/platform/home.ts";
import { eventually, hostProcesses, kill } from "../support/processes.ts";
import { Peer } from "../support/vm/peer.ts";
import { homeTest } from "../support/vm/vm.ts";

const NAME = "subject";
/** Ten times as long as between two looks. */
const IDLE_MS = 4_000;

async function textOf(job: Job, options: { follow?: boolean; fromCursor?: string } = {}): Promise<string> {
  const entries: LogEntry[] = [];
  for await (const entry of await job.output(options)) entries.push(entry);
  return entries.map((entry) => entry.text()).join("");
}

homeTest(
  "a job survives its process, and another finds it by id and by name, reads it and ends it",
  async ({ create }) => {
    const sandbox = await create();
    await using peer = new Peer();
    const script = "i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.1; done";
    const argv = ["sh", "-c", script];
    const id = await peer.ask({ action: "startJob", name: NAME, argv, job: "ticker" });
    await peer.kill();

    const [listed] = await sandbox.jobs();
    assert.deepEqual([listed?.id, listed?.name, listed?.status], [id, "ticker", "running"]);
    const job = await sandbox.job("ticker");
    // What it wrote while nobody was there, and then what it writes: every line once.
    const lines: string[] = [];
    await using output = await job.output({ follow: true });
    for await (const entry of output) {
      lines.push(entry.text());
      if (lines.length === 30) break;
    }
    assert.equal(lines.join(""), Array.from({ length: lines.length }, (_, i) => `tick ${i}\n`).join(""));
    const waiting = job.wait();
    await (await sandbox.job(id)).kill();
    assert.deepEqual(await waiting, { code: 137, success: false, signal: 9, signalName: "SIGKILL" });
    const ended = await job.refresh();
    assert.deepEqual([ended.status, ended.exit?.signalName], ["exited", "SIGKILL"]);
    assert.ok(ended.endedAt !== undefined && ended.endedAt >= ended.startedAt);
  },
);

homeTest(
  "a job's exit and output are there after a stop and a restart, and its name is free",
  async ({ create }) => {
    const sandbox = await create();
    const done = await sandbox.startJob("sh", ["-c", "echo done; exit 7"], { name: "build" });
    assert.equal((await done.wait()).code, 7);
    const polite = 'exec 2>/dev/null; trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.05; done';
    const service = await sandbox.startJob("sh", ["-c", polite], { name: "service" });
    const first = await service.output({ follow: true });
    assert.equal((await first.recv())?.text(), "up\n");
    const waiting = service.wait();
    const following = textOf(service, { follow: true });
    await sandbox.stop();
    assert.equal((await waiting).code, 3); // the stop waited for it
    assert.equal(await following, "up\nbye\n");
    await first[Symbol.asyncDispose]();

    const handle = await Sandbox.get(NAME);
    assert.equal((await (await handle.job("service")).wait()).code, 3);
    const again = await handle.start();
    assert.deepEqual(
      (await again.jobs()).map(({ name, status, exit }) => [name, status, exit?.code]),
      [
        ["build", "exited", 7],
        ["service", "exited", 3],
      ],
    );
    assert.equal(await textOf(await again.job("build"), { follow: true }), "done\n");
    const second = await again.startJob("sh", ["-c", "echo second"], { name: "build" });
    assert.equal((await second.wait()).code, 0);
    assert.equal((await again.job("build")).id, second.id);
    assert.equal(await textOf(second), "second\n");
    assert.equal(await textOf(await again.job(done.id)), "done\n");
  },
);

homeTest(
  "a job of a sandbox that crashes is lost, and one whose exit the log has is not",
  async ({ create, home }) => {
    const sandbox = await create({ detached: true });
    const running = await sandbox.startJob("sleep", ["1000"], { name: "running" });
    const short = await sandbox.startJob("sh", ["-c", "read line; echo out; exit 9"], { stdin: "pipe" });
    // The record of a start may come a little later than startJob() resolves.
    await eventually(async () => assert.equal((await sandbox.job(short.id)).status, "running"));
    // The state database cannot be written while the job exits, and its host process is killed before it can.
    const lock = new DatabaseSync(homePaths(home).state);
    lock.exec("PRAGMA busy_timeout = 20000");
    lock.exec("BEGIN IMMEDIATE");
    const writer = short.stdin.getWriter();
    await writer.write(new TextEncoder().encode("\n"));
    const said: string[] = [];
    for await (const entry of await logStream(NAME, {
      follow: true,
      sources: ["system"],
      sessionId: short.sessionId,
    }))
      said.push(entry.text()); // ends with the output: the log has all, and the database nothing
    assert.deepEqual(said, ["--- job exited with code 9 ---\n", "--- job output complete ---\n"]);
    for (const { pid } of hostProcesses(home)) kill(pid);
    lock.exec("ROLLBACK");
    lock.close();

    await eventually(async () => assert.equal((await Sandbox.get(NAME)).status, "crashed"));
    const handle = await Sandbox.get(NAME);
    await assert.rejects(running.wait(), { code: "jobLost", jobId: running.id, sandbox: NAME });
    assert.equal((await short.wait()).code, 9);
    assert.equal(await textOf(short, { follow: true }), "out\n");
    const statuses = (await handle.jobs()).map(({ status }) => status);
    assert.deepEqual(statuses, ["lost", "exited"]);
    await assert.rejects(running.adopt(), { code: "jobEnded" });
    await running.kill(); // nothing is left to kill
  },
);

homeTest("a sandbox with a job that runs is not idle, whoever has left", async ({ create }) => {
  const sandbox = await create();
  await using peer = new Peer();
  await peer.ask({ action: "startJob", name: NAME, argv: ["sleep", "600"], job: "sleeper" });
  await peer.kill();
  await sandbox.setTimeLimits({ idleTimeoutMs: IDLE_MS }); // counts from now
  await delay(1.5 * IDLE_MS);
  assert.equal((await Sandbox.get(NAME)).status, "running");
  await (await sandbox.job("sleeper")).kill();
  const end = await sandbox.waitUntilStopped();
  assert.deepEqual([end.status, end.reason], ["stopped", "idleTimeout"]);
});

homeTest("a job's stdin is opened again by another process, and a terminal's", async ({ create }) => {
  const sandbox = await create();
  await using peer = new Peer();
  const argv = ["sh", "-c", "while read line; do echo got $line; done; echo over"];
  await peer.ask({ action: "startJob", name: NAME, argv, job: "reader", stdin: "pipe" });
  await peer.kill();
  const text = new TextEncoder();
  const first = (await sandbox.job("reader")).stdin.getWriter();
  await first.write(text.encode("one\n"));
  await first.abort(); // leaves it open
  const second = (await sandbox.job("reader")).stdin.getWriter();
  await second.write(text.encode("two\n"));
  await second.close();
  const reader = await sandbox.job("reader");
  assert.equal((await reader.wait()).code, 0);
  assert.equal(await textOf(reader, { follow: true }), "got one\ngot two\nover\n");

  const shell = await sandbox.startJob("sh", ["-c", "stty -echo; read line; echo got $line"], { tty: true });
  const input = shell.stdin.getWriter();
  await input.write(text.encode("typed\n"));
  assert.equal((await shell.wait()).code, 0);
  assert.match(await textOf(shell, { follow: true }), /got typed\r\n$/);
});
