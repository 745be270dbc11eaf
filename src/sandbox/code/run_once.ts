/** Code with an interpreter of its own, and how limits of a call are told. @module */
import type { Connector } from "../../agent/client.ts";
import { TimeoutError } from "../../base/errors.ts";
import { CallLimit } from "../../base/wait.ts";
import type { SandboxConfig } from "../../options/sandbox_options.ts";
import { CODE_OUTPUT_BYTES_MAX, type CodeCallOptions, type CodeSessionOptions } from "./code_options.ts";
import { CodeOutput } from "./code_output.ts";
import { type CodeResult, codeResult } from "./code_result.ts";
import { CodeTimeoutError } from "./errors.ts";
import { type CodeOutputs, Interpreter } from "./interpreter.ts";
import type { CodeLanguage } from "./language.ts";

/** Runs code as a script is run: its interpreter exits when all of it is done, timers and threads included. */
export async function runOnce(
  sandbox: Connector,
  config: SandboxConfig,
  language: CodeLanguage,
  source: string,
  start: CodeSessionOptions,
  options: CodeCallOptions,
): Promise<CodeResult> {
  const outputs = outputsOf(options);
  using limit = limitOf(options);
  try {
    const interpreter = await Interpreter.start(sandbox, config, language, start, limit, undefined);
    const ends = { sessionStarted: true, sessionEnded: true };
    const outcome = await interpreter.run(source, outputs, limit, false);
    if (outcome.kind === "exited") {
      const { code, signalName } = outcome.status;
      return codeResult(language, undefined, outputs, { ...ends, exitCode: code, signalName });
    }
    const { code, signalName } = await interpreter.finish(outputs, limit);
    // An interpreter that ended normally reports no exit code, unless it failed.
    const exitCode = outcome.exitCode ?? (code === 0 ? undefined : code);
    return codeResult(language, undefined, outputs, { ...outcome.report, ...ends, exitCode, signalName });
  } catch (error) {
    throw withOutputs(error, outputs, true);
  }
}

/** The streams of one call. */
export function outputsOf(options: CodeCallOptions): CodeOutputs {
  const { outputBytesMax = CODE_OUTPUT_BYTES_MAX, onStdout, onStderr } = options;
  return {
    stdout: new CodeOutput(outputBytesMax, onStdout),
    stderr: new CodeOutput(outputBytesMax, onStderr),
  };
}

/** The limits of one call. */
export function limitOf({ timeoutMs, signal }: CodeCallOptions): CallLimit {
  return new CallLimit({ action: "running code", timeoutMs, signal });
}

/** The error of a time limit, with what was written until then. */
export function withOutputs(error: unknown, { stdout, stderr }: CodeOutputs, sessionEnded: boolean): unknown {
  if (!(error instanceof TimeoutError)) return error;
  return new CodeTimeoutError(
    error.timeoutMs,
    { stdout: stdout.text(), stderr: stderr.text() },
    sessionEnded,
  );
}
