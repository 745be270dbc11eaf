/**
 * Errors of working on files in a sandbox.
 *
 * @module
 */
import { errnoName, errnoText } from "../../agent/errno_names.ts";
import { type ExecFailureKind, FileAnswerError, FileSessionFailedError } from "../../agent/errors.ts";
import { encodeUtf8 } from "../../base/bytes.ts";
import { type ErrorCode, MicrosandboxError } from "../../base/errors.ts";
import { type FsPath, joinPath, pathText } from "./path.ts";

/** What was to be done. */
export interface FileTask {
  /** As the method is called. */
  readonly operation: string;
  readonly path: FsPath;
  /** The second path of an operation that has two. */
  readonly destination?: FsPath | undefined;
  /** The user of the file session, as it was given; `""` is root. */
  readonly user: string;
  /** Where the file is. @default {"in the sandbox"} */
  readonly place?: string | undefined;
}

/** How it failed. */
interface FileFailure {
  readonly task: FileTask;
  readonly errno: number;
  /** The cause, as it follows a colon. */
  readonly reason: string;
  readonly kind?: ExecFailureKind | undefined;
  /** Where, below the path of the task. */
  readonly below?: Uint8Array | undefined;
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/**
 * Something could not be done with a file in a sandbox or a volume (`sandboxFsOps`). The common causes have classes and codes of
 * their own, which are subclasses of this.
 *
 * @example
 * ```ts
 * import { FileNotFoundError, SandboxFsOpsError } from "microsandbox";
 *
 * try {
 *   await sandbox.fs().read("/no/such/file");
 * } catch (error) {
 *   if (error instanceof FileNotFoundError) console.log("not there:", error.path);
 *   else if (error instanceof SandboxFsOpsError) console.log(error.operation, error.errnoName);
 *   else throw error;
 * }
 * ```
 */
export class SandboxFsOpsError extends MicrosandboxError {
  /** The method that failed, e.g. `"read"`. */
  readonly operation: string;
  /** The path that it failed on, as text: of a tree, the one in it that was the cause. */
  readonly path: string;
  /** The second path of `rename()`, `copy()`, `link()` and `symlink()`; `undefined` for the others. */
  readonly destination: string | undefined;
  /** The guest's error number, e.g. 2; 0 if the guest reported none. */
  readonly errno: number;
  /** The name of {@linkcode errno}, e.g. `"ENOENT"`; `undefined` if it has none. */
  readonly errnoName: string | undefined;
  /** Why the guest's agent could do nothing at all, e.g. `"paused"` or `"badUser"`; `undefined` if it tried. */
  readonly kind: ExecFailureKind | undefined;

  /** @internal */
  constructor(code: ErrorCode | undefined, failure: FileFailure) {
    const { task, below, hint, cause, reason } = failure;
    const path = below === undefined || below.length === 0 ? task.path : joinPath(bytesOf(task.path), below);
    const shown = pathText(path);
    super(
      code ?? "sandboxFsOps",
      `Cannot ${phrase(task, shown)} ${task.place ?? "in the sandbox"}: ${reason}`,
      { hint, cause },
    );
    this.operation = task.operation;
    this.path = shown;
    this.destination = task.destination === undefined ? undefined : pathText(task.destination);
    this.errno = failure.errno;
    this.errnoName = errnoName(failure.errno);
    this.kind = failure.kind;
  }
}

/** There is no such file or directory (`fileNotFound`, ENOENT). */
export class FileNotFoundError extends SandboxFsOpsError {
  /** @internal */
  constructor(failure: FileFailure) {
    super("fileNotFound", failure);
  }
}

/** Something is there already (`fileExists`, EEXIST). */
export class FileExistsError extends SandboxFsOpsError {
  /** @internal */
  constructor(failure: FileFailure) {
    super("fileExists", failure);
  }
}

/** The user may not do that (`permissionDenied`, EACCES or EPERM). */
export class PermissionDeniedError extends SandboxFsOpsError {
  /** @internal */
  constructor(failure: FileFailure) {
    super("permissionDenied", failure);
  }
}

/** A part of the path that has to be a directory is something else (`notADirectory`, ENOTDIR). */
export class NotADirectoryError extends SandboxFsOpsError {
  /** @internal */
  constructor(failure: FileFailure) {
    super("notADirectory", failure);
  }
}

/** It is a directory, with which that cannot be done (`isADirectory`, EISDIR). */
export class IsADirectoryError extends SandboxFsOpsError {
  /** @internal */
  constructor(failure: FileFailure) {
    super("isADirectory", failure);
  }
}

/** The directory has something in it (`directoryNotEmpty`, ENOTEMPTY). */
export class DirectoryNotEmptyError extends SandboxFsOpsError {
  /** @internal */
  constructor(failure: FileFailure) {
    super("directoryNotEmpty", failure);
  }
}

/** The file system or the user's quota is full (`noSpace`, ENOSPC or EDQUOT). */
export class NoSpaceError extends SandboxFsOpsError {
  /** @internal */
  constructor(failure: FileFailure) {
    super("noSpace", failure);
  }
}

/** There is more than the call was to take into memory (`fileLimit`). */
export class FileLimitError extends SandboxFsOpsError {
  /** The limit, in bytes or entries. */
  readonly limit: number;

  /** @internal */
  constructor(task: FileTask, limit: number, unit: "bytes" | "entries", hint: string) {
    super("fileLimit", { task, errno: 0, reason: `it has more than ${limit} ${unit}`, hint });
    this.limit = limit;
  }
}

const CLASSES: Readonly<Record<string, new (failure: FileFailure) => SandboxFsOpsError>> = {
  ENOENT: FileNotFoundError,
  EEXIST: FileExistsError,
  EACCES: PermissionDeniedError,
  EPERM: PermissionDeniedError,
  ENOTDIR: NotADirectoryError,
  EISDIR: IsADirectoryError,
  ENOTEMPTY: DirectoryNotEmptyError,
  ENOSPC: NoSpaceError,
  EDQUOT: NoSpaceError,
};

/** The error for users: an answer of the guest or the end of a file session becomes one, all others are told as they are. */
export function fileError(error: unknown, task: FileTask): unknown {
  if (error instanceof FileAnswerError) return failed(task, error.errno, error.path);
  if (!(error instanceof FileSessionFailedError)) return error;
  const { kind, errno, message } = error;
  const hint = kind === "paused" ? "resume() lets the sandbox go on" : undefined;
  return new SandboxFsOpsError(undefined, { task, kind, errno, reason: message, hint, cause: error });
}

/** The error of an error number. */
export function failed(task: FileTask, errno: number, below?: Uint8Array): SandboxFsOpsError {
  const name = errnoName(errno) ?? "";
  const failure: FileFailure = { task, errno, below, reason: errnoText(errno), hint: hintFor(name, task) };
  const Class = CLASSES[name];
  return Class === undefined ? new SandboxFsOpsError(undefined, failure) : new Class(failure);
}

/** The error of a name or content that is not UTF-8 where text was asked for. */
export function notUtf8(task: FileTask, hint: string): SandboxFsOpsError {
  const EILSEQ = 84;
  return new SandboxFsOpsError(undefined, { task, errno: EILSEQ, reason: "it is not UTF-8 (EILSEQ)", hint });
}

function bytesOf(path: FsPath): Uint8Array {
  return typeof path === "string" ? encodeUtf8(path) : path;
}

function phrase({ operation, destination }: FileTask, path: string): string {
  const to = destination === undefined ? "" : ` to ${JSON.stringify(pathText(destination))}`;
  return `${operation} ${JSON.stringify(path)}${to}`;
}

function hintFor(name: string, { operation, user, place }: FileTask): string | undefined {
  const isRoot = user === "" || /^(root|0)(:|$)/.test(user);
  if (name === "EACCES" && !isRoot) return 'work as another user, e.g. with { user: "root" }';
  if (name === "ENOTEMPTY" && operation === "removeDir")
    return "remove what is in it, too, with { recursive: true }";
  if (name === "EISDIR" && operation === "remove") return "use removeDir()";
  if (name === "EISDIR" && operation === "copy") return "copy what is in it, too, with { recursive: true }";
  if (name === "ENOTDIR" && operation === "removeDir") return "use remove()";
  if (name === "EXDEV") return "copy() and remove() it: it would leave its file system";
  if (name === "ELOOP" && place !== undefined)
    return "links are followed in a sandbox only: fs() of one that has the volume mounted";
  if (name === "ENOSPC" && place === undefined)
    return "remove files, or give the sandbox a larger disk with diskMiB";
  return undefined;
}
