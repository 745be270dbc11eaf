/**
 * The calls of a running sandbox that run programs in it.
 *
 * @module
 */

import type { BackendSandbox } from "../backend/backend.ts";
import type { SandboxConfig } from "../options/sandbox_options.ts";
import { JobNotFoundError } from "./errors.ts";
import { ExecHandle } from "./exec/exec_handle.ts";
import {
  defaultCommand,
  type ExecArgument,
  type ExecOptions,
  type ExecProgram,
  type ExecStreamOptions,
  type ExecStreamProgram,
  programOfCall,
  resolveExec,
  resolveStream,
} from "./exec/exec_options.ts";
import { ExecOptionsBuilder } from "./exec/exec_options_builder.ts";
import type { ExecOutput } from "./exec/exec_output.ts";
import { type ShellTag, shellTag } from "./exec/shell_command.ts";
import type { ShellScript } from "./exec/shell_template.ts";
import { Job } from "./jobs/job.ts";
import { type JobOptions, type JobProgram, resolveJob } from "./jobs/job_options.ts";
import { startJob } from "./jobs/start_job.ts";
import { SandboxCalls } from "./sandbox_calls.ts";

type Configure = (builder: ExecOptionsBuilder) => ExecOptionsBuilder;

/** Programs run with the defaults that the sandbox and its image set: user, directory, environment, limits. */
export abstract class SandboxPrograms extends SandboxCalls {
  /**
   * Runs a line of shell with values that are quoted for it, and rejects if it fails: see {@linkcode ShellTag} and
   * `ShellCommand`.
   *
   * @example
   * ```ts
   * const [archive, directory] = ["/tmp/my files.tar", "/srv/app"];
   * await sandbox.$`mkdir -p ${directory} && tar cf ${archive} /etc/hostname && tar xf ${archive} -C ${directory}`;
   * console.log(await sandbox.$`ls ${directory}`.text());
   * ```
   */
  readonly $: ShellTag;
  readonly #sandbox: BackendSandbox;
  readonly #config: SandboxConfig;

  protected constructor(sandbox: BackendSandbox, config: SandboxConfig) {
    super(sandbox);
    this.#sandbox = sandbox;
    this.#config = config;
    this.$ = shellTag((script, options) => this.#startScript(script, options));
  }

  /** What the sandbox was created with. */
  override config(): SandboxConfig {
    return this.#config;
  }

  /**
   * Runs a program and collects what it writes. An exit code other than 0 is a result, not an error. The program, its
   * arguments and its options may also be given as one object.
   *
   * @throws {ExecFailedError} if it cannot be started; `kind` says why.
   * @throws {ExecTimeoutError} after `timeoutMs`.
   * @throws {ExecOutputLimitError} beyond `outputBytesMax`.
   * @throws {AbortedError} if `signal` fired; the process group is killed.
   * @throws {InvalidConfigError}
   * @throws {SandboxNotRunningError}
   *
   * @example
   * ```ts
   * console.log((await sandbox.exec("ls", ["-l", "/etc"], { timeoutMs: 5000 })).stdout());
   * console.log((await sandbox.exec({ command: "pwd", cwd: "/tmp" })).stdout());
   * ```
   */
  exec(command: string, args?: Iterable<ExecArgument>, options?: ExecOptions): Promise<ExecOutput>;
  /** Runs a program that is given as one object, and collects what it writes. */
  exec(program: ExecProgram): Promise<ExecOutput>;
  async exec(
    first: string | ExecProgram,
    args?: Iterable<ExecArgument>,
    options?: ExecOptions,
  ): Promise<ExecOutput> {
    const program = programOfCall(first, args, options);
    const request = resolveExec(this.#config, program.command, program.args, program.options, "null");
    return await (await ExecHandle.start(this.#sandbox, request)).collect();
  }

  /** {@linkcode exec} with a builder of options. */
  async execWith(command: string, configure: Configure): Promise<ExecOutput> {
    const { args, options } = configure(new ExecOptionsBuilder()).build();
    return await this.exec(command, args, options);
  }

  /** Runs a program and hands out its events and streams as they come. Takes what {@linkcode exec} takes. */
  execStream(
    command: string,
    args?: Iterable<ExecArgument>,
    options?: ExecStreamOptions,
  ): Promise<ExecHandle>;
  /** Runs a program that is given as one object, and hands out its events and streams. */
  execStream(program: ExecStreamProgram): Promise<ExecHandle>;
  async execStream(
    first: string | ExecStreamProgram,
    args?: Iterable<ExecArgument>,
    options?: ExecStreamOptions,
  ): Promise<ExecHandle> {
    const program = programOfCall(first, args, options);
    const request = resolveStream(this.#config, program.command, program.args, program.options);
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

  /**
   * {@linkcode execDefault} with a builder of options. Arguments take the place of CMD, as in `docker run IMAGE ARGUMENTS`.
   *
   * @throws {NoDefaultCommandError} if there is neither ENTRYPOINT nor CMD nor an argument.
   */
  async execDefaultWith(configure: Configure): Promise<ExecOutput> {
    const { args, options } = configure(new ExecOptionsBuilder()).build();
    const [command, ...rest] = defaultCommand(this.#config, args);
    return await this.exec(command, rest, options);
  }

  /** {@linkcode execDefault} as a stream. */
  async execDefaultStream(options: ExecStreamOptions = {}): Promise<ExecHandle> {
    const [command, ...args] = defaultCommand(this.#config);
    return await this.execStream(command, args, options);
  }

  /** {@linkcode execDefaultWith} as a stream. */
  async execDefaultStreamWith(configure: Configure): Promise<ExecHandle> {
    const { args, options } = configure(new ExecOptionsBuilder()).build();
    const [command, ...rest] = defaultCommand(this.#config, args);
    return await this.execStream(command, rest, options);
  }

  /** Runs a script with the sandbox's shell. */
  shell(script: string, options: ExecOptions = {}): Promise<ExecOutput> {
    return this.exec(this.#config.shell, ["-c", script], options);
  }

  /** {@linkcode shell} as a stream. */
  shellStream(script: string, options: ExecStreamOptions = {}): Promise<ExecHandle> {
    return this.execStream(this.#config.shell, ["-c", script], options);
  }

  /**
   * Starts a program that outlives this process, and resolves when it runs. Any process finds it again with `job()`, and
   * its output in the log: see {@linkcode Job}. Takes what {@linkcode exec} takes. A sandbox with a job that runs is not idle.
   *
   * @throws {JobNameTakenError} `jobNameTaken`, if a job that runs has the name.
   * @throws {ExecFailedError} `execFailed`, if it cannot be started; `kind` says why.
   * @throws {InvalidConfigError} `invalidConfig`
   * @throws {AbortedError} `aborted`, if `signal` fires.
   * @throws {SandboxNotRunningError} `sandboxNotRunning`
   *
   * @example
   * ```ts
   * const server = await sandbox.startJob("httpd", ["-f", "-p", "8080"], { name: "web" });
   * console.log(server.id, server.status, server.pid);
   * await server.kill();
   * console.log((await server.wait()).signalName); // SIGKILL
   * ```
   */
  startJob(command: string, args?: Iterable<ExecArgument>, options?: JobOptions): Promise<Job>;
  /** Starts a job that is given as one object. */
  startJob(program: JobProgram): Promise<Job>;
  async startJob(
    first: string | JobProgram,
    args?: Iterable<ExecArgument>,
    options?: JobOptions,
  ): Promise<Job> {
    const { id, pid } = await startJob(this.#sandbox, resolveJob(this.#config, first, args, options));
    const record = await this.#sandbox.findJob(id);
    if (record === undefined) throw new JobNotFoundError(this.name, id);
    // Its record may be a moment behind, where the state database was busy.
    return new Job(
      this.#sandbox,
      record.status === "starting" ? { ...record, status: "running", pid } : record,
    );
  }

  /** Values are arguments of the shell; `$0` is its name, as it is without them. */
  async #startScript({ text, words, label }: ShellScript, options: ExecOptions): Promise<ExecHandle> {
    const { shell } = this.#config;
    const request = resolveExec(this.#config, shell, ["-c", text, shell, ...words], options, "null");
    return await ExecHandle.start(this.#sandbox, { ...request, label });
  }
}
