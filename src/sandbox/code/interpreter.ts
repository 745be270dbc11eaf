/**
 * One interpreter that runs in a sandbox with our driver in it: takes code, one piece at a time, and reports the outcome.
 *
 * @module
 */
import type { Connector } from "../../agent/client.ts";
import { AgentDisconnectedError, ExecFailedError } from "../../agent/errors.ts";
import { InternalError } from "../../base/errors.ts";
import { type CallLimit, settlesWithin } from "../../base/wait.ts";
import type { SandboxConfig } from "../../options/sandbox_options.ts";
import { ExecHandle } from "../exec/exec_handle.ts";
import type { ExecSink } from "../exec/exec_input.ts";
import { resolveExec } from "../exec/exec_options.ts";
import { type ExitStatus, statusOf } from "../exec/exec_output.ts";
import type { CodeSessionOptions } from "./code_options.ts";
import { CodeOutput } from "./code_output.ts";
import { CodeSessionEndedError, InterpreterNotFoundError } from "./errors.ts";
import { type CodeLanguage, LANGUAGES } from "./language.ts";
import { MarkError, MarkedOutput } from "./marked_output.ts";
import { type CodeReport, decodeReport } from "./report.ts";

/** How long code may take to end after SIGINT, before its interpreter is killed. */
export const INTERRUPT_GRACE_MS = 2000;
/** How long an interpreter may take to exit by itself when its session is closed. */
export const CLOSE_GRACE_MS = 2000;

const NONCE_BYTES = 16;

/** Both streams of one call. */
export interface CodeOutputs {
  readonly stdout: CodeOutput;
  readonly stderr: CodeOutput;
}

/** The outcome of one piece of code: it ended, or the interpreter did. */
export type CodeOutcome =
  | { readonly kind: "ran"; readonly report: CodeReport; readonly exitCode: number | undefined }
  | { readonly kind: "exited"; readonly status: ExitStatus };

/** A program of the sandbox that runs code until its input ends. */
export class Interpreter {
  readonly #handle: ExecHandle;
  readonly #language: CodeLanguage;
  readonly #session: string | undefined;
  readonly #input: ExecSink;
  /** Set once it is of no use any more, whether its process is gone yet or not. */
  #isEnded = false;

  private constructor(
    handle: ExecHandle,
    input: ExecSink,
    language: CodeLanguage,
    session: string | undefined,
  ) {
    this.#handle = handle;
    this.#input = input;
    this.#language = language;
    this.#session = session;
  }

  /**
   * Starts one; `limit` is for the start alone.
   *
   * @throws {InterpreterNotFoundError}
   * @throws {ExecFailedError}
   */
  static async start(
    sandbox: Connector,
    config: SandboxConfig,
    language: CodeLanguage,
    options: CodeSessionOptions,
    limit: CallLimit,
    session: string | undefined,
  ): Promise<Interpreter> {
    const { interpreter: usual, args, images } = LANGUAGES[language];
    const { interpreter = usual, ...rest } = options;
    const request = resolveExec(config, interpreter, args, rest, "pipe");
    const starting = ExecHandle.start(sandbox, { ...request, start: { ...request.start, unattended: true } });
    try {
      const handle = await limit.race(starting);
      const input = await handle.takeStdin();
      if (input === null) throw new InternalError("the interpreter was started without an input");
      return new Interpreter(handle, input, language, session);
    } catch (error) {
      if (limit.error !== undefined)
        void starting.then((late) => late[Symbol.asyncDispose]()).catch(() => {});
      if (!(error instanceof ExecFailedError) || error.kind !== "notFound") throw error;
      throw new InterpreterNotFoundError(language, interpreter, images, error);
    }
  }

  /** Whether it can run no more code, as far as is known here. */
  get isEnded(): boolean {
    return this.#isEnded || this.#handle.isOver;
  }

  /**
   * Runs one piece of code.
   *
   * @param mayKeep Whether the interpreter is to outlive code that is interrupted.
   * @throws the error of `limit`, once the code is interrupted or the interpreter gone: see {@linkcode isEnded}.
   * @throws {CodeSessionEndedError} if what it says makes no sense, or the sandbox ends.
   */
  async run(source: string, outputs: CodeOutputs, limit: CallLimit, mayKeep: boolean): Promise<CodeOutcome> {
    const exchange = this.#exchange(source, outputs);
    try {
      const outcome = await limit.race(exchange);
      if (outcome.kind === "exited") this.#isEnded = true;
      return outcome;
    } catch (error) {
      if (limit.error === undefined) {
        await this.kill();
        throw this.#failure(error);
      }
      if (!mayKeep || !(await this.#interrupt(exchange))) await this.kill();
      exchange.catch(() => {}); // the limit is what is reported
      throw limit.error;
    }
  }

  /** Ends its input, and reads on until it exits by itself. @throws the error of `limit`; kills it then. */
  async finish(outputs: CodeOutputs, limit: CallLimit): Promise<ExitStatus> {
    this.#isEnded = true;
    try {
      return await limit.race(this.#readToExit(outputs));
    } catch (error) {
      await this.kill();
      throw limit.error ?? this.#failure(error);
    }
  }

  /** Lets it exit by itself, and kills it if it takes long. Does nothing if it has exited. */
  async close(): Promise<void> {
    this.#isEnded = true;
    if (this.#handle.isOver) return;
    const none = { stdout: new CodeOutput(0, undefined), stderr: new CodeOutput(0, undefined) };
    const exit = this.#readToExit(none).catch(() => {}); // it is gone then, too
    if (!(await settlesWithin(exit, CLOSE_GRACE_MS))) await this.kill();
  }

  /** Kills it with what it has started in its process group. */
  async kill(): Promise<void> {
    this.#isEnded = true;
    await this.#handle[Symbol.asyncDispose]();
  }

  /** Sends the code and reads until both streams have told its end, or the interpreter has exited. */
  async #exchange(source: string, { stdout, stderr }: CodeOutputs): Promise<CodeOutcome> {
    const nonce = randomHex(NONCE_BYTES);
    const channels = {
      stdout: { marked: new MarkedOutput(nonce), output: stdout },
      stderr: { marked: new MarkedOutput(nonce), output: stderr },
    };
    // Not awaited: an interpreter that has threads may write before it reads.
    this.#input.write(LANGUAGES[this.#language].encodeRequest(nonce, source)).catch(() => {}); // its exit says more
    while (channels.stdout.marked.end === undefined || channels.stderr.marked.end === undefined) {
      const event = await this.#handle.recv();
      if (event?.kind === "stdout" || event?.kind === "stderr") {
        const { marked, output } = channels[event.kind];
        await output.add(marked.feed(event.data));
      } else if (event === null || event.kind === "exited") {
        for (const { marked, output } of Object.values(channels)) {
          await output.add(marked.rest());
          await output.end();
        }
        if (event === null) throw new MarkError("it ended without an exit");
        return { kind: "exited", status: statusOf(event) };
      }
    }
    return this.#ran(channels.stdout.marked);
  }

  #ran({ report: bytes, end = "" }: MarkedOutput): CodeOutcome {
    if (this.#language === "sh") {
      if (!/^[0-9]{3}$/.test(end) || bytes.length > 0)
        throw new MarkError("an invalid exit status of a shell");
      return { kind: "ran", report: { result: undefined, error: undefined }, exitCode: Number(end) };
    }
    const report = decodeReport(bytes);
    if (report === undefined) throw new MarkError("an invalid report");
    return { kind: "ran", report, exitCode: undefined };
  }

  async #readToExit({ stdout, stderr }: CodeOutputs): Promise<ExitStatus> {
    this.#input.close().catch(() => {}); // it reads no more, so it is about to exit
    for (;;) {
      const event = await this.#handle.recv();
      if (event?.kind === "stdout") await stdout.add(event.data);
      else if (event?.kind === "stderr") await stderr.add(event.data);
      else if (event?.kind === "exited") {
        await stdout.end();
        await stderr.end();
        return statusOf(event);
      } else if (event === null) throw new MarkError("it ended without an exit");
    }
  }

  /** Whether the code has ended by SIGINT, and the interpreter is as before. */
  async #interrupt(exchange: Promise<CodeOutcome>): Promise<boolean> {
    if (!LANGUAGES[this.#language].isInterruptible) return false;
    await this.#handle.signal("SIGINT");
    try {
      return (await settlesWithin(exchange, INTERRUPT_GRACE_MS)) && (await exchange).kind === "ran";
    } catch {
      return false; // for example because the sandbox has ended; the kill that follows does no harm
    }
  }

  #failure(error: unknown): unknown {
    if (error instanceof MarkError)
      return new CodeSessionEndedError(this.#session, `it sent ${error.message}`, { cause: error });
    if (error instanceof AgentDisconnectedError)
      return new CodeSessionEndedError(this.#session, "its sandbox has ended", { cause: error });
    return error;
  }
}

function randomHex(bytes: number): string {
  return crypto
    .getRandomValues(new Uint8Array(bytes))
    .reduce((hex, byte) => hex + byte.toString(16).padStart(2, "0"), "");
}
