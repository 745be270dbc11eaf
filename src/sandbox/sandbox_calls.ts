/**
 * The calls that `Sandbox` and `SandboxHandle` have in common.
 *
 * @module
 */

import { type BackendSandbox, STOP_GRACE_MS } from "../backend/backend.ts";
import type { LogEntry, LogReadOptions, LogSnapshot, LogStream, LogStreamOptions } from "../logs/mod.ts";
import type { SandboxConfig } from "../options/sandbox_options.ts";
import { checkEndOptions } from "./call_options.ts";

import { type SandboxFsOps, sandboxFs } from "./files/fs_ops.ts";

import { findJob, type Job, listJobs } from "./jobs/job.ts";

import {
  type DestroyOptions,
  destroy,
  HEALTH_TIMEOUT_MS,
  requestDrain,
  type SandboxPingResult,
  type SandboxStopResult,
  type SandboxTouchResult,
  setTimeLimits,
  type TimeLimitChanges,
  type WaitOptions,
  waitUntilStopped,
} from "./lifecycle.ts";
import { measureOnce, type SandboxMetrics } from "./metrics/metrics.ts";
import {
  type MetricsStream,
  type MetricsStreamOptions,
  openMetricsStream,
} from "./metrics/metrics_stream.ts";
import { listProcesses, type SandboxProcessList } from "./metrics/processes.ts";
import { SandboxNetwork } from "./network/published_ports.ts";
import { setPaused } from "./pause.ts";
import { Snapshot, type SnapshotCreateOptions } from "./snapshot.ts";

/** Calls act on this sandbox only: once another has its name, they reject with `SandboxReplacedError`. */
export abstract class SandboxCalls {
  readonly name: string;
  /** Stands for this creation: a sandbox that replaces it under the same name has another. */
  readonly id: string;
  /** Its published ports, while it runs. */
  readonly network: SandboxNetwork;
  readonly #sandbox: BackendSandbox;

  protected constructor(sandbox: BackendSandbox) {
    this.#sandbox = sandbox;
    this.name = sandbox.name;
    this.id = sandbox.id;
    this.network = new SandboxNetwork(sandbox);
  }

  /** What the sandbox was created with. */
  abstract config(): SandboxConfig;

  /**
   * The sandbox's files, for as long as it runs: as its user, and relative paths from its working directory on, as with
   * `exec()`. Calls reject with `SandboxNotRunningError` while it does not run.
   */
  fs(): SandboxFsOps {
    return sandboxFs(this.#sandbox, this.config());
  }

  /** What programs wrote, in the order of time: see `readLogs()`. */
  async logs(options: LogReadOptions = {}): Promise<LogEntry[]> {
    return (await this.#sandbox.readLogs(options)).entries;
  }

  /** {@linkcode logs} with the cursor of the end: see `readLogsSnapshot()`. */
  logsSnapshot(options: LogReadOptions = {}): Promise<LogSnapshot> {
    return this.#sandbox.readLogs(options);
  }

  /** What programs write, as it comes: see `logStream()`. */
  logStream(options: LogStreamOptions = {}): Promise<LogStream> {
    return this.#sandbox.openLogStream(options);
  }

  /**
   * The programs that were started with `Sandbox.startJob()`, by whichever process, oldest first: those of earlier boots,
   * too. Of those that have ended the last 1,000 are kept, as long as the sandbox is.
   */
  jobs(): Promise<Job[]> {
    return listJobs(this.#sandbox);
  }

  /**
   * The job of that id; else the one that has that name and runs, or the last one that had it.
   *
   * @throws {JobNotFoundError} `jobNotFound`
   */
  job(idOrName: string): Promise<Job> {
    return findJob(this.#sandbox, idOrName);
  }

  /** Whether the guest's agent answers, and how soon. Does not count as activity, and starts nothing. */
  async ping(): Promise<SandboxPingResult> {
    const latencyMs = await (await this.#sandbox.connect()).ping();
    return { name: this.name, latencyMs };
  }

  /** Counts as activity: restarts the idle time. */
  async touch(): Promise<SandboxTouchResult> {
    return { name: this.name, activitySeq: await (await this.#sandbox.connect()).touch() };
  }

  /**
   * Whether the guest's agent gives a sign of life within `timeoutMs`. If the sandbox runs and gives none, it hangs: it is
   * killed, and is `crashed`. Nothing calls this by itself, as a guest may be busy for long and be well.
   *
   * @returns false, too, if the sandbox does not run.
   */
  checkHealth(timeoutMs: number = HEALTH_TIMEOUT_MS): Promise<boolean> {
    return this.#sandbox.checkHealth(timeoutMs);
  }

  /**
   * Measures what the sandbox uses; takes 100 ms, for which it looks at the processors. Does not count as activity, and works
   * while the sandbox is paused.
   *
   * @throws {SandboxNotRunningError}
   * @throws {MetricsUnavailableError} if the guest does not answer.
   *
   * @example
   * ```ts
   * const { cpuPercent, memoryBytes, memoryLimitBytes } = await sandbox.metrics();
   * console.log(`${cpuPercent.toFixed(1)} %, ${memoryBytes} of ${memoryLimitBytes} bytes`);
   * ```
   */
  metrics(): Promise<SandboxMetrics> {
    return measureOnce(this.#sandbox);
  }

  /**
   * Measures again each time that the stream is read, at most once in `intervalMs` (100 or more). Does not count as
   * activity.
   *
   * @throws {InvalidConfigError} if the interval is too short or too long.
   */
  metricsStream(intervalMs = 1000, options: MetricsStreamOptions = {}): MetricsStream {
    return openMetricsStream(this.#sandbox, intervalMs, options);
  }

  /**
   * Lists the programs that run in the guest, whatever the image has of tools. Does not count as activity, and works while
   * the sandbox is paused.
   *
   * @throws {SandboxNotRunningError}
   * @throws {MetricsUnavailableError} if the guest does not answer.
   *
   * @example
   * ```ts
   * await sandbox.shell("sleep 1000 > /dev/null 2>&1 &");
   * for (const { pid, user, command } of (await sandbox.processes()).processes) console.log(pid, user, command);
   * ```
   */
  processes(): Promise<SandboxProcessList> {
    return listProcesses(this.#sandbox);
  }

  /**
   * Stops all programs where they are, until {@linkcode resume}: they use no processor time and keep their memory, files
   * and connections. While it is paused, new programs are refused (`ExecFailedError` of kind `paused`).
   *
   * @throws {SandboxNotRunningError}
   * @throws {TimeoutError} if a program could not be stopped; all go on then.
   */
  async pause(): Promise<void> {
    await setPaused(this.#sandbox, true);
  }

  /** Lets programs go on after {@linkcode pause}, with the right time on their clock. */
  async resume(): Promise<void> {
    await setPaused(this.#sandbox, false);
  }

  /**
   * Takes a snapshot of the disk, whether the sandbox runs or not; its writes wait until the copy is done: see
   * `Snapshot.create()`.
   */
  snapshot(name: string, options: Omit<SnapshotCreateOptions, "name" | "from"> = {}): Promise<Snapshot> {
    return Snapshot.take(this.#sandbox, { ...options, name });
  }

  /**
   * Stops the sandbox gracefully: sends SIGTERM, gives programs 10 s to exit, flushes everything to disk, and shuts the VM
   * down. A later start finds the disk as it was. Does nothing if the sandbox is not running.
   */
  async stop(): Promise<void> {
    await this.#sandbox.stop(STOP_GRACE_MS);
  }

  /** {@linkcode stop} with another grace in milliseconds; 0 kills at once. */
  async stopWithTimeout(timeoutMs: number): Promise<void> {
    await this.#sandbox.stop(timeoutMs);
  }

  /** Asks for the end that {@linkcode stop} brings, and does not wait for it. */
  async requestStop(): Promise<void> {
    await this.#sandbox.requestStop(STOP_GRACE_MS);
  }

  /** Ends the VM at once, as a power cut would; within a second or so also if its VM host process hangs. */
  async kill(): Promise<void> {
    await this.#sandbox.kill();
  }

  /** {@linkcode kill} that rejects with `TimeoutError` if the VM is not gone in time. */
  async killWithTimeout(timeoutMs: number): Promise<void> {
    await this.#sandbox.kill(timeoutMs);
  }

  /** Asks for the end that {@linkcode kill} brings, and does not wait for it. */
  async requestKill(): Promise<void> {
    await this.#sandbox.requestStop(0);
  }

  /**
   * From now on new programs are refused (`ExecFailedError` of kind `shuttingDown`); once none runs any more the sandbox
   * stops gracefully. Resolves when that is in force, not when it has stopped: see {@linkcode waitUntilStopped}.
   */
  async requestDrain(): Promise<void> {
    await requestDrain(this.#sandbox);
  }

  /** Resolves with how the sandbox ended, once it has; at once if it is not running. */
  waitUntilStopped(options?: WaitOptions): Promise<SandboxStopResult> {
    return waitUntilStopped(this.#sandbox, options);
  }

  /** Stops the sandbox, if it runs, and removes it with its disk and logs. */
  async destroy(options: DestroyOptions = {}): Promise<void> {
    checkEndOptions(options);
    await destroy(this.#sandbox, options);
  }

  /**
   * Sets time limits of the running sandbox, counted from now on; `null` lifts one, what is left out stays. The next boot
   * has those that the sandbox was created with.
   */
  async setTimeLimits(limits: TimeLimitChanges): Promise<void> {
    await setTimeLimits(this.#sandbox, limits);
  }
}
