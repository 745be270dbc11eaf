/**
 * Clients that are killed while they work with jobs: whatever they were about, the next process finds every job, its exit
 * and all that it wrote.
 *
 * The VM is one without a machine (`fake_qemu.ts`): library, state database, logs, host process and agent are real.
 * `MSB_JOB_KILLS=100` is the whole proof; `MSB_TEST_SEED` replays the choices.
 *
 * @module
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Job, JobEndedError, type LogEntry, Sandbox } from "../../mod.ts";
import { countFrom } from "../support/count.ts";
import { FakeQemu, fakeQemuProblem } from "../support/guest/fake_qemu.ts";
import { type SeededRandom, seededRandom } from "../support/random.ts";
import { JobClient, type JobScript, type ReportedJob, scriptOf } from "../support/vm/job_client.ts";
import { homeTest } from "../support/vm/vm.ts";

const KILLS = countFrom("MSB_JOB_KILLS", 12);
/** A client is killed within this time of its first job: in the middle of whatever it does by then. */
const LIFE_MS_MAX = 400;
/** Jobs that are kept after their end are 1,000. */
const CLIENTS_PER_LOOK = 10;

homeTest(
  `Job: after ${KILLS} clients were killed at random moments, every exit and all output is there`,
  async ({ scratch }) => {
    using _qemu = new FakeQemu(scratch, 0);
    const image = join(scratch, "small");
    mkdirSync(image);
    writeFileSync(join(image, "file"), "");
    const name = "jobs";
    const random = seededRandom("job kills");
    const sandbox = await Sandbox.create({ name, image, memoryMiB: 64, diskMiB: 64 });
    const looked = new Set<string>();
    try {
      for (let killed = 0; killed < KILLS; ) {
        const reported: ReportedJob[] = [];
        for (let i = 0; i < CLIENTS_PER_LOOK && killed < KILLS; i++, killed++)
          reported.push(...(await liveAndDie(name, random)));
        const jobs = (await sandbox.jobs()).filter(({ id }) => !looked.has(id));
        for (const { id } of reported)
          assert.ok(
            jobs.some((job) => job.id === id),
            `the job ${id} that a client was told of is not listed`,
          );
        for (const job of jobs) {
          looked.add(job.id);
          await assertComplete(sandbox, job, random);
        }
      }
      console.log(`${looked.size} jobs of ${KILLS} clients`);
      assert.ok(looked.size >= KILLS);
    } finally {
      await sandbox.destroy({ force: true });
    }
  },
  { timeoutMs: 900_000, missing: fakeQemuProblem },
);

/** One client, from its start to its death; returns the jobs that it said it had started. */
async function liveAndDie(name: string, random: SeededRandom): Promise<ReportedJob[]> {
  const client = await JobClient.start(name, random.integer(0, 2 ** 31));
  const reported: ReportedJob[] = [];
  const first = await client.next();
  assert.ok(first !== undefined, "the client ended by itself");
  reported.push(first);
  const rest = (async () => {
    for (let job = await client.next(); job !== undefined; job = await client.next()) reported.push(job);
  })();
  await delay(random.integer(0, LIFE_MS_MAX));
  await client.kill();
  await rest;
  return reported;
}

/** Sees one job to its end, as a process would that never met its client. */
async function assertComplete(sandbox: Sandbox, job: Job, random: SeededRandom): Promise<void> {
  if (job.status === "failed") {
    assert.match(job.failure ?? "", /client left/); // killed between the announcement and the start
    return;
  }
  const label = job.name ?? job.id;
  const script = scriptOf(label);
  if (script.reads) await endInput(job);
  const entries = await readInTwoParts(job, random);
  const exit = await job.wait();
  assert.deepEqual([exit.code, exit.signal], [script.code, undefined], label);
  const again = await sandbox.job(job.id);
  assert.deepEqual([again.status, again.exit?.code], ["exited", script.code]);
  const text = entries.map((entry) => entry.text()).join("");
  assert.equal(text, expectedOutput(script, text), label);
}

/** What its client has not given a job that reads, it gets now. */
async function endInput(job: Job): Promise<void> {
  const writer = job.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode("next\n"));
    await writer.close();
  } catch (error) {
    const isOver = error instanceof JobEndedError || /EPIPE|jobEnded/.test(String(error));
    assert.ok(isOver || /has ended/.test(String(error)), String(error)); // it had its line, and needed no more
  }
}

/** Reads some entries, and the rest from the last one's cursor on. */
async function readInTwoParts(job: Job, random: SeededRandom): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  const cut = random.integer(0, 6);
  const first = await job.output({ follow: true });
  for (let entry = await first.recv(); entry !== null; entry = await first.recv()) {
    entries.push(entry);
    if (entries.length === cut) break;
  }
  await first[Symbol.asyncDispose]();
  if (entries.length < cut) return entries;
  const fromCursor = entries.at(-1)?.cursor;
  for await (const entry of await job.output({ follow: true, fromCursor })) entries.push(entry);
  return entries;
}

function expectedOutput({ reads, lines }: JobScript, text: string): string {
  const numbered = Array.from({ length: lines }, (_, index) => `line ${index}\n`).join("");
  if (!reads) return numbered;
  const from = text.startsWith("got client\n") ? "client" : "next";
  return `got ${from}\n${numbered}`;
}
