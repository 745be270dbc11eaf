/** What a guest says of jobs, and what is recorded of it. @module */
import assert from "node:assert/strict";
import type { Frame } from "../../../../src/agent/frame.ts";
import type { Jobs } from "../../../../src/vmm/host/jobs.ts";
import { closed, exited, frame, start } from "../../../support/guest/program_frames.ts";
import { test } from "../../../support/harness.ts";
import { MemoryJobs } from "../../../support/host/memory_jobs.ts";

/** Jobs without a guest: a test says what one does. */
function bareJobs() {
  const log: string[] = [];
  const memory = new MemoryJobs({
    system: (text) => void log.push(text),
    flush: () => {},
    position: { generation: 1, offsetBytes: 0 },
  });
  return { log, memory, jobs: memory.jobs };
}

async function announced(jobs: Jobs, stream: number): Promise<string> {
  const answer = await jobs.announce({ token: 1, target: stream, flags: 0, name: "", command: ["x"] });
  jobs.toAgent(start(stream));
  return answer.job;
}

test("Jobs.fromAgent() records one start and one end, however often a guest says so", async () => {
  const { jobs, memory, log } = bareJobs();
  const id = await announced(jobs, 5);
  let saves = 0;
  memory.onSaved = () => saves++;
  const settled = async (...frames: Frame[]) => {
    for (const one of frames) jobs.fromAgent(one);
    await Promise.resolve();
  };
  const started = (pid: number) => frame("execStarted", 5, { pid });
  await settled(exited(5, 9)); // before it began
  await settled(started(7));
  await settled(started(8), started(9));
  await settled(exited(5, 3), exited(5, 4));
  await settled(exited(5, 0, 9), frame("settled", 5, {}), frame("settled", 5, {}));
  await settled(frame("settled", 5, {}), started(1), exited(5, 1));
  const record = memory.records.get(id);
  assert.deepEqual(
    [record?.status, record?.pid, record?.exit?.code, record?.isOutputOver],
    ["exited", 7, 3, true],
  );
  assert.equal(saves, 3);
  assert.equal(log.length, 2);
});

test("Jobs.fromAgent() ends a job whose stream the guest closes without a word", async () => {
  const { jobs, memory } = bareJobs();
  const [one, two] = [await announced(jobs, 5), await announced(jobs, 6)];
  jobs.fromAgent(frame("execStarted", 6, { pid: 7 }));
  jobs.fromAgent(closed(5));
  jobs.fromAgent(closed(6));
  await Promise.resolve();
  assert.deepEqual(
    [one, two].map((id) => memory.records.get(id)?.status),
    ["failed", "lost"],
  );
  assert.deepEqual([jobs.streamOf(one), jobs.streamOf(two)], [undefined, undefined]);
});

test("Jobs.handOver() of a job that exits in that moment leaves its exit where it comes", async () => {
  const { jobs, memory } = bareJobs();
  const id = await announced(jobs, 5);
  jobs.fromAgent(frame("execStarted", 5, { pid: 7 }));
  assert.equal(jobs.handOver(id, 9), 5);
  assert.equal(jobs.streamOf(id), 9);
  // The guest refuses the one, and then says the other.
  jobs.fromAgent(frame("execFailed", 9, { kind: 1, errno: 3, message: "the program has ended" }));
  jobs.fromAgent(closed(9));
  jobs.fromAgent(exited(5, 3));
  jobs.fromAgent(closed(5));
  await Promise.resolve();
  assert.deepEqual(memory.records.get(id)?.exit, { code: 3, signal: undefined });
  assert.equal(jobs.handedOver(9), undefined, "a late word of the guest");
});
