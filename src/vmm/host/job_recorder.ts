/**
 * Writes jobs to the state database. All clients of a sandbox wait for this, so a process that locks the database must not
 * make it long: what cannot be written at once is written with what comes after it.
 *
 * @module
 */
import { type Clock, systemClock } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { JobRecord } from "../../state/job_record.ts";

/** How long to leave off when nothing can be written. */
export const JOBS_RETRY_MS = 100;
/** How often a new job is tried to be written, until its start is refused: for ten seconds. */
export const NEW_JOB_TRIES_MAX = 100;

/** Writes jobs in one transaction, or throws. With `isLast` there is no other time: it may take as long as it needs. */
export type WriteJobs = (jobs: readonly JobRecord[], isLast: boolean) => void;

export class JobRecorder {
  readonly #write: WriteJobs;
  readonly #clock: Clock;
  /** By id: as they are now, and not written yet. No new job is taken while nothing can be written, so they are few. */
  readonly #due = new Map<string, JobRecord>();
  /** Takes back the next attempt, if one is to come. */
  #cancel: (() => void) | undefined;
  #isFailing = false;

  constructor(write: WriteJobs, clock: Clock = systemClock) {
    this.#write = write;
    this.#clock = clock;
  }

  /** Writes a new job, if that is possible at once. */
  add(job: JobRecord): boolean {
    try {
      this.#write([job], false);
      return true;
    } catch {
      return false; // the caller tries on
    }
  }

  /**
   * Writes a new job later, as it is by then. Resolves with what keeps it from being written, if something does for long.
   */
  async addLater(job: () => JobRecord): Promise<Error | undefined> {
    for (let attempt = 1; ; attempt++) {
      await new Promise<void>((resolve) => this.#clock.after(JOBS_RETRY_MS, resolve));
      try {
        this.#write([job()], false);
        return undefined;
      } catch (error) {
        if (attempt === NEW_JOB_TRIES_MAX)
          return error instanceof Error ? error : new Error(messageOf(error));
      }
    }
  }

  /** Writes a job that has changed: with all that changes in this turn, so that a short one costs few transactions. */
  update(job: JobRecord): void {
    this.#due.set(job.id, job);
    if (this.#cancel !== undefined) return;
    let isWanted = true;
    this.#cancel = () => {
      isWanted = false;
    };
    queueMicrotask(() => {
      if (isWanted) this.#attempt(false);
    });
  }

  /** Writes what is due, now or never: before the end of the boot is recorded. */
  flush(): void {
    this.#cancel?.();
    this.#attempt(true);
  }

  #attempt(isLast: boolean): void {
    this.#cancel = undefined;
    if (this.#due.size === 0) return;
    try {
      this.#write([...this.#due.values()], isLast);
      this.#due.clear();
      this.#isFailing = false;
    } catch (error) {
      // No reason to end a sandbox. Reported once, since it is tried again and again.
      if (!this.#isFailing) console.error(`cannot record jobs: ${messageOf(error)}`);
      this.#isFailing = true;
      if (!isLast) this.#cancel = this.#clock.after(JOBS_RETRY_MS, () => this.#attempt(false));
    }
  }
}
