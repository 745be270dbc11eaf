/** The rows of jobs. @module */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { homePaths } from "../../../src/platform/home.ts";
import type { JobRecord } from "../../../src/state/job_record.ts";
import { DROPPED_JOBS, ENDED_JOBS_MAX } from "../../../src/state/jobs.ts";
import { type BootKey, StateStore } from "../../../src/state/state_store.ts";
import { test } from "../../support/harness.ts";
import { BOOT, claimOf } from "../../support/home/claims.ts";
import { openHome } from "../../support/home/open_home.ts";

let count = 0;

function jobOf(more: Partial<JobRecord> = {}): JobRecord {
  count++;
  return {
    id: `job-${count}`,
    bootNumber: 1,
    sessionId: 2 ** 40 + count,
    name: undefined,
    command: ["sh", "-c", "true"],
    isTty: false,
    status: "running",
    pid: 7,
    startedAt: new Date(1_000 + count),
    endedAt: undefined,
    exit: undefined,
    failure: undefined,
    isOutputOver: false,
    logStart: { generation: 2, offsetBytes: 2 ** 40 },
    logEnd: undefined,
    ...more,
  };
}

function bootOf(state: StateStore, name: string): BootKey {
  const key = state.claimCreate(claimOf(name));
  state.transition(key, "ready");
  return key;
}

const exited = (job: JobRecord, more: Partial<JobRecord> = {}): JobRecord => ({
  ...job,
  status: "exited",
  exit: { code: 0, signal: undefined },
  endedAt: new Date(9_000),
  ...more,
});

test("Jobs keeps what was saved, and follows its changes", () => {
  using home = openHome();
  const { state } = home;
  const key = bootOf(state, "x");
  const [one, two] = [jobOf({ name: "build", status: "starting", pid: undefined }), jobOf({ isTty: true })];
  assert.equal(state.jobs.save(key, [one, two]), true);
  assert.deepEqual(state.jobs.list(key.id), [one, two]);
  const ended = exited(one, {
    pid: 12,
    exit: { code: 137, signal: 9 },
    isOutputOver: true,
    logEnd: { generation: 3, offsetBytes: 0 },
  });
  const failed: JobRecord = { ...two, status: "failed", failure: "no such program", endedAt: new Date(5) };
  state.jobs.save(key, [ended, failed]);
  assert.deepEqual(state.jobs.list(key.id), [ended, failed]);
  assert.deepEqual(state.jobs.findBySession(key.id, one.sessionId), ended);
  assert.equal(state.jobs.findBySession(key.id, 3), undefined);
});

test("Jobs.find() takes an id, or a name: of the job that runs, else of the last one that had it", () => {
  using home = openHome();
  const { state } = home;
  const [key, other] = [bootOf(state, "x"), bootOf(state, "y")];
  const first = exited(jobOf({ name: "web" }));
  const second = jobOf({ name: "web" });
  const third = exited(jobOf({ name: "web" }));
  const sly = exited(jobOf({ name: first.id }));
  state.jobs.save(key, [first, second, third, sly]);
  state.jobs.save(other, [jobOf({ name: "web" })]);
  assert.equal(state.jobs.find(key.id, "web")?.id, second.id);
  state.jobs.save(key, [exited(second)]);
  assert.equal(state.jobs.find(key.id, "web")?.id, third.id);
  assert.equal(state.jobs.find(key.id, first.id)?.id, first.id, "an id comes before a name");
  assert.equal(state.jobs.find(key.id, "absent"), undefined);
  assert.equal(state.jobs.find(other.id, first.id), undefined, "of another sandbox");
});

test("Jobs marks what its boot did not see the end of as lost, by whoever notes that end", () => {
  using home = openHome();
  const { state } = home;
  for (const action of ["stopped", "crashed"] as const) {
    const key = bootOf(state, action);
    const [running, done] = [jobOf(), exited(jobOf({ exit: { code: 3, signal: undefined } }))];
    const starting = jobOf({ status: "starting", pid: undefined });
    state.jobs.save(key, [running, done, starting]);
    const neighbour = bootOf(state, `neighbour of ${action}`);
    state.jobs.save(neighbour, [jobOf()]);
    assert.ok(state.transition(key, action, { reason: "x" }));
    const [lost, kept, never] = state.jobs.list(key.id);
    assert.deepEqual([lost?.status, lost?.exit, never?.status], ["lost", undefined, "lost"]);
    assert.ok(lost?.endedAt !== undefined);
    assert.deepEqual(kept, done);
    assert.equal(state.jobs.list(neighbour.id)[0]?.status, "running");
    // A late word of that boot, and of one that has come since, changes nothing.
    assert.equal(state.jobs.save(key, [running]), false);
    const next = state.claimStart(key, BOOT);
    assert.ok(next !== undefined);
    assert.equal(state.jobs.save(key, [running]), false);
    assert.equal(state.jobs.list(key.id)[0]?.status, "lost");
  }
});

test("Jobs.recover() gives a lost job the exit that was found, and leaves others as they are", () => {
  using home = openHome();
  const { state } = home;
  const key = bootOf(state, "x");
  const [lost, done] = [jobOf(), exited(jobOf())];
  state.jobs.save(key, [lost, done]);
  state.transition(key, "crashed");
  const found = {
    exit: { code: 143, signal: 15 },
    isOutputOver: true,
    logEnd: { generation: 3, offsetBytes: 9 },
  };
  for (const { id } of [lost, done]) state.jobs.recover(key.id, { id, ...found });
  const [recovered, same] = state.jobs.list(key.id);
  assert.deepEqual(
    [recovered?.status, recovered?.exit, recovered?.logEnd],
    ["exited", found.exit, found.logEnd],
  );
  assert.deepEqual(same, done);
});

test("Jobs drops the oldest ended jobs of a sandbox beyond the limit, and none that runs", () => {
  using home = openHome();
  const { state } = home;
  const [key, other] = [bootOf(state, "x"), bootOf(state, "y")];
  const oldest = jobOf();
  state.jobs.save(other, [exited(jobOf())]);
  const ended = Array.from({ length: ENDED_JOBS_MAX }, () => exited(jobOf()));
  state.jobs.save(key, [oldest, ...ended]);
  assert.equal(state.jobs.list(key.id).length, ENDED_JOBS_MAX + 1);
  const more = Array.from({ length: DROPPED_JOBS + 1 }, () => exited(jobOf()));
  for (const job of more) state.jobs.save(key, [job]);
  const ids = state.jobs.list(key.id).map(({ id }) => id);
  // The oldest ones went when there were so many too many; the one that runs stays.
  assert.ok(ids.length <= ENDED_JOBS_MAX + DROPPED_JOBS);
  assert.deepEqual([ids[0], ids.at(-1)], [oldest.id, more.at(-1)?.id]);
  const dropped = ended.filter(({ id }) => !ids.includes(id));
  assert.ok(dropped.length > 0);
  assert.deepEqual(dropped, ended.slice(0, dropped.length), "the oldest ones, and no others");
  assert.equal(state.jobs.list(other.id).length, 1);
});

test("Jobs go with their sandbox", () => {
  using home = openHome();
  const { state } = home;
  const key = bootOf(state, "x");
  state.jobs.save(key, [jobOf()]);
  state.transition(key, "stopped");
  state.remove(key.id, { from: "/nowhere/from", to: "/nowhere/to" });
  assert.deepEqual(state.jobs.list(key.id), []);
});

test("Jobs lists a job whose row is damaged, as one that is lost", () => {
  using home = openHome();
  const { state, path } = home;
  const key = bootOf(state, "x");
  const [odd, bare] = [jobOf(), exited(jobOf())];
  state.jobs.save(key, [odd, bare]);
  const raw = new DatabaseSync(homePaths(path).state);
  raw.exec(`UPDATE job SET status = 'dancing', command = '{' WHERE id = '${odd.id}'`);
  raw.exec(`UPDATE job SET exit_code = NULL WHERE id = '${bare.id}'`);
  raw.close();
  assert.deepEqual(
    state.jobs.list(key.id).map(({ status, command }) => [status, command]),
    [
      ["lost", []],
      ["lost", bare.command],
    ],
  );
});

test("StateStore.watch() tells of a job's change", async () => {
  using home = openHome();
  const { state, path } = home;
  const key = bootOf(state, "x");
  using watch = state.watch();
  const { version } = watch;
  const other = new StateStore(path);
  try {
    other.jobs.save(key, [jobOf()]);
    await watch.changed(version, 60_000, new AbortController().signal);
    assert.notEqual(watch.version, version);
  } finally {
    other.close();
  }
});
