/**
 * A sandbox in any status, known by its identity.
 *
 * @module
 */

import type { BackendSandbox, SandboxRecord, SandboxStatus, StartCallOptions } from "../backend/backend.ts";
import { checkTimeout, parseStoredConfig, type SandboxConfig } from "../options/sandbox_options.ts";
import { checkConnectOptions, checkRestartOptions, checkStartOptions } from "./call_options.ts";
import {
  type ConnectOrStartOptions,
  connectOrStart,
  type RestartOptions,
  restart,
  type WaitableStatus,
  type WaitOptions,
  waitForStatus,
} from "./lifecycle.ts";
import { Sandbox } from "./sandbox.ts";
import { SandboxCalls } from "./sandbox_calls.ts";

/**
 * What is known of a sandbox, and what can be done with it whether it runs or not. The fields are those of the moment
 * when the handle was made; {@linkcode refresh} gives a new one.
 *
 * @example
 * ```ts with hello
 * const handle = await Sandbox.get("hello");
 * if (handle.status === "running") await handle.stop();
 * const sandbox = await handle.start();
 * ```
 */
export class SandboxHandle extends SandboxCalls {
  /** Its status at the time of this handle; {@linkcode refresh} reads it again. */
  readonly status: SandboxStatus;
  /** Why it is in that status, where there is more to say: the last words of a crash, for example. */
  readonly statusReason: string | undefined;
  /** Its labels, those of its image included. */
  readonly labels: Readonly<Record<string, string>>;
  /** When the sandbox was created. */
  readonly createdAt: Date;
  /** When its status changed last. */
  readonly updatedAt: Date;
  /** What it was created with, as JSON. */
  readonly configJson: string;
  readonly #sandbox: BackendSandbox;

  /** Use `Sandbox.get()` or `Sandbox.list()`. */
  constructor(sandbox: BackendSandbox, record: SandboxRecord) {
    super(sandbox);
    this.#sandbox = sandbox;
    this.status = record.status;
    this.statusReason = record.statusReason;
    this.labels = record.labels;
    this.createdAt = record.createdAt;
    this.updatedAt = record.updatedAt;
    this.configJson = record.configJson;
  }

  /** Parses the options that the sandbox was created with. @throws {DatabaseError} `database`, if the record is damaged. */
  override config(): SandboxConfig {
    return parseStoredConfig(this.configJson);
  }

  /**
   * The handle as of now.
   *
   * @throws {SandboxReplacedError} if another sandbox has the name.
   * @throws {SandboxNotFoundError} if it was removed.
   */
  async refresh(): Promise<SandboxHandle> {
    return new SandboxHandle(this.#sandbox, await this.#sandbox.record());
  }

  /** Connects to the running sandbox, without taking over when it ends. @throws {SandboxNotRunningError} */
  connect(): Promise<Sandbox> {
    return Sandbox.connect(this.#sandbox);
  }

  /** {@linkcode connect} that waits for at most `timeoutMs` for an answer. @throws {InvalidConfigError} */
  async connectWithTimeout(timeoutMs: number): Promise<Sandbox> {
    checkTimeout(timeoutMs);
    return await Sandbox.connect(this.#sandbox, timeoutMs);
  }

  /**
   * Connects if the sandbox runs, waits while it is starting or stopping, and starts it if it does not run. Others may
   * do the same at the same time.
   */
  async connectOrStart(options: ConnectOrStartOptions = {}): Promise<Sandbox> {
    checkConnectOptions(options);
    const obtained = await connectOrStart(this.#sandbox, options);
    return obtained.kind === "booted" ? Sandbox.fromBoot(obtained.boot) : Sandbox.connect(this.#sandbox);
  }

  /** Boots the sandbox; it ends with this process. @throws {SandboxStillRunningError} */
  async start(call: StartCallOptions = {}): Promise<Sandbox> {
    checkStartOptions(call);
    return Sandbox.fromBoot(await this.#sandbox.start({ ...call, detached: false }));
  }

  /** Boots the sandbox; it outlives this process. */
  async startDetached(call: StartCallOptions = {}): Promise<Sandbox> {
    checkStartOptions(call);
    return Sandbox.fromBoot(await this.#sandbox.start({ ...call, detached: true }));
  }

  /**
   * Waits until the sandbox has that status. A status that lasts only briefly may be missed. The official SDK's `created`
   * and `starting` are over at once here: a wait for `created` ends if the sandbox exists, a wait for `starting` once a
   * boot has begun.
   *
   * @throws {InvalidConfigError} if the status is unknown.
   * @throws {SandboxReplacedError} if another sandbox has the name.
   * @throws {SandboxNotFoundError} if it was removed.
   * @throws {TimeoutError} after `timeoutMs`; without, it waits for as long as it takes.
   */
  async waitForStatus(status: WaitableStatus, options?: WaitOptions): Promise<SandboxHandle> {
    return new SandboxHandle(this.#sandbox, await waitForStatus(this.#sandbox, [status], options));
  }

  /** Stops the sandbox, if it runs, and boots it again; its disk is as it was left. */
  async restart(options: RestartOptions = {}): Promise<Sandbox> {
    checkRestartOptions(options);
    return Sandbox.fromBoot(await restart(this.#sandbox, options));
  }

  /** Deletes the sandbox, its disk and logs included. @throws {SandboxStillRunningError} */
  async remove(): Promise<void> {
    await this.#sandbox.remove();
  }
}
