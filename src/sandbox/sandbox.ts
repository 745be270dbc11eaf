/**
 * A sandbox that runs: programs, logs, and its end.
 *
 * @module
 */
import type { LogEntry, LogReadOptions, LogSnapshot, LogStream, LogStreamOptions } from "../logs/mod.ts";
import type { SandboxStatus } from "../registry/status.ts";
import { SandboxBuilder } from "./builder.ts";
import type { SandboxCore } from "./core.ts";
import { SandboxCore as Core, STOP_GRACE_MS } from "./core.ts";
import { type BootCallOptions, type BootedSandbox, createSandbox, startSandbox } from "./create.ts";
import { type SandboxEvent, type SandboxEventOptions, sandboxEvents } from "./events.ts";
import { ExecHandle, type ExecOutput } from "./exec.ts";
import { defaultCommand, type ExecOptions, ExecOptionsBuilder, resolveExec } from "./exec_options.ts";
import { fetchPort, type SandboxFetchInit } from "./fetch.ts";
import { SandboxHandle } from "./handle.ts";
import {
  connectOrCreate,
  type DestroyOptions,
  destroy,
  HEALTH_TIMEOUT_MS,
  type Obtained,
  type RestartOptions,
  requestDrain,
  restart,
  type SandboxPingResult,
  type SandboxStopResult,
  type SandboxTouchResult,
  setTimeLimits,
  type TimeLimitChanges,
  type WaitOptions,
  waitForStatus,
  waitUntilStopped,
} from "./lifecycle.ts";
import { SandboxListBuilder, SandboxListing, type SandboxListOptions } from "./list.ts";
import { readCoreLogs, streamCoreLogs } from "./logs.ts";
import { SandboxNetwork } from "./network.ts";
import { type ConnectPortOptions, connectPort, type SandboxConnection } from "./network_connection.ts";
import { checkSandboxName, parseStoredConfig, type SandboxConfig, type SandboxOptions } from "./options.ts";
import { setPaused } from "./pause.ts";
import { Snapshot, type SnapshotCreateOptions } from "./snapshot.ts";

export type { SandboxPingResult, SandboxTouchResult } from "./lifecycle.ts";

type Configure = (builder: ExecOptionsBuilder) => ExecOptionsBuilder;

/**
 * A running sandbox: one microVM.
 *
 * It ends with this process, in order, unless it is detached. With `await using` it stops when it leaves its scope.
 *
 * @example
 * ```ts
 * import { Sandbox } from "microsandbox";
 *
 * await using sandbox = await Sandbox.builder("hello").image("./rootfs").memory(256).replace().create();
 * const output = await sandbox.exec("uname", ["-a"]);
 * console.log(output.code, output.stdout());
 * ```
 */
export class Sandbox implements AsyncDisposable {
  readonly name: string;
  /** Stands for this creation: a sandbox that replaces it under the same name has another. */
  readonly id: string;
  /** Its published ports. */
  readonly network: SandboxNetwork;
  readonly #core: SandboxCore;
  readonly #config: SandboxConfig;
  #release: (() => void) | undefined;

  /** Use `Sandbox.create()`, `Sandbox.start()` or `SandboxHandle.connect()`. */
  private constructor(core: SandboxCore, config: SandboxConfig, release: (() => void) | undefined) {
    this.#core = core;
    this.#config = config;
    this.#release = release;
    this.name = core.name;
    this.id = core.id;
    this.network = new SandboxNetwork(core);
  }

  /** Collects options; ends with `create()`. */
  static builder(name: string): SandboxBuilder {
    return new SandboxBuilder(name, {
      create: (options, call) => Sandbox.create(options, call),
      connectOrCreate: (options, call) => Sandbox.connectOrCreate(options, call),
    });
  }

  /**
   * Boots a new sandbox; resolves when its agent answers. If it fails, or `signal` fires, nothing of it is left.
   *
   * @throws {InvalidConfigError} naming every option that is wrong.
   * @throws {SandboxAlreadyExistsError} if the name is taken and `replace` is not set.
   * @throws {ImageNotFoundError} if there is no such image.
   * @throws {EngineUnavailableError} if this machine cannot run VMs.
   * @throws {BootStartError} if the VM does not come up; with the end of its console.
   */
  static async create(options: SandboxOptions, call: BootCallOptions = {}): Promise<Sandbox> {
    return Sandbox.fromBoot(await createSandbox(options, call));
  }

  /**
   * Connects to the sandbox of that name, starts it if it does not run, or creates it if there is none. Of one that
   * exists, all options but `detached` are as it was created. Any number of processes may do this at once: they end up
   * with the same sandbox.
   *
   * @throws {InvalidConfigError} if `replace` is set, which would be the opposite.
   */
  static async connectOrCreate(options: SandboxOptions, call: BootCallOptions = {}): Promise<Sandbox> {
    return Sandbox.#fromObtained(await connectOrCreate(options, call));
  }

  /**
   * Boots a sandbox that is stopped or has crashed; its disk is as it was left.
   *
   * @throws {SandboxNotFoundError}
   * @throws {SandboxStillRunningError} if it does run.
   * @throws {BootStartError}
   */
  static async start(name: string, call: BootCallOptions = {}): Promise<Sandbox> {
    return Sandbox.fromBoot(await startSandbox(name, { ...call, detached: false }));
  }

  /** Like {@linkcode start}; the sandbox outlives this process. */
  static async startDetached(name: string, call: BootCallOptions = {}): Promise<Sandbox> {
    return Sandbox.fromBoot(await startSandbox(name, { ...call, detached: true }));
  }

  /** A handle of a sandbox in any status. @throws {SandboxNotFoundError} */
  static async get(name: string): Promise<SandboxHandle> {
    checkSandboxName(name);
    const { core, record } = await Core.get(name);
    return new SandboxHandle(core, record);
  }

  /** The sandboxes of this home in order of creation: `await` gives one page, `for await` all of them. */
  static list(options: SandboxListOptions = {}): SandboxListing {
    return new SandboxListing(options);
  }

  /** {@linkcode list} with a builder of options. */
  static listWith(configure: (list: SandboxListBuilder) => SandboxListBuilder): SandboxListing {
    return Sandbox.list(configure(new SandboxListBuilder()).build());
  }

  /** What happens to the sandboxes of this home, whichever process does it: see `sandboxEvents()`. */
  static events(options: SandboxEventOptions = {}): ReadableStream<SandboxEvent> {
    return sandboxEvents(options);
  }

  /**
   * Deletes a sandbox that does not run, its disk and logs included.
   *
   * @throws {SandboxNotFoundError}
   * @throws {SandboxStillRunningError}
   */
  static async remove(name: string): Promise<void> {
    await (await Sandbox.get(name)).remove();
  }

  /** @internal */
  static fromBoot({ core, config, vm, detached }: BootedSandbox): Sandbox {
    if (detached) vm.detach();
    return new Sandbox(core, config, detached ? undefined : vm.detach);
  }

  static #fromObtained(obtained: Obtained): Promise<Sandbox> | Sandbox {
    return obtained.kind === "booted" ? Sandbox.fromBoot(obtained.booted) : Sandbox.connect(obtained.core);
  }

  /** @internal */
  static async connect(core: SandboxCore, timeoutMs?: number): Promise<Sandbox> {
    await core.connect({ timeoutMs });
    return new Sandbox(core, parseStoredConfig((await core.record()).configJson), undefined);
  }

  /** Whether the sandbox ends with this process. */
  get ownsLifecycle(): boolean {
    return this.#release !== undefined;
  }

  /** What the sandbox was created with. */
  config(): SandboxConfig {
    return this.#config;
  }

  /**
   * Runs a program and collects what it writes. An exit code other than 0 is a result, not an error.
   *
   * @throws {ExecFailedError} if it cannot be started; `kind` says why.
   * @throws {ExecTimeoutError} after `timeoutMs`.
   * @throws {ExecOutputLimitError} beyond `outputBytesMax`.
   * @throws {AbortedError} if `signal` fired; the process group is killed.
   * @throws {SandboxNotRunningError}
   */
  async exec(command: string, args: Iterable<string> = [], options: ExecOptions = {}): Promise<ExecOutput> {
    const request = resolveExec(this.#config, command, args, options, "null");
    const client = await this.#core.connect();
    return await (await ExecHandle.start(client, request)).collect();
  }

  /** {@linkcode exec} with a builder of options. */
  async execWith(command: string, configure: Configure): Promise<ExecOutput> {
    const { args, options } = configure(new ExecOptionsBuilder()).build();
    return await this.exec(command, args, options);
  }

  /** Runs a program and hands out its events and streams as they come. */
  async execStream(
    command: string,
    args: Iterable<string> = [],
    options: ExecOptions = {},
  ): Promise<ExecHandle> {
    const request = resolveExec(this.#config, command, args, options, "pipe");
    return await ExecHandle.start(await this.#core.connect(), request);
  }

  /** {@linkcode execStream} with a builder of options. */
  async execStreamWith(command: string, configure: Configure): Promise<ExecHandle> {
    const { args, options } = configure(new ExecOptionsBuilder()).build();
    return await this.execStream(command, args, options);
  }

  /** Runs the image's ENTRYPOINT and CMD. @throws {NoDefaultCommandError} if it has neither. */
  async execDefault(options: ExecOptions = {}): Promise<ExecOutput> {
    const [command, ...args] = defaultCommand(this.#config);
    return await this.exec(command, args, options);
  }

  /** {@linkcode execDefault} as a stream. */
  async execDefaultStream(options: ExecOptions = {}): Promise<ExecHandle> {
    const [command, ...args] = defaultCommand(this.#config);
    return await this.execStream(command, args, options);
  }

  /** Runs a script with the sandbox's shell. */
  shell(script: string, options: ExecOptions = {}): Promise<ExecOutput> {
    return this.exec(this.#config.shell, ["-c", script], options);
  }

  /** {@linkcode shell} as a stream. */
  shellStream(script: string, options: ExecOptions = {}): Promise<ExecHandle> {
    return this.execStream(this.#config.shell, ["-c", script], options);
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
   * Sends an HTTP request to a server in the sandbox: on its loopback interface, with no port published and no network. A
   * URL without a host is one of the server's; one with a host is told to it. Redirects are handed out, not followed, and
   * bodies are as they were sent, not decompressed. Both bodies stream.
   *
   * @throws {ConnectFailedError} if nobody listens at `port`, or the connection breaks; of a body, when it is read.
   * @throws {AbortedError} if the request's signal fires, also while the body is read.
   * @throws {TypeError} as the standard `fetch` does for what is no request.
   *
   * @example
   * ```ts
   * await sandbox.execStream("httpd", ["-f", "-p", "127.0.0.1:8080"]);
   * const response = await sandbox.fetch(8080, "/index.html");
   * console.log(response.status, await response.text());
   * ```
   */
  async fetch(port: number, input: Request | URL | string, init: SandboxFetchInit = {}): Promise<Response> {
    return await fetchPort(await this.#core.connect(), port, input, init);
  }

  /** Connects to a TCP server in the sandbox, as {@linkcode fetch} does. @throws {ConnectFailedError} */
  async connect(port: number, options: ConnectPortOptions = {}): Promise<SandboxConnection> {
    return await connectPort(await this.#core.connect(), port, options);
  }

  /** Whether the guest's agent answers, and how soon. Does not count as activity. */
  async ping(): Promise<SandboxPingResult> {
    const latencyMs = await (await this.#core.connect()).ping();
    return { name: this.name, latencyMs };
  }

  /** Counts as activity: the idle time begins anew. */
  async touch(): Promise<SandboxTouchResult> {
    return { name: this.name, activitySeq: await (await this.#core.connect()).touch() };
  }

  /** Stops all programs where they are, until {@linkcode resume}: see `SandboxHandle.pause()`. */
  async pause(): Promise<void> {
    await setPaused(this.#core, true);
  }

  /** Lets programs go on after {@linkcode pause}, with the right time on their clock. */
  async resume(): Promise<void> {
    await setPaused(this.#core, false);
  }

  /** Takes a snapshot of the disk; writes wait meanwhile: see `Snapshot.create()`. */
  snapshot(name: string, options: Omit<SnapshotCreateOptions, "name" | "from"> = {}): Promise<Snapshot> {
    return Snapshot.create({ ...options, name, from: this });
  }

  /**
   * Ends the sandbox in order: programs get SIGTERM and 10 s, everything written is flushed, then the VM ends. A later
   * {@linkcode start} finds the disk as it was.
   */
  async stop(): Promise<void> {
    await this.#core.stop(STOP_GRACE_MS);
  }

  /** {@linkcode stop}, with the final status of the sandbox. */
  async stopAndWait(): Promise<SandboxHandle> {
    await this.stop();
    return new SandboxHandle(this.#core, await this.#core.record());
  }

  /** {@linkcode stop} with another grace in milliseconds; 0 kills at once. */
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

  /** Waits until this very sandbox has that status: see `SandboxHandle.waitForStatus()`. */
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

  /** Sets time limits of this boot, counted from now on: see `SandboxHandle.setTimeLimits()`. */
  async setTimeLimits(limits: TimeLimitChanges): Promise<void> {
    await setTimeLimits(this.#core, limits);
  }

  /** Whether the guest's agent gives a sign of life in time; kills a sandbox that hangs: see `SandboxHandle.checkHealth()`. */
  checkHealth(timeoutMs = HEALTH_TIMEOUT_MS): Promise<boolean> {
    return this.#core.checkHealth(timeoutMs);
  }

  /** Lets the sandbox outlive this process. */
  async detach(): Promise<void> {
    this.#release?.();
    this.#release = undefined;
  }

  /** Stops the sandbox, if it ends with this process anyway. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.ownsLifecycle) await this.stop();
  }
}
