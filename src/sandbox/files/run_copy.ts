/**
 * What copies in both directions have in common: a session of their own, and what their failure says.
 *
 * @module
 */
import type { FileSession } from "../../agent/file_session.ts";
import { AbortedError, IoError, MicrosandboxError } from "../../base/errors.ts";
import { FileCopyError, FileCopyLimitError, FileCopyRefusedError } from "./copy_errors.ts";
import type { CopyTally, FileCopyResult } from "./copy_result.ts";
import { fileError } from "./errors.ts";
import type { FileCaller, FileWork, SessionEnd } from "./file_caller.ts";
import { pathText } from "./path.ts";

/** Something failed that is not what is being copied at the moment, as requests are ahead of their answers. */
export class FailedAt extends Error {
  /** Below the top of what is copied. */
  readonly path: string;

  constructor(path: string, cause: unknown) {
    super(path, { cause });
    this.path = path;
  }
}

/**
 * Runs a copy in a session of its own. When it rejects, nothing of it goes on, here or in the guest.
 *
 * @param end How the session ends: one that writes in the guest is let go, to remove what is half done.
 */
export async function runCopy(
  caller: FileCaller,
  work: FileWork,
  end: SessionEnd,
  tally: CopyTally,
  body: (session: FileSession) => Promise<void>,
): Promise<FileCopyResult> {
  const session = await caller.open(work, end, true);
  try {
    await body(session);
    work.signal?.throwIfAborted();
    return tally.result;
  } catch (error) {
    throw explained(work, tally, error);
  } finally {
    if (end === "leave") await session.leave();
    else session.close();
  }
}

function explained(work: FileWork, tally: CopyTally, error: unknown): unknown {
  const { path, cause } = error instanceof FailedAt ? error : { path: tally.path, cause: error };
  // What a closed session or a half of a copy makes of it does not matter.
  if (work.signal?.aborted) return new AbortedError(`copying files (${work.operation})`, work.signal.reason);
  const reason = toError(cause, path, work);
  const isRefusal = reason instanceof FileCopyRefusedError || reason instanceof FileCopyLimitError;
  // That there is nothing to copy from or to is no matter of the copy.
  return tally.isEmpty && !isRefusal ? reason : new FileCopyError(work, path, tally.result, reason);
}

function toError(error: unknown, path: string, { operation, user, ...work }: FileWork): unknown {
  const isOut = operation === "copyToHost";
  const [hostPath = "", guestPath] = isOut ? [work.destination, work.path] : [work.path, work.destination];
  const isSystemError = error instanceof Error && !MicrosandboxError.is(error) && "syscall" in error;
  if (isSystemError) return new IoError(`copy ${JSON.stringify(path || pathText(hostPath))}`, path, error);
  return fileError(error, { operation: isOut ? "read" : "write", path: guestPath ?? "", user });
}
