import assert from "node:assert/strict";
import type { JobRecord } from "../../../../src/state/job_record.ts";
import { JOBS_RETRY_MS, JobRecorder, NEW_JOB_TRIES_MAX } from "../../../../src/vmm/host/job_recorder.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { test } from "../../../support/harness.ts";

function jobOf(id: string, more: Partial<JobRecord> = {}): JobRecord {
  return {
    id,
    bootNumber: 1,
    sessionId: 1,
    name: undefined,
    command: [],
    isTty: false,
    status: "running",
    pid: 1,
    startedAt: new Date(0),
    endedAt: undefined,
    exit: undefined,
    failure: undefined,
    isOutputOver: false,
    logStart: undefined,
    logEnd: undefined,
    ...more,
  };
}

/** A database that can be locked, and what was written to it. */
function fakeDatabase() {
  const database = {
    isLocked: false,
    writes: [] as (readonly [ids: string, isLast: boolean])[],
    rows: new Map<string, JobRecord>(),
    write(jobs: readonly JobRecord[], isLast: boolean): void {
      if (database.isLocked) throw new Error("database is locked");
      database.writes.push([jobs.map(({ id }) => id).join(" "), isLast]);
      for (const job of jobs) database.rows.set(job.id, job);
    },
  };
  return database;
}

test("JobRecorder.update() writes in one what changes in a turn, and later together what could not be written", async () => {
  const [database, clock] = [fakeDatabase(), new FakeClock()];
  const recorder = new JobRecorder(database.write, clock);
  recorder.update(jobOf("a", { status: "starting" }));
  recorder.update(jobOf("a"));
  await Promise.resolve();
  database.isLocked = true;
  recorder.update(jobOf("a", { status: "exited" }));
  await Promise.resolve();
  recorder.update(jobOf("b"));
  recorder.update(jobOf("b", { pid: 2 }));
  clock.advance(3 * JOBS_RETRY_MS);
  assert.deepEqual(database.writes, [["a", false]]);
  database.isLocked = false;
  clock.advance(JOBS_RETRY_MS);
  assert.deepEqual(database.writes.slice(1), [["a b", false]]);
  assert.deepEqual([database.rows.get("a")?.status, database.rows.get("b")?.pid], ["exited", 2]);
  clock.advance(10 * JOBS_RETRY_MS);
  assert.equal(database.writes.length, 2, "nothing is due any more");
});

test("JobRecorder.flush() writes what is due as the last there is", async () => {
  const [database, clock] = [fakeDatabase(), new FakeClock()];
  const recorder = new JobRecorder(database.write, clock);
  database.isLocked = true;
  recorder.update(jobOf("a"));
  recorder.flush();
  database.isLocked = false;
  recorder.flush();
  recorder.flush();
  await Promise.resolve();
  assert.deepEqual(database.writes, [["a", true]]);
  clock.advance(10 * JOBS_RETRY_MS);
  assert.equal(database.writes.length, 1);
});

test("JobRecorder.addLater() tries until it can, with the job as it is then, and gives up in time", async () => {
  const [database, clock] = [fakeDatabase(), new FakeClock()];
  const recorder = new JobRecorder(database.write, clock);
  assert.equal(recorder.add(jobOf("a")), true);
  database.isLocked = true;
  assert.equal(recorder.add(jobOf("b")), false);
  let job = jobOf("b");
  const added = recorder.addLater(() => job);
  job = jobOf("b", { status: "failed" });
  await advance(clock, 5);
  database.isLocked = false;
  await advance(clock, 1);
  assert.equal(await added, undefined);
  assert.equal(database.rows.get("b")?.status, "failed");

  database.isLocked = true;
  const refused = recorder.addLater(() => job);
  await advance(clock, NEW_JOB_TRIES_MAX);
  assert.match((await refused)?.message ?? "", /locked/);
});

/** Each try waits anew. */
async function advance(clock: FakeClock, tries: number): Promise<void> {
  for (let i = 0; i < tries; i++) {
    clock.advance(JOBS_RETRY_MS);
    await Promise.resolve();
  }
}
