/**
 * A job: a program that outlives the process that started it.
 *
 * @module
 */

import { ExecFailedError, JobEndedError } from "../../agent/errors.ts";
import type { ExecSession } from "../../agent/exec_session.ts";
import { GUEST_SIGNALS, type SignalName, signalNumber } from "../../agent/guest_signal.ts";
import { type BackendSandbox, isOpenJob, type JobRecord, type JobStatus } from "../../backend/backend.ts";
import { type WaitOptions, waitFor } from "../../backend/wait_for.ts";
import { execLogCursor, type LogStream, type LogStreamOptions } from "../../logs/mod.ts";
import { TerminalError } from "../../platform/raw_mode.ts";
import { attachAdopted } from "../attach/attach_job.ts";
import { type JobAttachOptions, resolveView } from "../attach/attach_options.ts";
import { JobLostError, JobNotFoundError } from "../errors.ts";
import { type ExitStatus, statusOf } from "../exec/exec_output.ts";
import { jobInput } from "./job_input.ts";

/** What of a job's output to read. */
export type JobOutputOptions = Omit<LogStreamOptions, "sessionId">;

/**
 * A program that outlives the process that started it, known by its id, or by a name that no other job that runs in the
 * sandbox has. The fields are those of the moment when this was made; {@linkcode refresh} gives a new one. What it writes
 * is in the sandbox's log.
 *
 * @example
 * ```ts
 * const job = await sandbox.startJob("sh", ["-c", "echo one; echo two; exit 3"], { name: "build" });
 *
 * // Later, perhaps in another process:
 * const again = await sandbox.job("build");
 * for await (const entry of await again.output({ follow: true })) process.stdout.write(entry.data);
 * console.log((await again.wait()).code); // 3
 * ```
 */
export class Job {
  /** Stands for this job for good: a later one of the same name has another. */
  readonly id: string;
  /** The name that it was started with; `undefined` if it has none. */
  readonly name: string | undefined;
  /**
   * - `starting`: its program has not answered for its start yet.
   * - `running`: it runs.
   * - `exited`: it has ended; {@linkcode exit} says how.
   * - `failed`: it could not be started; {@linkcode failure} says why.
   * - `lost`: its sandbox was killed or crashed before it was known how the program ended.
   */
  readonly status: JobStatus;
  /** The program and its arguments; what is beyond 4 KiB is cut. */
  readonly command: readonly string[];
  /** Whether it runs on a pseudo-terminal. */
  readonly tty: boolean;
  /** The process id in the guest; `undefined` until it runs. */
  readonly pid: number | undefined;
  /** When it was started. */
  readonly startedAt: Date;
  /** When it ended; `undefined` while it runs. */
  readonly endedAt: Date | undefined;
  /** How it ended; `undefined` unless it has `exited`. */
  readonly exit: ExitStatus | undefined;
  /** Why it could not be started; `undefined` unless it has `failed`. */
  readonly failure: string | undefined;
  /** The `sessionId` of the log entries that hold its output. */
  readonly sessionId: number;
  readonly #sandbox: BackendSandbox;
  readonly #record: JobRecord;
  #stdin: WritableStream<Uint8Array> | undefined;

  /** Use `Sandbox.startJob()`, `job()` or `jobs()`. */
  constructor(sandbox: BackendSandbox, record: JobRecord) {
    this.#sandbox = sandbox;
    this.#record = record;
    this.id = record.id;
    this.name = record.name;
    this.status = record.status;
    this.command = record.command;
    this.tty = record.isTty;
    this.pid = record.pid;
    this.startedAt = record.startedAt;
    this.endedAt = record.endedAt;
    this.exit = record.exit === undefined ? undefined : statusOf(record.exit);
    this.failure = record.failure;
    this.sessionId = record.sessionId;
  }

  /**
   * The job as of now.
   *
   * @throws {JobNotFoundError} `jobNotFound`, if it ended so long ago that its record is gone.
   * @throws {SandboxNotFoundError} `sandboxNotFound`, if its sandbox was removed.
   */
  async refresh(): Promise<Job> {
    return new Job(this.#sandbox, await this.#find());
  }

  /**
   * Resolves with how the job ended, once it has, whichever process started it; also long after that, and after a restart
   * of the sandbox.
   *
   * @throws {JobLostError} `jobLost`, if its sandbox was killed or crashed first.
   * @throws {ExecFailedError} `execFailed`, if it could not be started.
   * @throws {TimeoutError} `timeout`, after `timeoutMs`; the job runs on.
   * @throws {AbortedError} `aborted`, if the signal fires; the job runs on.
   * @throws {JobNotFoundError} `jobNotFound`
   */
  async wait(options: WaitOptions = {}): Promise<ExitStatus> {
    const watch = () => this.#sandbox.watchChanges();
    const look = async () => {
      const record = await this.#find();
      return isOpen(record) ? undefined : record;
    };
    const { exit, failure } = await waitFor(
      watch,
      `waiting for the job ${this.#label} to end`,
      look,
      options,
    );
    if (exit !== undefined) return statusOf(exit);
    if (failure !== undefined) throw new ExecFailedError(this.command[0] ?? "", "other", 0, failure);
    throw new JobLostError(this.#sandbox.name, this.id, this.#label);
  }

  /**
   * What the job writes: what is in the log already, from its start or after `fromCursor`, and with `follow` what is still to
   * come. No entry is left out, and none comes twice. Ends when all that the job wrote itself is read; what it leaves running
   * in the background does not count.
   *
   * @throws {MissedRotationError} `missedRotation`, if entries are gone: its `cursor` is where the rest begins.
   * @throws {InvalidCursorError} `invalidCursor`
   * @throws {InvalidConfigError} `invalidConfig`, naming the options that are wrong.
   *
   * @example
   * ```ts
   * const job = await sandbox.startJob("sh", ["-c", "for i in 1 2 3; do echo $i; done"]);
   * let cursor: string | undefined;
   * for await (const entry of await job.output({ follow: true })) {
   *   console.log(entry.source, entry.text());
   *   cursor = entry.cursor; // keep it, and go on from here later: job.output({ fromCursor: cursor })
   * }
   * ```
   */
  async output(options: JobOutputOptions = {}): Promise<LogStream> {
    const { logStart } = this.#record;
    const start = logStart && execLogCursor(this.#sandbox.id, logStart);
    const { sessionId } = this;
    return await this.#sandbox.openLogStream({
      ...options,
      fromCursor: options.fromCursor ?? start,
      sessionId,
    });
  }

  /**
   * Standard input as a stream with back-pressure: of a job that was started with `stdin: "pipe"`, or on a terminal. It is
   * opened by the first chunk, and by whichever process; who had it before gets a `JobAttachedElsewhereError`. Closing the
   * stream ends the input (on a terminal it sends ^D); aborting it leaves the input open for others.
   *
   * Errors with `JobEndedError` (`jobEnded`) if the job has ended, and with `IoError` (`io`, errno `EPIPE`) if it reads no more
   * or was started without a pipe.
   */
  get stdin(): WritableStream<Uint8Array> {
    this.#stdin ??= jobInput(() => this.adopt(), this.#label);
    return this.#stdin;
  }

  /** Sends a signal, by its name or number, to the job's whole process group. Does nothing once it has ended. */
  async signal(signal: SignalName | number): Promise<void> {
    const number = signalNumber(signal);
    if (!isOpen(await this.#settled())) return;
    const client = await this.#sandbox.connect();
    await client.jobs.signal(this.id, number);
  }

  /** Kills the job's whole process group. Does nothing once it has ended. */
  async kill(): Promise<void> {
    await this.signal(GUEST_SIGNALS.SIGKILL);
  }

  /**
   * Connects the terminal of this process, or one that is given, to a job that runs on a terminal of its own, and has it draw
   * itself. Resolves with its exit code, or with `DETACHED` once the detach keys were typed.
   *
   * @throws {TerminalError} `terminal`, if there is no terminal here, it fails, or the job has none.
   * @throws {JobEndedError} `jobEnded`, if it has ended.
   * @throws {JobAttachedElsewhereError} `jobAttachedElsewhere`, once another client has attached to it.
   * @throws {AbortedError} `aborted`, if `signal` fires; the job runs on.
   * @throws {AgentDisconnectedError} `agentDisconnected`, if the sandbox ends first.
   */
  async attach(options: JobAttachOptions = {}): Promise<number> {
    const view = resolveView(options);
    if (!this.tty) {
      throw new TerminalError(`The job ${this.#label} does not run on a terminal`, {
        hint: "read its output() and write to its stdin, or start it with `tty: true`",
      });
    }
    return await attachAdopted(await this.adopt(), this.#label, view);
  }

  /** What `JSON.stringify` shows. */
  toJSON(): Record<string, unknown> {
    const { id, name, status, command, tty, pid, startedAt, endedAt, exit, failure, sessionId } = this;
    return { id, name, status, command, tty, pid, startedAt, endedAt, exit, failure, sessionId };
  }

  /**
   * Takes the running job over: its input, and what it writes from now on.
   *
   * @internal
   */
  async adopt(): Promise<ExecSession> {
    if (!isOpen(await this.#settled())) throw new JobEndedError(this.#called);
    const client = await this.#sandbox.connect();
    const { id: job, sessionId: logSessionId, tty: isTty } = this;
    const session = client.jobs.adopt({ job, logSessionId, command: this.#called, isTty });
    await session.holding(session.started);
    return session;
  }

  /** Its record, once it is known whether its program was started. */
  async #settled(): Promise<JobRecord> {
    const look = async () => {
      const record = await this.#find();
      return record.status === "starting" ? undefined : record;
    };
    const action = `waiting for the job ${this.#label} to start`;
    return await waitFor(() => this.#sandbox.watchChanges(), action, look, { timeoutMs: START_TIMEOUT_MS });
  }

  async #find(): Promise<JobRecord> {
    const record = await this.#sandbox.findJob(this.id);
    if (record === undefined) throw new JobNotFoundError(this.#sandbox.name, this.id);
    return record;
  }

  /** For people. */
  get #label(): string {
    return JSON.stringify(this.#called);
  }

  get #called(): string {
    return this.name ?? this.id;
  }
}

/** How long a call waits for a job that another process is just starting. */
const START_TIMEOUT_MS = 30_000;

function isOpen({ status }: JobRecord): boolean {
  return isOpenJob(status);
}

/** The jobs of a sandbox, oldest first. */
export async function listJobs(sandbox: BackendSandbox): Promise<Job[]> {
  return (await sandbox.listJobs()).map((record) => new Job(sandbox, record));
}

/** The job of that id or name. @throws {JobNotFoundError} */
export async function findJob(sandbox: BackendSandbox, idOrName: string): Promise<Job> {
  const record = await sandbox.findJob(idOrName);
  if (record === undefined) throw new JobNotFoundError(sandbox.name, idOrName);
  return new Job(sandbox, record);
}
