/** Finding in the log how jobs ended that a boot has lost. @module */
import assert from "node:assert/strict";
import { recoverJobs } from "../../../../src/backend/local/recover_jobs.ts";
import { logDirectory } from "../../../../src/backend/local/sandbox_directories.ts";
import { type ExecLogWriter, openExecLogWriter } from "../../../../src/logs/exec_log_writer.ts";
import { JOB_OUTPUT_OVER_TEXT, jobExitText } from "../../../../src/logs/markers.ts";
import type { JobRecord } from "../../../../src/state/job_record.ts";
import type { BootKey, StateStore } from "../../../../src/state/state_store.ts";
import { test } from "../../../support/harness.ts";
import { claimOf } from "../../../support/home/claims.ts";
import { openHome } from "../../../support/home/open_home.ts";

const EXIT = { code: 143, signal: 15 };

function jobOf(number: number, logStart: JobRecord["logStart"]): JobRecord {
  return {
    id: `job-${number}`,
    bootNumber: 1,
    sessionId: 2 ** 32 + number,
    name: undefined,
    command: ["x"],
    isTty: false,
    status: "running",
    pid: 1,
    startedAt: new Date(number),
    endedAt: undefined,
    exit: undefined,
    failure: undefined,
    isOutputOver: false,
    logStart,
    logEnd: undefined,
  };
}

function crash(state: StateStore, key: BootKey): void {
  assert.ok(state.transition(key, "crashed", { reason: "x" }));
}

function fill(writer: ExecLogWriter, bytes: number): void {
  for (let written = 0; written < bytes; written += 500) writer.append("stdout", 1, Buffer.alloc(500, "x"));
}

test("recoverJobs() gives lost jobs the exit that the log has, and leaves the others lost", async () => {
  using home = openHome();
  const { state, path } = home;
  const key = state.claimCreate(claimOf("x"));
  state.transition(key, "ready");
  using writer = openExecLogWriter({ directory: logDirectory(path, "x"), sandboxId: key.id });
  fill(writer, 5_000);
  const [one, two, three] = [1, 2, 3].map((number) => jobOf(number, writer.position));
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  state.jobs.save(key, [one, two, three]);
  writer.append("stdout", one.sessionId, Buffer.from("--- job exited with code 1 ---\n")); // as a program may well write
  writer.system(jobExitText(EXIT), two.sessionId);
  writer.system("--- sandbox stopped ---");
  writer.system(JOB_OUTPUT_OVER_TEXT, two.sessionId);
  writer.system(jobExitText({ code: 0, signal: undefined }), three.sessionId);
  crash(state, key);
  const record = state.findById(key.id);
  assert.ok(record !== undefined);
  await recoverJobs(state, record);
  await recoverJobs(state, record); // again, as by another process: the same
  assert.deepEqual(
    state.jobs.list(key.id).map(({ status, exit, isOutputOver }) => [status, exit, isOutputOver]),
    [
      ["lost", undefined, false],
      ["exited", EXIT, true],
      ["exited", { code: 0, signal: undefined }, true],
    ],
  );
});

test("recoverJobs() reads what is left where the log has been rotated, and minds no log that is gone", async () => {
  using home = openHome();
  const { state, path } = home;
  const key = state.claimCreate(claimOf("x"));
  state.transition(key, "ready");
  const options = {
    directory: logDirectory(path, "x"),
    sandboxId: key.id,
    maxFileBytes: 2_000,
    rotatedFilesMax: 2,
  };
  using writer = openExecLogWriter(options);
  const job = jobOf(1, writer.position);
  state.jobs.save(key, [job]);
  fill(writer, 20_000);
  writer.system(jobExitText(EXIT), job.sessionId);
  crash(state, key);
  const record = state.findById(key.id);
  assert.ok(record !== undefined);
  await recoverJobs(state, record);
  assert.deepEqual(state.jobs.list(key.id)[0]?.exit, EXIT);

  const bare = state.claimCreate(claimOf("bare"));
  state.transition(bare, "ready");
  state.jobs.save(bare, [jobOf(2, undefined)]);
  crash(state, bare);
  const without = state.findById(bare.id);
  assert.ok(without !== undefined);
  await recoverJobs(state, without);
  assert.equal(state.jobs.list(bare.id)[0]?.status, "lost");
});
