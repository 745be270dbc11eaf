/**
 * The base class of every error that this library throws on purpose, and the list of all codes.
 *
 * Each room defines its own subclasses beside the code that throws them. The codes stand here, in one list, so that no code
 * is used twice. A released code is never renamed or reused.
 *
 * @module
 */

/** The `code` of an error. Programs switch on it: unlike the message, it does not change between releases. */
export type ErrorCode =
  // sandboxes
  | "invalidConfig"
  | "sandboxNotFound"
  | "sandboxAlreadyExists"
  | "sandboxReplaced"
  | "sandboxStillRunning"
  | "sandboxNotRunning"
  | "sandboxBusy"
  | "bootStart"
  | "noDefaultCommand"
  | "database"
  // programs in a sandbox
  | "execFailed"
  | "execTimeout"
  | "execOutputLimit"
  | "execExit"
  | "interpreterNotFound"
  | "codeTimeout"
  | "codeSessionEnded"
  | "codeLimit"
  | "agentDisconnected"
  | "agentHandshake"
  | "protocol"
  | "jobNotFound"
  | "jobLost"
  | "jobNameTaken"
  | "jobEnded"
  | "jobAttachedElsewhere"
  // files in a sandbox
  | "sandboxFsOps"
  | "fileNotFound"
  | "fileExists"
  | "permissionDenied"
  | "notADirectory"
  | "isADirectory"
  | "directoryNotEmpty"
  | "noSpace"
  | "fileLimit"
  | "fileCopy"
  | "fileCopyLimit"
  | "fileCopyRefused"
  | "mountFailed"
  // engines and libraries
  | "libkrunNotFound"
  | "libkrunfwNotFound"
  | "libkrunCall"
  | "kernelInvalid"
  | "engineUnavailable"
  // images and disks
  | "imageNotFound"
  | "imageInUse"
  | "imageReferenceInvalid"
  | "imageRegistry"
  | "imageAuth"
  | "imageDigestMismatch"
  | "imageManifestInvalid"
  | "imagePlatformMissing"
  | "tarInvalid"
  | "treeInvalid"
  | "diskFull"
  | "diskInvalid"
  | "diskInUse"
  // logs
  | "missedRotation"
  | "invalidCursor"
  | "logsUnavailable"
  // snapshots
  | "snapshotNotFound"
  | "snapshotAlreadyExists"
  | "snapshotIntegrity"
  // volumes
  | "volumeNotFound"
  | "volumeAlreadyExists"
  | "volumeInUse"
  // networks
  | "network"
  | "connectFailed"
  | "networkExhausted"
  | "networkPrivilege"
  | "portInUse"
  // of the known SDK, about what is not here
  | "cloudHttp"
  | "terminal"
  | "patchFailed"
  | "metricsDisabled"
  | "metricsUnavailable"
  // the rest
  | "io"
  | "aborted"
  | "timeout"
  | "unsupported"
  | "untrustedPath"
  | "internal";

/** Options of every error of this library, besides the standard `cause`. */
export interface MicrosandboxErrorOptions extends ErrorOptions {
  /** What the reader can do, as one sentence. */
  hint?: string | undefined;
}

// `instanceof` fails when two copies of this module are loaded; the brand does not.
const BRAND = Symbol.for("microsandbox.MicrosandboxError");

/**
 * Base class of all errors of this library.
 *
 * @example
 * ```ts no-vm
 * import { MicrosandboxError, Sandbox } from "microsandbox";
 *
 * try {
 *   await Sandbox.get("absent");
 * } catch (error) {
 *   if (MicrosandboxError.is(error) && error.code === "sandboxNotFound") console.log("no such sandbox");
 *   else throw error;
 * }
 * ```
 */
export class MicrosandboxError extends Error {
  /** The stable code, for programs. */
  readonly code: ErrorCode;
  /** What the reader can do; `undefined` if there is no advice. */
  readonly hint: string | undefined;
  /** The message without the hint. */
  readonly summary: string;
  /** Marks errors of all loaded copies of this library: see {@linkcode is}. */
  readonly [BRAND] = true;

  /** Appends the hint, if there is one, to the message. */
  constructor(code: ErrorCode, message: string, options: MicrosandboxErrorOptions = {}) {
    const { hint, ...standard } = options;
    super(hint === undefined ? message : `${message}\n  hint: ${hint}`, standard);
    this.name = new.target.name;
    this.code = code;
    this.hint = hint;
    this.summary = message;
  }

  /** Whether `value` is an error of this library, also if another copy of the library threw it. */
  static is(value: unknown): value is MicrosandboxError {
    return value instanceof Error && BRAND in value;
  }
}

/** Puts `hint` in front of the error's own, where more is known than at the place that threw it. */
export function addHint(error: MicrosandboxError, hint: string): void {
  const hints = error.hint === undefined ? hint : `${hint}; or ${error.hint}`;
  const message = `${error.summary}\n  hint: ${hints}`;
  const stack = error.stack?.replace(error.message, () => message);
  Object.assign(error, { hint: hints, message, stack });
}

/** Options, names or stored configuration are not valid (`invalidConfig`). */
export class InvalidConfigError extends MicrosandboxError {
  /** Every field that is wrong, e.g. `{ field: "cpus", problem: "must be at least 1: current value is 0" }`. */
  readonly issues: readonly ConfigIssue[];

  /** Joins the issues to one message. */
  constructor(issues: readonly ConfigIssue[], options?: MicrosandboxErrorOptions) {
    super("invalidConfig", issues.map(({ field, problem }) => `${field}: ${problem}`).join("; "), options);
    this.issues = issues;
  }
}

/** One field that is wrong. */
export interface ConfigIssue {
  /** The field's path, e.g. `"env.PATH"`. */
  readonly field: string;
  /** The rule that it breaks, and its current value. */
  readonly problem: string;
}

/** A file, socket or process operation failed (`io`; `diskFull` for ENOSPC). `cause` is the system's own error. */
export class IoError extends MicrosandboxError {
  /** The path that was used, if there is one. */
  readonly path: string | undefined;
  /** The system's error name, e.g. `"ENOSPC"`. */
  readonly errno: string | undefined;

  /** @param action What failed, as an infinitive: "Cannot open /etc/passwd: …". */
  /** @internal */
  constructor(action: string, path: string | undefined, cause: unknown) {
    const errno = errnoOf(cause);
    super(errno === "ENOSPC" ? "diskFull" : "io", `Cannot ${action}: ${messageOf(cause)}`, { cause });
    this.path = path;
    this.errno = errno;
  }
}

/** The caller's `AbortSignal` fired (`aborted`). `cause` is the signal's reason. */
export class AbortedError extends MicrosandboxError {
  /** @param action What was going on, as a gerund: "Aborted while reading logs". */
  /** @internal */
  constructor(action: string, reason?: unknown) {
    super("aborted", `Aborted while ${action}`, { cause: reason });
  }
}

/** A wait reached its time limit (`timeout`). */
export class TimeoutError extends MicrosandboxError {
  /** The limit, in milliseconds. */
  readonly timeoutMs: number;

  /** @param action What took the time, as a gerund: "Timed out after 5000 ms while waiting for the guest". */
  /** @internal */
  constructor(action: string, timeoutMs: number, options?: MicrosandboxErrorOptions) {
    super("timeout", `Timed out after ${timeoutMs} ms while ${action}`, options);
    this.timeoutMs = timeoutMs;
  }
}

/** This machine, engine or release cannot do what was asked (`unsupported`). */
export class UnsupportedError extends MicrosandboxError {
  /** Creates the error with this message. */
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("unsupported", message, options);
  }
}

/** Base class of errors of an engine or its library. Each subclass has a code of its own. */
export abstract class RuntimeError extends MicrosandboxError {}

/** A fault of this library itself (`internal`). Please report it. */
export class InternalError extends MicrosandboxError {
  /** Creates the error with this message. */
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("internal", message, options);
  }
}

/** The name of a system error (`"ENOENT"` …), if `error` has one. */
export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" && /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined;
}

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
