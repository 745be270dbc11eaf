/**
 * What `msb` exits with. A program's own exit code is passed on as it is, so these can only be told from it by the message
 * on standard error.
 *
 * @module
 */
import { ExecFailedError, ExecTimeoutError, InvalidConfigError } from "../../mod.ts";
import { BrokenPipeError } from "./output.ts";

export const ExitStatus = {
  success: 0,
  failure: 1,
  /** The command line cannot be used. */
  usage: 2,
  /** The program ran out of `--timeout`; as timeout(1) says it. */
  timeout: 124,
  /** The program is there and cannot be run; as shells say it. */
  notExecutable: 126,
  /** There is no such program; as shells say it. */
  notFound: 127,
  /** The reader of the output is gone: 128 + SIGPIPE. */
  brokenPipe: 141,
} as const;

/** The status that an error ends the process with. */
export function statusOf(error: unknown): number {
  if (error instanceof BrokenPipeError) return ExitStatus.brokenPipe;
  if (error instanceof ExecTimeoutError) return ExitStatus.timeout;
  if (error instanceof InvalidConfigError) return ExitStatus.usage;
  if (error instanceof ExecFailedError) {
    if (error.kind === "notFound") return ExitStatus.notFound;
    if (error.kind === "permissionDenied" || error.kind === "notExecutable") return ExitStatus.notExecutable;
  }
  return ExitStatus.failure;
}
