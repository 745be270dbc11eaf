/**
 * The calls of a running sandbox that connect programs in it to a terminal.
 *
 * @module
 */
import type { BackendSandbox } from "../backend/backend.ts";
import type { SandboxConfig } from "../options/sandbox_options.ts";
import { type AttachOptions, type AttachProgram, resolveAttach } from "./attach/attach_options.ts";
import { AttachOptionsBuilder } from "./attach/attach_options_builder.ts";
import { attachStarted } from "./attach/attach_started.ts";
import { defaultCommand, type ExecArgument, programOfCall } from "./exec/exec_options.ts";
import { SandboxCode } from "./sandbox_code.ts";

type Configure = (builder: AttachOptionsBuilder) => AttachOptionsBuilder;

/** Programs run on a pseudo-terminal, and the terminal of this process, or one that is given, shows it. */
export abstract class SandboxTerminals extends SandboxCode {
  readonly #sandbox: BackendSandbox;

  protected constructor(sandbox: BackendSandbox, config: SandboxConfig) {
    super(sandbox, config);
    this.#sandbox = sandbox;
  }

  /**
   * Runs a program on the terminal that this process was started on, and resolves with its exit code. Keys go to the program as
   * they are, Ctrl-C among them; its terminal is as large as this one, and stays so. Ctrl-P and then Ctrl-Q detach: this
   * resolves with {@linkcode DETACHED}, and the program runs on as a job, to be taken up again by `Job.attach()`.
   *
   * However this ends, and if the process itself is killed, the terminal is as it was before.
   *
   * @throws {TerminalError} `terminal`, if standard input is not a terminal, is attached already, or fails; then the program runs
   * on.
   * @throws {ExecFailedError} `execFailed`, if it cannot be started; `kind` says why.
   * @throws {ExecTimeoutError} `execTimeout`, after `timeoutMs`.
   * @throws {AbortedError} `aborted`, if `signal` fired; the process group is killed.
   * @throws {AgentDisconnectedError} `agentDisconnected`, if the sandbox ends first.
   * @throws {JobAttachedElsewhereError} `jobAttachedElsewhere`, once another client has attached to the program.
   * @throws {JobNameTakenError} `jobNameTaken`, if a job that runs has the name.
   * @throws {InvalidConfigError} `invalidConfig`
   * @throws {SandboxNotRunningError} `sandboxNotRunning`
   *
   * @example
   * ```ts no-run: needs a terminal
   * const code = await sandbox.attach("vi", ["/etc/motd"]);
   * ```
   */
  attach(command: string, args?: Iterable<ExecArgument>, options?: AttachOptions): Promise<number>;
  /** Attaches to a program that is given as one object. */
  attach(program: AttachProgram): Promise<number>;
  async attach(
    first: string | AttachProgram,
    args?: Iterable<ExecArgument>,
    options?: AttachOptions,
  ): Promise<number> {
    const program = programOfCall<AttachOptions>(first, args, options);
    const request = resolveAttach(this.config(), program.command, program.args, program.options);
    return await attachStarted(this.#sandbox, request);
  }

  /** {@linkcode attach} with a builder of options. */
  async attachWith(command: string, configure: Configure): Promise<number> {
    const { args, options } = configure(new AttachOptionsBuilder()).build();
    return await this.attach(command, args, options);
  }

  /** Attaches to the image's ENTRYPOINT and CMD. @throws {NoDefaultCommandError} if it has neither. */
  async attachDefault(options: AttachOptions = {}): Promise<number> {
    const [command, ...args] = defaultCommand(this.config());
    return await this.attach(command, args, options);
  }

  /** {@linkcode attachDefault} with a builder of options. Arguments take the place of CMD. */
  async attachDefaultWith(configure: Configure): Promise<number> {
    const { args, options } = configure(new AttachOptionsBuilder()).build();
    const [command, ...rest] = defaultCommand(this.config(), args);
    return await this.attach(command, rest, options);
  }

  /** Attaches to the sandbox's shell, until it is left. */
  async attachShell(options: AttachOptions = {}): Promise<number> {
    return await this.attach(this.config().shell, [], options);
  }
}
