/**
 * The calls of a running sandbox that run programs in it.
 *
 * @module
 */

import type { BackendSandbox } from "../backend/backend.ts";
import type { SandboxConfig } from "../options/sandbox_options.ts";
import { ExecHandle } from "./exec/exec_handle.ts";
import { defaultCommand, type ExecOptions, ExecOptionsBuilder, resolveExec } from "./exec/exec_options.ts";
import type { ExecOutput } from "./exec/exec_output.ts";
import { SandboxCalls } from "./sandbox_calls.ts";

type Configure = (builder: ExecOptionsBuilder) => ExecOptionsBuilder;

/** Programs run with the defaults that the sandbox and its image set: user, directory, environment, limits. */
export abstract class SandboxPrograms extends SandboxCalls {
  readonly #sandbox: BackendSandbox;
  readonly #config: SandboxConfig;

  protected constructor(sandbox: BackendSandbox, config: SandboxConfig) {
    super(sandbox);
    this.#sandbox = sandbox;
    this.#config = config;
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
    return await (await ExecHandle.start(this.#sandbox, request)).collect();
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
    return await ExecHandle.start(this.#sandbox, request);
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
}
