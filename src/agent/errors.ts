/** Errors of the guest protocol, of programs in a sandbox, and of connections into one. @module */

import { MicrosandboxError, type MicrosandboxErrorOptions } from "../base/errors.ts";
import { GuestErrno } from "./guest_errno.ts";

/** The other side sent something that the protocol does not allow (`protocol`). */
export class ProtocolError extends MicrosandboxError {
  /** Creates the error with this message. */
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("protocol", message, options);
  }
}

/** The connection to the sandbox ended, since the sandbox stopped or crashed (`agentDisconnected`). */
export class AgentDisconnectedError extends MicrosandboxError {
  /** Creates the error with this message. */
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("agentDisconnected", message, options);
  }
}

/** The other side of a new connection does not speak this version of the protocol (`agentHandshake`). */
export class AgentHandshakeError extends MicrosandboxError {
  /** Creates the error with this message. */
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("agentHandshake", message, options);
  }
}

/** A connection to a port in the sandbox could not be made, or broke (`connectFailed`). */
export class ConnectFailedError extends MicrosandboxError {
  /** The address in the sandbox; `""` is its loopback. */
  readonly host: string;
  /** The TCP port in the sandbox. */
  readonly port: number;
  /** The guest's error number, e.g. 111 (ECONNREFUSED) if no program listens; 0 if the guest reported no error number. */
  readonly errno: number;

  /** @param reason The cause, as it follows a colon in the message. */
  /** @internal */
  constructor(host: string, port: number, errno: number, reason: string, state: "refused" | "broken") {
    const place = host === "" ? `port ${port}` : `${host} port ${port}`;
    const what = state === "refused" ? `Cannot connect to ${place}` : `The connection to ${place} broke`;
    super("connectFailed", `${what} in the sandbox: ${reason}`, {
      hint:
        errno === GuestErrno.ECONNREFUSED
          ? "start a program that listens on that port, and wait until it does"
          : undefined,
    });
    this.host = host;
    this.port = port;
    this.errno = errno;
  }
}

/** Hints for a failed mount, by a part of the reason that the guest or the host process gave. */
const MOUNT_HINTS = [
  ["mounted already", "unmount it first, with sandbox.mounts.remove()"],
  ["would hide", "choose another target, or unmount the inner one first"],
  [
    "programs in the sandbox use it",
    "end the programs that have files open, or their working directory, in it",
  ],
  ["until the sandbox stops", "stop the sandbox"],
  ["Not a directory", "a directory needs a directory for its target, and no file above it"],
  ["Is a directory", "a file needs a file for its target"],
] as const;

/** A directory could not be mounted in the sandbox, or unmounted (`mountFailed`). */
export class MountFailedError extends MicrosandboxError {
  /** Where it was to be in the sandbox. */
  readonly target: string;
  /** The guest's error number, e.g. 20 (ENOTDIR) if the target is a file; 0 if the guest reported no error number. */
  readonly errno: number;

  /** Why, as it follows a colon in the message. */
  readonly reason: string;

  /** @internal */
  constructor(target: string, errno: number, reason: string, action: "mount" | "unmount" = "mount") {
    const [, hint] = MOUNT_HINTS.find(([part]) => reason.includes(part)) ?? [];
    super("mountFailed", `Cannot ${action} ${target} in the sandbox: ${reason}`, { hint });
    this.target = target;
    this.errno = errno;
    this.reason = reason;
  }
}

/** A longer command line is not repeated in a hint. */
const HINT_COMMAND_CHARS_MAX = 200;

/** Why a program could not be started. */
export type ExecFailureKind =
  | "other"
  | "notFound"
  | "permissionDenied"
  | "notExecutable"
  | "badCwd"
  | "badUser"
  | "badArguments"
  | "resourceLimit"
  | "outOfMemory"
  | "ptySetup"
  | "tooManySessions"
  | "shuttingDown"
  | "paused";

/** A program could not be started; nothing ran (`execFailed`). */
export class ExecFailedError extends MicrosandboxError {
  /** The program's name or path, as it was given. */
  readonly command: string;
  /** The cause, e.g. `"notFound"`. */
  readonly kind: ExecFailureKind;
  /** The guest's error number, e.g. 2 (ENOENT); 0 if the guest reported no error number. */
  readonly errno: number;

  /** @param reason The cause, as it follows a colon in the message. */
  /** @internal */
  constructor(command: string, kind: ExecFailureKind, errno: number, reason: string) {
    super("execFailed", `Cannot run ${JSON.stringify(command)} in the sandbox: ${reason}`, {
      hint: kind === "notFound" ? commandLineHint(command) : undefined,
    });
    this.command = command;
    this.kind = kind;
    this.errno = errno;
  }
}

/** `exec("ls -la /")` looks for a program of that very name. */
function commandLineHint(command: string): string | undefined {
  const [program, ...args] = command.trim().split(/\s+/);
  if (args.length === 0 || command.length > HINT_COMMAND_CHARS_MAX) return undefined;
  const list = args.map((arg) => JSON.stringify(arg)).join(", ");
  return `run a command line with shell(${JSON.stringify(command)}), or pass arguments apart: exec(${JSON.stringify(program)}, [${list}])`;
}

/** A program, its start included, took longer than its `timeoutMs` and was killed (`execTimeout`). */
export class ExecTimeoutError extends MicrosandboxError {
  /** The time limit, in milliseconds. */
  readonly timeoutMs: number;
  /** What the program had written to standard output, if it was collected. */
  readonly stdout: Uint8Array;
  /** What the program had written to standard error, if it was collected. */
  readonly stderr: Uint8Array;

  /** Creates the error with the output that was collected. */
  constructor(command: string, timeoutMs: number, stdout: Uint8Array, stderr: Uint8Array) {
    super("execTimeout", `${JSON.stringify(command)} took longer than ${timeoutMs} ms and was killed`);
    this.timeoutMs = timeoutMs;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

/** A program whose output is collected wrote more than `outputBytesMax` and was killed (`execOutputLimit`). */
export class ExecOutputLimitError extends MicrosandboxError {
  /** The limit, in bytes. */
  readonly outputBytesMax: number;

  /** Creates the error with the limit that was exceeded. */
  constructor(command: string, outputBytesMax: number) {
    super(
      "execOutputLimit",
      `${JSON.stringify(command)} wrote more than ${outputBytesMax} bytes and was killed`,
      {
        hint: "use execStream() for unbounded output, or raise outputBytesMax",
      },
    );
    this.outputBytesMax = outputBytesMax;
  }
}

/**
 * There is no file session, or no more: the process that was to answer could not be started, was stopped by a pause, or died.
 * What users see of it is made of this where a path and an operation are known.
 */
export class FileSessionFailedError extends Error {
  /** The cause, as for a program. */
  readonly kind: ExecFailureKind;
  /** The guest's error number; 0 if the guest reported none. */
  readonly errno: number;

  /** @param reason The cause, as it follows a colon in a message. */
  constructor(kind: ExecFailureKind, errno: number, reason: string) {
    super(reason);
    this.name = new.target.name;
    this.kind = kind;
    this.errno = errno;
  }
}

/** The guest's answer to a request of a file session: it failed. Like {@linkcode FileSessionFailedError}, not for users. */
export class FileAnswerError extends Error {
  /** The guest's error number. */
  readonly errno: number;
  /** Where it failed, if that is not what the request named; empty otherwise. */
  readonly path: Uint8Array;

  constructor(errno: number, path: Uint8Array) {
    super(`errno ${errno}`);
    this.name = new.target.name;
    this.errno = errno;
    this.path = path;
  }
}

/** A job of the sandbox that runs has this name (`jobNameTaken`). */
export class JobNameTakenError extends MicrosandboxError {
  /** The name that was asked for. */
  readonly jobName: string;
  /** The id of the job that has it. */
  readonly jobId: string;

  /** @internal */
  constructor(jobName: string, jobId: string) {
    super("jobNameTaken", `A job called ${JSON.stringify(jobName)} runs already: ${jobId}`, {
      hint: "wait for it or kill() it: the name is free once that job has ended",
    });
    this.jobName = jobName;
    this.jobId = jobId;
  }
}

/** The job has ended, and what was asked for needs it to run (`jobEnded`). */
export class JobEndedError extends MicrosandboxError {
  /** The job's name, or its id if it has none. */
  readonly job: string;

  /** @internal */
  constructor(job: string) {
    super("jobEnded", `The job ${JSON.stringify(job)} has ended`);
    this.job = job;
  }
}

/** Another client has attached to the job, and has its input and output now (`jobAttachedElsewhere`). */
export class JobAttachedElsewhereError extends MicrosandboxError {
  /** @internal */
  constructor() {
    super("jobAttachedElsewhere", "Another client has attached to this job", {
      hint: "the job runs on: attach again to take it back, or read its output()",
    });
  }
}
