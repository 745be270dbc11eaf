/** A session: an interpreter that keeps what it knows from call to call. @module */
import { Semaphore } from "../../base/semaphore.ts";
import type { CallLimit } from "../../base/wait.ts";
import { type CodeCallOptions, type CodeSessionOptions, parseCall } from "./code_options.ts";
import { type CodeResult, codeResult } from "./code_result.ts";
import { CodeLimitError, CodeSessionEndedError } from "./errors.ts";
import type { Interpreter } from "./interpreter.ts";
import type { CodeLanguage } from "./language.ts";
import { limitOf, outputsOf, withOutputs } from "./run_once.ts";

/** How many calls of a session may wait for the one that runs. */
export const WAITING_CALLS_MAX = 64;

/** What a session is made of. */
export interface CodeSessionParts {
  readonly name: string;
  readonly language: CodeLanguage;
  readonly start: CodeSessionOptions;
  readonly startInterpreter: (limit: CallLimit) => Promise<Interpreter>;
  /** Called once, when the session has ended. */
  readonly onEnd: (session: CodeSession) => void;
}

/**
 * An interpreter in the sandbox that keeps variables, functions and imports from call to call. Made by `openCodeSession()`, or by the first
 * `runCode()` with its name. It ends with {@linkcode close}, `await using`, the exit of its interpreter, or the sandbox.
 *
 * @example
 * ```ts
 * await using session = await sandbox.openCodeSession("sh");
 * await session.run("cd /etc; count=41");
 * console.log((await session.run("echo $PWD $((count + 1))")).stdout); // /etc 42
 * ```
 */
export class CodeSession implements AsyncDisposable {
  /** The name by which `runCode()` finds it. */
  readonly name: string;
  /** What it runs. */
  readonly language: CodeLanguage;
  /** What it was begun with. @internal */
  readonly start: CodeSessionOptions;
  readonly #parts: CodeSessionParts;
  readonly #turns = new Semaphore(1);
  #calls = 0;
  #interpreter: Interpreter | undefined;
  #isEnded = false;

  /** @internal */
  constructor(parts: CodeSessionParts) {
    this.#parts = parts;
    this.name = parts.name;
    this.language = parts.language;
    this.start = parts.start;
  }

  /** Whether it has ended, as far as is known here. */
  get isEnded(): boolean {
    if (this.#interpreter?.isEnded === true) this.#end();
    return this.#isEnded;
  }

  /**
   * Runs code after all earlier calls. See `Sandbox.runCode()`.
   *
   * @throws {CodeTimeoutError} `codeTimeout`, after `timeoutMs`.
   * @throws {AbortedError} `aborted`, if `signal` fires.
   * @throws {CodeSessionEndedError} `codeSessionEnded`, if the session has ended, or ends before it is this call's turn.
   * @throws {CodeLimitError} `codeLimit`, if 64 calls wait already.
   * @throws {InterpreterNotFoundError} `interpreterNotFound`
   * @throws {InvalidConfigError} `invalidConfig`
   */
  async run(source: string, options: CodeCallOptions = {}): Promise<CodeResult> {
    return await this.runChecked(source, parseCall(this.language, source, options));
  }

  /** {@linkcode run} with options that are checked. @internal */
  async runChecked(source: string, options: CodeCallOptions): Promise<CodeResult> {
    if (this.#calls > WAITING_CALLS_MAX) throw new CodeLimitError("calls", WAITING_CALLS_MAX);
    this.#calls++;
    const outputs = outputsOf(options);
    using limit = limitOf(options);
    let hasRun = false;
    try {
      return await this.#turns.run(async () => {
        hasRun = true;
        return await this.#runNow(source, outputs, limit);
      }, limit.signal);
    } catch (error) {
      const reason = limit.error !== undefined && !hasRun ? limit.error : error;
      throw withOutputs(reason, outputs, this.isEnded);
    } finally {
      this.#calls--;
    }
  }

  /** Starts the interpreter, if it was not started yet. @internal */
  async begin(limit: CallLimit): Promise<void> {
    await this.#turns.run(async () => {
      await this.#started(limit);
    }, limit.signal);
  }

  /**
   * Ends the session: lets its interpreter exit by itself, and kills it after 2 s. Code that runs is killed at once, and its call and those that
   * wait reject with `CodeSessionEndedError`. Does nothing if it has ended.
   */
  async close(): Promise<void> {
    const interpreter = this.#interpreter;
    const isBusy = this.#calls > 0;
    this.#end();
    if (isBusy) await interpreter?.kill();
    else await interpreter?.close();
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #runNow(
    source: string,
    outputs: ReturnType<typeof outputsOf>,
    limit: CallLimit,
  ): Promise<CodeResult> {
    const isFirst = this.#interpreter === undefined;
    const interpreter = await this.#started(limit);
    try {
      const outcome = await interpreter.run(source, outputs, limit, true);
      this.#checkOpen("it was closed");
      const hasExited = outcome.kind === "exited";
      return codeResult(this.language, this.name, outputs, {
        ...(hasExited
          ? { exitCode: outcome.status.code, signalName: outcome.status.signalName }
          : { ...outcome.report, exitCode: outcome.exitCode }),
        sessionStarted: isFirst,
        sessionEnded: hasExited,
      });
    } catch (error) {
      if (limit.error === undefined) this.#checkOpen("it was closed", error);
      throw error;
    } finally {
      if (interpreter.isEnded) this.#end();
    }
  }

  async #started(limit: CallLimit): Promise<Interpreter> {
    this.#checkOpen("the code did not run");
    if (this.#interpreter?.isEnded === true) {
      this.#end();
      this.#checkOpen("its interpreter has exited, and the code did not run");
    }
    if (this.#interpreter !== undefined) return this.#interpreter;
    try {
      this.#interpreter = await this.#parts.startInterpreter(limit);
    } catch (error) {
      this.#end();
      throw error;
    }
    if (this.#isEnded) await this.#interpreter.kill(); // it was closed in between
    this.#checkOpen("the code did not run");
    return this.#interpreter;
  }

  #checkOpen(reason: string, cause?: unknown): void {
    if (this.#isEnded) throw new CodeSessionEndedError(this.name, reason, { cause });
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#parts.onEnd(this);
  }
}
