/** What a piece of code comes to. @module */
import type { SignalName } from "../../agent/guest_signal.ts";
import type { CodeOutputs } from "./interpreter.ts";
import type { CodeLanguage } from "./language.ts";
import type { CodeError, CodeValue } from "./report.ts";

/**
 * What a piece of code came to. Code that throws is a result, too: look at {@linkcode success}, or at `error` and `exitCode`.
 *
 * @example
 * ```ts
 * const { success, stdout, stderr, exitCode } = await sandbox.runCode("sh", "echo out; echo err >&2; false");
 * console.log(success, exitCode, stdout, stderr); // false 1 out err
 * ```
 */
export interface CodeResult {
  /** What ran it. */
  readonly language: CodeLanguage;
  /** The session that it ran in, if it was one. */
  readonly session: string | undefined;
  /** Whether it threw nothing, and no exit code is other than 0. */
  readonly success: boolean;
  /** What it wrote to standard output, up to `outputBytesMax`. */
  readonly stdout: string;
  /** What it wrote to standard error, likewise. An exception that ends the code is in {@linkcode error}, and not here. */
  readonly stderr: string;
  /** How many bytes of each stream came beyond `outputBytesMax`, and are left out. */
  readonly omittedBytes: { readonly stdout: number; readonly stderr: number };
  /**
   * The value of the last statement, if it is an expression. `undefined` if that is Python's `None` or JavaScript's `undefined`, and
   * always for a shell.
   */
  readonly result: CodeValue | undefined;
  /** What it threw, and did not catch; always `undefined` for a shell. */
  readonly error: CodeError | undefined;
  /**
   * The status of the last command of a shell; in each language the code with which the interpreter exited, if it did
   * (`sys.exit(3)`, `process.exit(3)`, `exit 3`), 128 plus the signal's number if a signal ended it. `undefined` otherwise.
   */
  readonly exitCode: number | undefined;
  /** The name of the signal that ended the interpreter, e.g. `"SIGKILL"`, if one did. */
  readonly signalName: SignalName | undefined;
  /** Whether the session began with this call, and knew nothing yet. */
  readonly sessionStarted: boolean;
  /** Whether the interpreter has exited: what the session knew is gone, and the next call of its name begins another. */
  readonly sessionEnded: boolean;
}

/** What is known of the end of a call. */
export interface CodeEnd {
  readonly result?: CodeValue | undefined;
  readonly error?: CodeError | undefined;
  readonly exitCode: number | undefined;
  readonly signalName?: SignalName | undefined;
  readonly sessionStarted: boolean;
  readonly sessionEnded: boolean;
}

/** Puts a result together. */
export function codeResult(
  language: CodeLanguage,
  session: string | undefined,
  { stdout, stderr }: CodeOutputs,
  end: CodeEnd,
): CodeResult {
  return {
    language,
    session,
    success: end.error === undefined && (end.exitCode ?? 0) === 0,
    stdout: stdout.text(),
    stderr: stderr.text(),
    omittedBytes: { stdout: stdout.omittedBytes, stderr: stderr.omittedBytes },
    result: end.result,
    error: end.error,
    exitCode: end.exitCode,
    signalName: end.signalName,
    sessionStarted: end.sessionStarted,
    sessionEnded: end.sessionEnded,
  };
}
