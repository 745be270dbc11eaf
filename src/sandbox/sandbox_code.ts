/**
 * The calls of a running sandbox that run source code in it.
 *
 * @module
 */
import type { BackendSandbox } from "../backend/backend.ts";
import type { SandboxConfig } from "../options/sandbox_options.ts";
import type { OpenCodeSessionOptions, RunCodeOptions } from "./code/code_options.ts";
import type { CodeResult } from "./code/code_result.ts";
import type { CodeSession } from "./code/code_session.ts";
import { CodeSessions } from "./code/code_sessions.ts";
import type { CodeLanguage } from "./code/language.ts";
import { SandboxPrograms } from "./sandbox_programs.ts";

/** Code runs in an interpreter of the image, once or in sessions. */
export abstract class SandboxCode extends SandboxPrograms {
  readonly #code: CodeSessions;

  protected constructor(sandbox: BackendSandbox, config: SandboxConfig) {
    super(sandbox, config);
    this.#code = new CodeSessions(sandbox, config);
  }

  /**
   * Runs source code with the image's `python3`, `node` or `sh`, and returns output, the value of the last expression, and what it threw.
   * With `session`, later calls know what earlier ones defined; calls of one session run one after another. Sessions belong to this
   * object: another `Sandbox` of the same name has its own.
   *
   * @throws {InterpreterNotFoundError} `interpreterNotFound`, if the image has no such program.
   * @throws {CodeTimeoutError} `codeTimeout`, after `timeoutMs`; a session of Python or JavaScript goes on if SIGINT ended the code.
   * @throws {AbortedError} `aborted`, if `signal` fires; likewise.
   * @throws {CodeSessionEndedError} `codeSessionEnded`, if the session ends before the code has.
   * @throws {CodeLimitError} `codeLimit`, beyond 32 sessions, or 64 calls that wait for one.
   * @throws {ExecFailedError} `execFailed`, if the interpreter cannot be started; `kind` says why.
   * @throws {InvalidConfigError} `invalidConfig`
   * @throws {SandboxNotRunningError} `sandboxNotRunning`
   *
   * @example
   * ```ts
   * await sandbox.runCode("sh", "greeting=hello", { session: "work" });
   * const { stdout } = await sandbox.runCode("sh", "echo $greeting", { session: "work" });
   * console.log(stdout); // hello
   * ```
   */
  runCode(language: CodeLanguage, source: string, options: RunCodeOptions = {}): Promise<CodeResult> {
    return this.#code.run(language, source, options);
  }

  /**
   * Begins a session, and resolves when its interpreter runs. `runCode()` finds it by its name.
   *
   * @throws {InvalidConfigError} `invalidConfig`, also if a session of that name is open.
   * @throws {InterpreterNotFoundError} `interpreterNotFound`
   * @throws {CodeLimitError} `codeLimit`, beyond 32 sessions.
   * @throws {AbortedError} `aborted`
   */
  openCodeSession(language: CodeLanguage, options: OpenCodeSessionOptions = {}): Promise<CodeSession> {
    return this.#code.open(language, options);
  }

  /** Ends the session of that name: see `CodeSession.close()`. @returns false if none is open. */
  closeCodeSession(name: string): Promise<boolean> {
    return this.#code.close(name);
  }
}
