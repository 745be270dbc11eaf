/** Errors of running code. @module */
import { MicrosandboxError } from "../../base/errors.ts";
import type { CodeLanguage } from "./language.ts";

/** The sandbox has no program that runs the language (`interpreterNotFound`). Nothing ran. */
export class InterpreterNotFoundError extends MicrosandboxError {
  /** The language that was to be run. */
  readonly language: CodeLanguage;
  /** The program that was looked for, e.g. `"python3"`. */
  readonly interpreter: string;

  /** @internal */
  constructor(language: CodeLanguage, interpreter: string, images: string, cause: unknown) {
    super("interpreterNotFound", `The sandbox has no ${JSON.stringify(interpreter)} to run ${language}`, {
      hint: `use an image that has it, such as ${images}, or give its path as \`interpreter\``,
      cause,
    });
    this.language = language;
    this.interpreter = interpreter;
  }
}

/** Code took longer than its `timeoutMs`, its wait for other calls of the session included (`codeTimeout`). */
export class CodeTimeoutError extends MicrosandboxError {
  /** The time limit, in milliseconds. */
  readonly timeoutMs: number;
  /** What the code had written to standard output, up to `outputBytesMax`. */
  readonly stdout: string;
  /** What it had written to standard error, likewise. */
  readonly stderr: string;
  /** Whether the interpreter had to be killed: what the session knew is gone. */
  readonly sessionEnded: boolean;

  /** @internal */
  constructor(timeoutMs: number, output: { stdout: string; stderr: string }, sessionEnded: boolean) {
    const end = sessionEnded ? "its interpreter was killed" : "it was interrupted";
    super("codeTimeout", `The code took longer than ${timeoutMs} ms: ${end}`, {
      hint: "raise timeoutMs",
    });
    this.timeoutMs = timeoutMs;
    this.stdout = output.stdout;
    this.stderr = output.stderr;
    this.sessionEnded = sessionEnded;
  }
}

/** The session of the call has ended, and the code did not run, or its outcome is not known (`codeSessionEnded`). */
export class CodeSessionEndedError extends MicrosandboxError {
  /** The name of the session; `undefined` for a call without one. */
  readonly session: string | undefined;

  /** @internal */
  constructor(session: string | undefined, reason: string, options: ErrorOptions = {}) {
    const what = session === undefined ? "The interpreter" : `The session ${JSON.stringify(session)}`;
    super("codeSessionEnded", `${what} has ended: ${reason}`, {
      ...options,
      hint:
        session === undefined ? undefined : "run it again: the next call of that name begins a new session",
    });
    this.session = session;
  }
}

/** Too many sessions of a sandbox, or calls that wait for one (`codeLimit`). Nothing ran. */
export class CodeLimitError extends MicrosandboxError {
  /** What the limit counts. */
  readonly kind: "sessions" | "calls";
  /** The limit. */
  readonly limit: number;

  /** @internal */
  constructor(kind: "sessions" | "calls", limit: number) {
    const [what, hint] =
      kind === "sessions"
        ? [`${limit} sessions are open`, "close one with closeCodeSession()"]
        : [`${limit} calls wait for the session`, "await calls before you make more, or use more sessions"];
    super("codeLimit", `Cannot run the code: ${what}, which is the most`, { hint });
    this.kind = kind;
    this.limit = limit;
  }
}
