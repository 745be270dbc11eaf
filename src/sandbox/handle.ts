/**
 * A sandbox in any status, known by its identity.
 *
 * @module
 */
import type { LogEntry, LogReadOptions, LogSnapshot, LogStream, LogStreamOptions } from "../logs/mod.ts";
import type { SandboxRecord } from "../registry/registry.ts";
import type { SandboxStatus } from "../registry/status.ts";
import { type SandboxCore, STOP_GRACE_MS } from "./core.ts";
import { type BootCallOptions, startCore } from "./create.ts";
import {
  type ConnectOrStartOptions,
  connectOrStart,
  type DestroyOptions,
  destroy,
  HEALTH_TIMEOUT_MS,
  type RestartOptions,
  requestDrain,
  restart,
  type SandboxStopResult,
  setTimeLimits,
  type TimeLimitChanges,
  type WaitOptions,
  waitForStatus,
  waitUntilStopped,
} from "./lifecycle.ts";
import { readCoreLogs, streamCoreLogs } from "./logs.ts";
import { SandboxNetwork } from "./network.ts";
import { parseStoredConfig, type SandboxConfig } from "./options.ts";
import { setPaused } from "./pause.ts";
import { Sandbox, type SandboxPingResult, type SandboxTouchResult } from "./sandbox.ts";
import { Snapshot, type SnapshotCreateOptions } from "./snapshot.ts";

/**
 * What is known of a sandbox, and what can be done with it whether it runs or not. The fields are those of the moment
 * when the handle was made; {@linkcode refresh} gives a new one.
 *
 * @example
 * ```ts
 * const handle = await Sandbox.get("hello");
 * if (handle.status === "running") await handle.stop();
 * const sandbox = await handle.start();
 * ```
 */
export class SandboxHandle {
  readonly name: string;
  readonly id: string;
  readonly status: SandboxStatus;
  /** Why it is in that status, where there is more to say: the last words of a crash, for example. */
  readonly statusReason: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** What it was created with, as JSON. */
  readonly configJson: string;
  /** Its published ports, while it runs. */
  readonly network: SandboxNetwork;
  readonly #core: SandboxCore;

  /** Use `Sandbox.get()` or `Sandbox.list()`. */
  constructor(core: SandboxCore, record: SandboxRecord) {
    this.#core = core;
    this.name = record.name;
    this.id = record.id;
    this.status = record.status;
    this.statusReason = record.statusReason;
    this.labels = record.labels;
    this.createdAt = record.createdAt;
    this.updatedAt = record.updatedAt;
    this.configJson = record.configJson;
    this.network = new SandboxNetwork(core);
  }

  config(): SandboxConfig {
    return parseStoredConfig(this.configJson);
  }

  /**
   * The handle as of now.
   *
   * @throws {SandboxReplacedError} if another sandbox has the name.
   * @throws {SandboxNotFoundError} if it was removed.
   */
  async refresh(): Promise<SandboxHandle> {
    return new SandboxHandle(this.#core, await this.#core.record());
  }

  /** Connects to the running sandbox, without taking over when it ends. @throws {SandboxNotRunningError} */
  connect(): Promise<Sandbox> {
    return Sandbox.connect(this.#core);
  }

  /** {@linkcode connect} that waits for at most `timeoutMs` for an answer. */
  connectWithTimeout(timeoutMs: number): Promise<Sandbox> {
    return Sandbox.connect(this.#core, timeoutMs);
  }

  /**
   * Connects if the sandbox runs, waits while it is starting or stopping, and starts it if it does not run. Others may
   * do the same at the same time.
   */
  async connectOrStart(options: ConnectOrStartOptions = {}): Promise<Sandbox> {
    const obtained = await connectOrStart(this.#core, options);
    return obtained.kind === "booted" ? Sandbox.fromBoot(obtained.booted) : Sandbox.connect(this.#core);
  }

  /** Boots the sandbox; it ends with this process. @throws {SandboxStillRunningError} */
  async start(call: BootCallOptions = {}): Promise<Sandbox> {
    return Sandbox.fromBoot(await startCore(this.#core, { ...call, detached: false }));
  }

  /** Boots the sandbox; it outlives this process. */
  async startDetached(call: BootCallOptions = {}): Promise<Sandbox> {
    return Sandbox.fromBoot(await startCore(this.#core, { ...call, detached: true }));
  }

  /** What programs wrote, in the order of time: see `readLogs()`. */
  async logs(options: LogReadOptions = {}): Promise<LogEntry[]> {
    return (await readCoreLogs(this.#core, options)).entries;
  }

  /** {@linkcode logs} with the cursor of the end: see `readLogsSnapshot()`. */
  logsSnapshot(options: LogReadOptions = {}): Promise<LogSnapshot> {
    return readCoreLogs(this.#core, options);
  }

  /** What programs write, as it comes: see `logStream()`. */
  logStream(options: LogStreamOptions = {}): Promise<LogStream> {
    return streamCoreLogs(this.#core, options);
  }

  /**
   * Stops all programs where they are, until {@linkcode resume}: they use no processor time and keep their memory, files
   * and connections. New programs are refused meanwhile (`ExecFailedError` of kind `paused`).
   *
   * @throws {SandboxNotRunningError}
   * @throws {TimeoutError} if a program could not be stopped; all go on then.
   */
  async pause(): Promise<void> {
    await setPaused(this.#core, true);
  }

  /** See `Sandbox.resume()`. */
  async resume(): Promise<void> {
    await setPaused(this.#core, false);
  }

  /** Takes a snapshot of the sandbox's disk, whether it runs or not: see `Snapshot.create()`. */
  snapshot(name: string, options: Omit<SnapshotCreateOptions, "name" | "from"> = {}): Promise<Snapshot> {
    return Snapshot.create({ ...options, name, from: this });
  }

  /** See `Sandbox.stop()`. A sandbox that does not run is left as it is. */
  async stop(): Promise<void> {
    await this.#core.stop(STOP_GRACE_MS);
  }

  async stopWithTimeout(timeoutMs: number): Promise<void> {
    await this.#core.stop(timeoutMs);
  }

  /** Ends the VM at once, as a power cut would. */
  async kill(): Promise<void> {
    await this.#core.kill();
  }

  /** Asks for the end that {@linkcode stop} brings, and does not wait for it. */
  async requestStop(): Promise<void> {
    await this.#core.requestStop(STOP_GRACE_MS);
  }

  /** Asks for the end that {@linkcode kill} brings, and does not wait for it. */
  async requestKill(): Promise<void> {
    await this.#core.requestStop(0);
  }

  /** {@linkcode kill} that rejects with `TimeoutError` if the VM is not gone in time. */
  async killWithTimeout(timeoutMs: number): Promise<void> {
    await this.#core.kill(timeoutMs);
  }

  /**
   * From now on new programs are refused (`ExecFailedError` of kind `shuttingDown`); once none runs any more the sandbox
   * stops in order. Resolves when that is in force, not when it has stopped: see {@linkcode waitUntilStopped}.
   */
  async requestDrain(): Promise<void> {
    await requestDrain(this.#core);
  }

  /**
   * Waits until this very sandbox has that status. A status that is over between two looks may be missed.
   *
   * @throws {SandboxReplacedError} if another sandbox has the name.
   * @throws {SandboxNotFoundError} if it was removed.
   * @throws {TimeoutError} after `timeoutMs`; without, it waits for as long as it takes.
   */
  async waitForStatus(status: SandboxStatus, options?: WaitOptions): Promise<SandboxHandle> {
    return new SandboxHandle(this.#core, await waitForStatus(this.#core, [status], options));
  }

  /** Resolves when this very sandbox has ended, with how it did; at once if it does not run. */
  waitUntilStopped(options?: WaitOptions): Promise<SandboxStopResult> {
    return waitUntilStopped(this.#core, options);
  }

  /** Stops this very sandbox, if it runs, and boots it again; its disk is as it was left. */
  async restart(options: RestartOptions = {}): Promise<Sandbox> {
    return Sandbox.fromBoot(await restart(this.#core, options));
  }

  /** Stops this very sandbox, if it runs, and removes it with its disk and logs. */
  async destroy(options: DestroyOptions = {}): Promise<void> {
    await destroy(this.#core, options);
  }

  /**
   * Sets time limits of the running sandbox, counted from now on; `null` lifts one, what is left out stays. The next boot
   * has those that the sandbox was created with.
   */
  async setTimeLimits(limits: TimeLimitChanges): Promise<void> {
    await setTimeLimits(this.#core, limits);
  }

  /**
   * Whether the guest's agent gives a sign of life within `timeoutMs`. If the sandbox runs and gives none, it hangs: it is
   * killed, and is `crashed`. Nothing calls this by itself, as a guest may be busy for long and be well.
   *
   * @returns false, too, if the sandbox does not run.
   */
  checkHealth(timeoutMs = HEALTH_TIMEOUT_MS): Promise<boolean> {
    return this.#core.checkHealth(timeoutMs);
  }

  /** Whether the guest's agent answers, and how soon. Does not count as activity, and starts nothing. */
  async ping(): Promise<SandboxPingResult> {
    return await (await this.connect()).ping();
  }

  /** Counts as activity: the idle time begins anew. */
  async touch(): Promise<SandboxTouchResult> {
    return await (await this.connect()).touch();
  }

  /** Deletes the sandbox, its disk and logs included. @throws {SandboxStillRunningError} */
  async remove(): Promise<void> {
    await this.#core.remove();
  }
}
