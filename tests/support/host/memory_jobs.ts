/** The jobs of a host in this process, with their records in memory. @module */
import type { JobRecord } from "../../../src/state/job_record.ts";
import { JobRecorder } from "../../../src/vmm/host/job_recorder.ts";
import { type JobLog, Jobs } from "../../../src/vmm/host/jobs.ts";

/** What takes the records, by id and in order. Each save is told. */
export class MemoryJobs {
  readonly records = new Map<string, JobRecord>();
  readonly jobs: Jobs;
  /** Set by a test: the next saves throw. */
  failure: Error | undefined;
  onSaved: () => void = () => {};

  constructor(log: JobLog, bootNumber = 1) {
    const recorder = new JobRecorder((jobs) => {
      if (this.failure !== undefined) throw this.failure;
      for (const job of jobs) this.records.set(job.id, job);
      this.onSaved();
    });
    this.jobs = new Jobs(bootNumber, recorder, log);
  }

  /** The one record that satisfies `look`, once there is one. */
  async until(look: (job: JobRecord) => boolean): Promise<JobRecord> {
    for (;;) {
      const found = [...this.records.values()].find(look);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.onSaved = resolve;
      });
    }
  }
}

/** For hosts of tests that have no jobs. */
export function noJobs(): Jobs {
  return new MemoryJobs({ system: () => {}, flush: () => {}, position: undefined }).jobs;
}
