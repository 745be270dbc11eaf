/** Errors of using a sandbox. @module */
import type { SignalName } from "../agent/guest_signal.ts";
import type { Bytes } from "../base/bytes.ts";
import { MicrosandboxError } from "../base/errors.ts";
import type { ExecOutput } from "./exec/exec_output.ts";

/** Neither the image nor the sandbox says which program is the main one. */
export class NoDefaultCommandError extends MicrosandboxError {
  /** The name of the sandbox. */
  readonly sandbox: string;

  /** @internal */
  constructor(sandbox: string) {
    super("noDefaultCommand", `The image of ${JSON.stringify(sandbox)} has neither ENTRYPOINT nor CMD`, {
      hint: "say what to run with exec(), or set entrypoint() or cmd()",
    });
    this.sandbox = sandbox;
  }
}

/** The sandbox has no such job (`jobNotFound`): there was none, or it has ended long ago. */
export class JobNotFoundError extends MicrosandboxError {
  /** The name of the sandbox. */
  readonly sandbox: string;
  /** The id or name that was asked for. */
  readonly job: string;

  /** @internal */
  constructor(sandbox: string, job: string) {
    super("jobNotFound", `The sandbox ${JSON.stringify(sandbox)} has no job ${JSON.stringify(job)}`, {
      hint: "jobs() lists those that it has",
    });
    this.sandbox = sandbox;
    this.job = job;
  }
}

/** The sandbox ended before it was known how the job did (`jobLost`). */
export class JobLostError extends MicrosandboxError {
  /** The name of the sandbox. */
  readonly sandbox: string;
  /** The id of the job. */
  readonly jobId: string;

  /** @internal */
  constructor(sandbox: string, jobId: string, label: string) {
    super(
      "jobLost",
      `The job ${label} ended with its sandbox ${JSON.stringify(sandbox)}: its exit is not known`,
    );
    this.sandbox = sandbox;
    this.jobId = jobId;
  }
}

/** The sandbox runs, and what it uses cannot be told (`metricsUnavailable`). */
export class MetricsUnavailableError extends MicrosandboxError {
  /** The name of the sandbox. */
  readonly sandbox: string;
  /** Linux's number of what went wrong: 110 (`ETIMEDOUT`) if the guest did not answer. */
  readonly errno: number;

  /** @internal */
  constructor(sandbox: string, reason: string, errno: number) {
    super("metricsUnavailable", `Cannot measure the sandbox ${JSON.stringify(sandbox)}: ${reason}`);
    this.sandbox = sandbox;
    this.errno = errno;
  }
}

/** How much of what a command wrote to standard error is in the message. */
const MESSAGE_LINES_MAX = 5;
const MESSAGE_CHARS_MAX = 1000;

/** A shell's own: it found no such program. */
const NOT_FOUND_CODE = 127;
/** A shell's word for SIGKILL, if it ended a program that the shell had started. */
const KILLED_CODE = 137;

/** A command of `$` exited with another code than 0, or a signal ended it (`execExit`). */
export class ExecExitError extends MicrosandboxError {
  /** The command as a person would write it, with its values; a long one is cut. */
  readonly command: string;
  /** The exit code; 128 plus the signal's number if a signal ended the shell. */
  readonly exitCode: number;
  /** The number of the signal that ended the shell; `undefined` if it exited. */
  readonly signal: number | undefined;
  /** The name of that signal, e.g. `"SIGKILL"`. */
  readonly signalName: SignalName | undefined;
  /** What the command wrote to standard output; empty if it was read by `lines()`. */
  readonly stdout: Bytes;
  /** What the command wrote to standard error; with `lines()` the last 64 KiB of it. */
  readonly stderr: Bytes;

  /** @internal */
  constructor(command: string, output: ExecOutput) {
    const { code, signal, signalName } = output.status;
    const end =
      signal === undefined ? `exited with code ${code}` : `was ended by ${signalName ?? `signal ${signal}`}`;
    super("execExit", `${JSON.stringify(command)} ${end}${tailOf(output.stderr())}`, { hint: hintFor(code) });
    this.command = command;
    this.exitCode = code;
    this.signal = signal;
    this.signalName = signalName;
    this.stdout = output.stdoutBytes();
    this.stderr = output.stderrBytes();
  }
}

function hintFor(code: number): string {
  if (code === NOT_FOUND_CODE) return "the shell found no such program: is it in the image, and in PATH?";
  if (code === KILLED_CODE)
    return "SIGKILL is what a guest that is out of memory sends, too: raise memoryMiB";
  return "with .nothrow() another exit code than 0 is a result";
}

/** The last lines, as text: what a guest writes must not reach a terminal as escape sequences. */
function tailOf(stderr: string): string {
  const lines = stderr.trimEnd().slice(-MESSAGE_CHARS_MAX).split("\n").slice(-MESSAGE_LINES_MAX);
  const text = lines.join("\n    ").replace(/[^\P{Cc}\n\t]/gu, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return text === "" ? "" : lines.length === 1 ? `: ${text}` : `:\n    ${text}`;
}
