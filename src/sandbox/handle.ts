/**
 * A sandbox in any status, known by its identity.
 *
 * @module
 */
import type { LogEntry, LogReadOptions, LogSnapshot, LogStream, LogStreamOptions } from "../logs/mod.ts";
import type { SandboxRecord } from "../registry/registry.ts";
import type { SandboxStatus } from "../registry/status.ts";
import { type SandboxCore, STOP_GRACE_MS } from "./core.ts";
import { type BootCallOptions, startSandbox } from "./create.ts";
import { readCoreLogs, streamCoreLogs } from "./logs.ts";
import { parseStoredConfig, type SandboxConfig } from "./options.ts";
import { Sandbox } from "./sandbox.ts";

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

  /** Boots the sandbox; it ends with this process. @throws {SandboxStillRunningError} */
  async start(call: BootCallOptions = {}): Promise<Sandbox> {
    await this.#core.record(); // the name may be another's by now
    return Sandbox.fromBoot(await startSandbox(this.name, { ...call, detached: false }));
  }

  /** Boots the sandbox; it outlives this process. */
  async startDetached(call: BootCallOptions = {}): Promise<Sandbox> {
    await this.#core.record();
    return Sandbox.fromBoot(await startSandbox(this.name, { ...call, detached: true }));
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

  /** Deletes the sandbox, its disk and logs included. @throws {SandboxStillRunningError} */
  async remove(): Promise<void> {
    await this.#core.remove();
  }
}
