/**
 * The jobs of sandboxes: written by the VM host process of the sandbox alone, read by any process, for as long as the
 * sandbox is there.
 *
 * @module
 */
import type { Database, TransactionOptions } from "./database.ts";
import { decodeJob, type JobRecord } from "./job_record.ts";
import type { BootKey } from "./state_store.ts";
import { LIVE_STATUSES } from "./status.ts";

/** Jobs of one sandbox that are kept after their end; older ones are dropped. */
export const ENDED_JOBS_MAX = 1_000;
/** Jobs that are dropped together: to look for the oldest one at each start would cost more than the start. */
export const DROPPED_JOBS = 64;

const IS_OPEN = "status IN ('starting', 'running')";

/** The jobs in the state database. */
export class Jobs {
  readonly #database: Database;
  readonly #onChanged: () => void;

  /** `onChanged` is called after each transaction that has changed jobs. */
  constructor(database: Database, onChanged: () => void = () => {}) {
    this.#database = database;
    this.#onChanged = onChanged;
  }

  /**
   * Writes jobs of a boot as they are now, in one transaction. Does nothing if that boot is not the sandbox's present one,
   * or has ended. Returns whether they are written.
   */
  save(key: BootKey, jobs: readonly JobRecord[], options: TransactionOptions = {}): boolean {
    return this.#database.transaction(() => {
      if (!this.#isPresent(key)) return false;
      for (const job of jobs) if (!this.#update(key, job)) this.#insert(key, job);
      this.#database.afterCommit(this.#onChanged);
      return true;
    }, options);
  }

  /** Forgets a job of a boot that never came to be. */
  forget(key: BootKey, id: string, options: TransactionOptions = {}): void {
    this.#database.transaction(() => {
      this.#database.run("DELETE FROM job WHERE id = ? AND sandbox_id = ?", id, key.id);
      this.#database.afterCommit(this.#onChanged);
    }, options);
  }

  /** Says how a job ended that its boot did not live to say. Does nothing to one that is not lost. */
  recover(
    sandboxId: string,
    { id, exit, isOutputOver, logEnd }: Pick<JobRecord, "id" | "exit" | "isOutputOver" | "logEnd">,
  ): void {
    if (exit === undefined) return;
    this.#database.transaction(() => {
      this.#database.run(
        `UPDATE job SET status = 'exited', exit_code = ?, exit_signal = ?, is_output_over = ?, log_end_generation = ?,
           log_end_offset = ?
           WHERE id = ? AND sandbox_id = ? AND status = 'lost'`,
        exit.code,
        exit.signal ?? null,
        Number(isOutputOver),
        logEnd?.generation ?? null,
        logEnd?.offsetBytes ?? null,
        id,
        sandboxId,
      );
      this.#database.afterCommit(this.#onChanged);
    });
  }

  /** The jobs of a sandbox, oldest first. */
  list(sandboxId: string): JobRecord[] {
    return this.#database
      .all("SELECT * FROM job WHERE sandbox_id = ? ORDER BY sequence", sandboxId)
      .map(decodeJob);
  }

  /** The job of that id; else the one that has that name and runs, or had it last. */
  find(sandboxId: string, idOrName: string): JobRecord | undefined {
    const row =
      this.#database.get("SELECT * FROM job WHERE id = ? AND sandbox_id = ?", idOrName, sandboxId) ??
      this.#database.get(
        `SELECT * FROM job WHERE sandbox_id = ? AND name = ? ORDER BY ${IS_OPEN} DESC, sequence DESC LIMIT 1`,
        sandboxId,
        idOrName,
      );
    return row === undefined ? undefined : decodeJob(row);
  }

  /** The job whose output has that number in the sandbox's log. */
  findBySession(sandboxId: string, sessionId: number): JobRecord | undefined {
    const row = this.#database.get(
      "SELECT * FROM job WHERE sandbox_id = ? AND session_id = ? ORDER BY sequence DESC LIMIT 1",
      sandboxId,
      sessionId,
    );
    return row === undefined ? undefined : decodeJob(row);
  }

  #isPresent({ id, bootNumber }: BootKey): boolean {
    const row = this.#database.get("SELECT boot_number, status FROM sandbox WHERE id = ?", id);
    return row?.["boot_number"] === bootNumber && LIVE_STATUSES.some((status) => status === row["status"]);
  }

  /** Writes what changes of a job. Returns whether it was there. */
  #update({ id: sandboxId }: BootKey, job: JobRecord): boolean {
    const changed = this.#database.run(
      `UPDATE job SET status = ?, pid = ?, ended_at = ?, exit_code = ?, exit_signal = ?, failure = ?, is_output_over = ?,
         log_end_generation = ?, log_end_offset = ? WHERE id = ? AND sandbox_id = ?`,
      job.status,
      job.pid ?? null,
      job.endedAt?.getTime() ?? null,
      job.exit?.code ?? null,
      job.exit?.signal ?? null,
      job.failure ?? null,
      Number(job.isOutputOver),
      job.logEnd?.generation ?? null,
      job.logEnd?.offsetBytes ?? null,
      job.id,
      sandboxId,
    );
    return changed > 0;
  }

  #insert(key: BootKey, job: JobRecord): void {
    this.#dropOldest(key.id);
    this.#database.run(
      `INSERT INTO job (id, sandbox_id, boot_number, session_id, name, command, is_tty, status, started_at, is_output_over,
         log_start_generation, log_start_offset) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`,
      job.id,
      key.id,
      key.bootNumber,
      job.sessionId,
      job.name ?? null,
      JSON.stringify(job.command),
      Number(job.isTty),
      job.status,
      job.startedAt.getTime(),
      job.logStart?.generation ?? null,
      job.logStart?.offsetBytes ?? null,
    );
    if (job.status !== "starting") this.#update(key, job); // it could not be written when it was started
  }

  #dropOldest(sandboxId: string): void {
    const kept = this.#database.get("SELECT count(*) AS count FROM job WHERE sandbox_id = ?", sandboxId);
    if (Number(kept?.["count"]) < ENDED_JOBS_MAX + DROPPED_JOBS) return;
    this.#database.run(
      `DELETE FROM job WHERE sandbox_id = ? AND NOT (${IS_OPEN}) AND sequence <= (
         SELECT sequence FROM job WHERE sandbox_id = ? AND NOT (${IS_OPEN})
           ORDER BY sequence DESC LIMIT 1 OFFSET ${ENDED_JOBS_MAX})`,
      sandboxId,
      sandboxId,
    );
  }
}
