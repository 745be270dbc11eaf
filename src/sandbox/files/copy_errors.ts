/** Errors of copying between this machine and a sandbox. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions, messageOf } from "../../base/errors.ts";
import type { FileCopyResult, SkipReason } from "./copy_result.ts";
import { type FileTask, SandboxFsOpsError } from "./errors.ts";

/**
 * `copyFromHost()` or `copyToHost()` stopped in the middle (`fileCopy`). `cause` is the reason. What was copied until then
 * stays; no file of it is incomplete.
 */
export class FileCopyError extends SandboxFsOpsError {
  /** What it stopped at, below the top of what was being copied; `""` is the top itself. */
  readonly at: string;
  /** What had been copied. */
  readonly copied: FileCopyResult;

  /** @internal */
  constructor(task: FileTask, at: string, copied: FileCopyResult, cause: unknown) {
    const { message, hint } = describe(cause);
    const sum = `after ${copied.files} ${copied.files === 1 ? "file" : "files"}`;
    const place = at === "" ? "" : ` at ${JSON.stringify(at)}`;
    const errno = cause instanceof SandboxFsOpsError ? cause.errno : 0;
    super("fileCopy", { task, errno, reason: `it stopped${place} ${sum}: ${message}`, hint, cause });
    this.at = at;
    this.copied = copied;
  }
}

function describe(cause: unknown): { readonly message: string; readonly hint: string | undefined } {
  if (MicrosandboxError.is(cause)) return { message: cause.summary, hint: cause.hint };
  return { message: messageOf(cause), hint: undefined };
}

/** The limits of `copyToHost()`, by the names of its options. */
export type CopyLimitName = "bytesMax" | "entriesMax" | "depthMax" | "fileBytesMax";

/** What a sandbox sends is more than `copyToHost()` was to take (`fileCopyLimit`): the `cause` of a {@linkcode FileCopyError}. */
export class FileCopyLimitError extends MicrosandboxError {
  /** The option that sets the limit. */
  readonly limit: CopyLimitName;
  /** Its value. */
  readonly max: number;

  /** @internal */
  constructor(limit: CopyLimitName, max: number) {
    super("fileCopyLimit", `the sandbox sends ${LIMITS[limit]} than ${max}`, {
      hint: `raise ${limit} if it is to be copied`,
    });
    this.limit = limit;
    this.max = max;
  }
}

const LIMITS: Readonly<Record<CopyLimitName, string>> = {
  bytesMax: "more bytes of content",
  entriesMax: "more files and directories",
  depthMax: "directories nested deeper",
  fileBytesMax: "a file that is larger, in bytes,",
};

/**
 * Something is not copied, as what is there already or what the sandbox sends does not allow it (`fileCopyRefused`): the
 * `cause` of a {@linkcode FileCopyError}.
 */
export class FileCopyRefusedError extends MicrosandboxError {
  /** @internal */
  constructor(problem: string, options?: MicrosandboxErrorOptions) {
    super("fileCopyRefused", problem, options);
  }
}

/** Something cannot be copied, and `skipUnreadable` is not set. */
export function refuseUnreadable(reason: SkipReason): FileCopyRefusedError {
  return new FileCopyRefusedError(UNREADABLE[reason] ?? `it is a ${reason}`, {
    hint: "leave it out with filter, or set skipUnreadable",
  });
}

const UNREADABLE: Readonly<Partial<Record<SkipReason, string>>> = {
  unreadable: "it cannot be read",
  name: "its name is not UTF-8, which this runtime cannot say",
  loop: "it leads back to a directory that it is in",
};
