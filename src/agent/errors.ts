/** Errors of the guest protocol and of programs run through it. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../base/errors.ts";

/** The other side sent something that the protocol does not allow. */
export class ProtocolError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("protocol", message, options);
  }
}

/** The connection to the sandbox ended: it was stopped, or it crashed. */
export class AgentDisconnectedError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("agentDisconnected", message, options);
  }
}

/** Connected, but the other side did not greet as this version of the protocol does. */
export class AgentHandshakeError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("agentHandshake", message, options);
  }
}

/** There is no connection to a port in the sandbox, or it broke. */
export class ConnectFailedError extends MicrosandboxError {
  /** The address in the sandbox; `""` is its loopback. */
  readonly host: string;
  readonly port: number;
  /** The guest's error number, e.g. 111 (ECONNREFUSED) where nobody listens; 0 where there is none. */
  readonly errno: number;

  constructor(host: string, port: number, errno: number, reason: string, state: "refused" | "broken") {
    const place = host === "" ? `port ${port}` : `${host} port ${port}`;
    const what = state === "refused" ? `Cannot connect to ${place}` : `The connection to ${place} broke`;
    super("connectFailed", `${what} in the sandbox: ${reason}`, {
      hint: errno === ECONNREFUSED ? "does the program listen yet, and on that port?" : undefined,
    });
    this.host = host;
    this.port = port;
    this.errno = errno;
  }
}

/** Linux's number, as the guest is always Linux. */
const ECONNREFUSED = 111;

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

/** The program could not be started; nothing ran. */
export class ExecFailedError extends MicrosandboxError {
  readonly command: string;
  readonly kind: ExecFailureKind;
  /** The guest's error number, 0 where there is none. */
  readonly errno: number;

  constructor(command: string, kind: ExecFailureKind, errno: number, reason: string) {
    super("execFailed", `Cannot run ${JSON.stringify(command)} in the sandbox: ${reason}`);
    this.command = command;
    this.kind = kind;
    this.errno = errno;
  }
}

/** The program, its start included, took longer than its `timeoutMs` and was killed. What it had written is in the fields. */
export class ExecTimeoutError extends MicrosandboxError {
  readonly timeoutMs: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;

  constructor(command: string, timeoutMs: number, stdout: Uint8Array, stderr: Uint8Array) {
    super("execTimeout", `${JSON.stringify(command)} took longer than ${timeoutMs} ms and was killed`);
    this.timeoutMs = timeoutMs;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

/** A collected run wrote more than its `outputBytesMax` and was killed. */
export class ExecOutputLimitError extends MicrosandboxError {
  readonly outputBytesMax: number;

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
