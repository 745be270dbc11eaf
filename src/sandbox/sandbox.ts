/**
 * A sandbox that runs: its creation, connections into it, and its end.
 *
 * @module
 */

import {
  type BackendSandbox,
  type Boot,
  type BootCallOptions,
  getSandbox,
  isGone,
  type StartCallOptions,
  type StartOptions,
} from "../backend/backend.ts";
import { defaultBackend } from "../backend/default_backend.ts";
import {
  checkSandboxName,
  parseStoredConfig,
  type SandboxConfig,
  type SandboxOptions,
} from "../options/sandbox_options.ts";
import { SandboxBuilder } from "./builder.ts";
import { checkCallOptions, checkRestartOptions, checkStartOptions } from "./call_options.ts";
import { type SandboxEvent, type SandboxEventOptions, sandboxEvents } from "./events.ts";
import { SandboxHandle } from "./handle.ts";
import {
  connectOrCreate,
  type Obtained,
  type RestartOptions,
  restart,
  type WaitableStatus,
  type WaitOptions,
  waitForStatus,
} from "./lifecycle.ts";
import { SandboxListBuilder, SandboxListing, type SandboxListOptions } from "./list.ts";
import { mountProviders, type SandboxCreateOptions, splitMounts } from "./mounts/create_mounts.ts";
import { SandboxMounts } from "./mounts/sandbox_mounts.ts";
import { type ConnectPortOptions, connectPort, type SandboxConnection } from "./network/connection.ts";
import { fetchPort, type SandboxFetchInit } from "./network/fetch.ts";
import { applyPatches } from "./patches/apply_patches.ts";
import { SandboxTerminals } from "./sandbox_terminals.ts";

export type { SandboxPingResult, SandboxTouchResult } from "./lifecycle.ts";

/**
 * A running sandbox: one microVM.
 *
 * It stops gracefully when this process ends, unless it is detached. With `await using` it stops when it leaves its scope.
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
export class Sandbox extends SandboxTerminals implements AsyncDisposable {
  /** What is mounted while it runs. */
  readonly mounts: SandboxMounts;
  readonly #sandbox: BackendSandbox;
  /** The boot that ends with this process; `undefined` if it is detached, or another process's. */
  #owned: Boot | undefined;

  /** Use `Sandbox.create()`, `Sandbox.start()` or `SandboxHandle.connect()`. */
  private constructor(sandbox: BackendSandbox, config: SandboxConfig, owned: Boot | undefined) {
    super(sandbox, config);
    this.mounts = new SandboxMounts(sandbox, config.user ?? config.imageConfig.user);
    this.#sandbox = sandbox;
    this.#owned = owned;
  }

  /** Collects options; ends with `create()`. */
  static builder(name?: string): SandboxBuilder {
    return new SandboxBuilder(name);
  }

  /**
   * Boots a new sandbox; resolves when its agent answers. If it fails, or `signal` fires, nothing of it is left.
   *
   * @throws {InvalidConfigError} naming every option that is wrong.
   * @throws {SandboxAlreadyExistsError} if the name is taken and `replace` is not set.
   * @throws {ImageNotFoundError} if there is no such image.
   * @throws {EngineUnavailableError} if this machine cannot run VMs.
   * @throws {BootStartError} if the VM does not come up; with the end of its console.
   * @throws {PatchFailedError} if one of `patches` cannot be applied.
   */
  static async create(options: SandboxCreateOptions, call: BootCallOptions = {}): Promise<Sandbox> {
    checkCallOptions(call);
    const { stored, providers } = splitMounts(options);
    const sandbox = Sandbox.fromBoot(await defaultBackend().create(stored, call, { applyPatches }));
    await mountProviders(sandbox, providers);
    return sandbox;
  }

  /**
   * Connects to the sandbox of that name, starts it if it does not run, or creates it if there is none. Of one that
   * exists, all options but `detached` are as it was created. Any number of processes may do this at once: they end up
   * with the same sandbox.
   *
   * @throws {InvalidConfigError} if `replace` is set, which would be the opposite.
   */
  static async connectOrCreate(options: SandboxOptions, call: BootCallOptions = {}): Promise<Sandbox> {
    checkCallOptions(call);
    return Sandbox.#fromObtained(await connectOrCreate(defaultBackend(), options, call));
  }

  /**
   * Boots a sandbox that is stopped or has crashed; its disk is as it was left.
   *
   * @throws {SandboxNotFoundError}
   * @throws {SandboxStillRunningError} if it does run.
   * @throws {BootStartError}
   */
  static async start(name: string, call: StartCallOptions = {}): Promise<Sandbox> {
    checkStartOptions(call);
    return await Sandbox.#start(name, { ...call, detached: false });
  }

  /** Like {@linkcode start}; the sandbox outlives this process. */
  static async startDetached(name: string, call: StartCallOptions = {}): Promise<Sandbox> {
    checkStartOptions(call);
    return await Sandbox.#start(name, { ...call, detached: true });
  }

  static async #start(name: string, options: StartOptions): Promise<Sandbox> {
    checkSandboxName(name);
    const { sandbox } = await getSandbox(defaultBackend(), name);
    return Sandbox.fromBoot(await sandbox.start(options));
  }

  /** A handle of a sandbox in any status. @throws {SandboxNotFoundError} */
  static async get(name: string): Promise<SandboxHandle> {
    checkSandboxName(name);
    const { sandbox, record } = await getSandbox(defaultBackend(), name);
    return new SandboxHandle(sandbox, record);
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
  static fromBoot(boot: Boot): Sandbox {
    return new Sandbox(boot.sandbox, boot.config, boot.detached ? undefined : boot);
  }

  static #fromObtained(obtained: Obtained): Promise<Sandbox> | Sandbox {
    return obtained.kind === "booted" ? Sandbox.fromBoot(obtained.boot) : Sandbox.connect(obtained.sandbox);
  }

  /** @internal */
  static async connect(sandbox: BackendSandbox, timeoutMs?: number): Promise<Sandbox> {
    await sandbox.connect({ timeoutMs });
    return new Sandbox(sandbox, parseStoredConfig((await sandbox.record()).configJson), undefined);
  }

  /** Whether the sandbox ends with this process: false once it is detached, or has been started again. */
  get ownsLifecycle(): boolean {
    return this.#owned?.isLatest() ?? false;
  }

  /**
   * Sends an HTTP request to a server in the sandbox: on its loopback interface, with no port published and no network. A
   * URL without a host goes to that server; a host in the URL is sent as the `Host` header. Redirects are returned, not
   * followed, and bodies are as they were sent, not decompressed. Both bodies stream.
   *
   * @throws {ConnectFailedError} if no program listens at `port`, or the connection breaks; for a body, when it is read.
   * @throws {AbortedError} if the request's signal fires, also while the body is read.
   * @throws {TypeError} as the standard `fetch` does for what is no request.
   *
   * @example
   * ```ts
   * await sandbox.shell("httpd -p 127.0.0.1:8080 -h /");
   * const response = await sandbox.fetch(8080, "/etc/passwd");
   * console.log(response.status, await response.text());
   * ```
   */
  async fetch(port: number, input: Request | URL | string, init: SandboxFetchInit = {}): Promise<Response> {
    return await fetchPort(this.#sandbox, port, input, init);
  }

  /** Connects to a TCP server in the sandbox, as {@linkcode fetch} does. @throws {ConnectFailedError} */
  async connect(port: number, options: ConnectPortOptions = {}): Promise<SandboxConnection> {
    return await connectPort(this.#sandbox, port, options);
  }

  /** {@linkcode stop}, with the final status of the sandbox. */
  async stopAndWait(): Promise<SandboxHandle> {
    const before = await this.#sandbox.record();
    await this.stop();
    // An ephemeral sandbox is gone now; what it was, and how it ended, is all that there is to say.
    const after = (await this.#sandbox.find()) ?? { ...before, status: "stopped" as const };
    return new SandboxHandle(this.#sandbox, after);
  }

  /** Waits until the sandbox has that status: see `SandboxHandle.waitForStatus()`. */
  async waitForStatus(status: WaitableStatus, options?: WaitOptions): Promise<SandboxHandle> {
    return new SandboxHandle(this.#sandbox, await waitForStatus(this.#sandbox, [status], options));
  }

  /** Stops the sandbox, if it runs, and boots it again; its disk is as it was left. */
  async restart(options: RestartOptions = {}): Promise<Sandbox> {
    checkRestartOptions(options);
    return Sandbox.fromBoot(await restart(this.#sandbox, options));
  }

  /** Lets the sandbox outlive this process. */
  async detach(): Promise<void> {
    this.#owned?.detach();
    this.#owned = undefined;
  }

  /** Stops the sandbox, if it ends with this process anyway. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.ownsLifecycle) return;
    try {
      await this.stop();
    } catch (error) {
      if (!isGone(error)) throw error; // by then somebody has ended it, and more
    }
  }
}
